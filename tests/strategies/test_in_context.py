"""The strategy of the in-context controller, with a network of random weights: what it respects, not how good it is."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from simmore import devices, space
from simmore.rl import context
from simmore.rl.context_network import Network
from simmore.strategies import History, Problem, Session, run
from simmore.strategies.in_context import InContext, LearnedRecommendation

EVERYTHING = np.arange(space.N_ARCHS)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    one = Network(np.arange(64) * 200)
    for name in ("correct", "ends", "decide", "recommend", "regret"):
        torch.nn.init.normal_(getattr(one, name)[-1].weight, std=0.1)
    return one.to_arrays({})


@pytest.fixture(scope="module")
def table():
    counts = space.operation_counts(EVERYTHING)
    return counts @ [0.1, 0.2, 1.0, 4.0, 0.5] + 2.0


def searched(network, table, problem, **options):
    session = Session(InContext(problem, network), problem, rule=LearnedRecommendation(network), start=5, **options)
    return run(session, devices.TableDevice("board", table))


def test_units_and_the_order_of_the_history_have_no_effect(network, table, conv_score):
    problem = Problem(conv_score)
    one, other = (searched(network, scale * table, problem) for scale in (1.0, 1e-3))
    assert one.trajectory["arch"].tolist() == other.trajectory["arch"].tolist() and one.arch == other.arch
    assert other.expected_regret == pytest.approx(one.expected_regret, rel=1e-4)
    steps = [(arch, table[arch]) for arch in (5, 700, 9000, 44)]
    strategy, rng = InContext(problem, network), np.random.default_rng(0)
    rule = LearnedRecommendation(network)
    forward, back = History(steps), History(steps[::-1])
    assert strategy.ask(forward, rng, 5) == strategy.ask(back, rng, 5)
    assert rule.estimated_range_ms(forward) == rule.estimated_range_ms(back)


def test_a_search_measures_its_budget_and_recommends_a_measured_cell(network, table, conv_score):
    found = searched(network, table, Problem(conv_score), budget=24)  # more than the network reads
    assert found.n_measured == 24 and found.arch in set(found.trajectory["arch"])
    assert found.expected_regret > 0 and found.rule_uses == "simulated devices"
    assert sorted(found.ranked) == sorted(found.trajectory["arch"])


def test_only_measurable_cells_are_measured_and_only_allowed_ones_recommended(network, table, conv_score):
    measurable, allowed = EVERYTHING % 5 == 0, EVERYTHING % 3 == 0
    measurable[5] = True
    problem = Problem(conv_score, measurable=measurable, allowed=allowed)
    strategy, history = InContext(problem, network), History([(5, table[5])])
    cells = strategy.ask_batch(history, np.random.default_rng(0), 6, 6)
    assert len(set(cells)) == 6 and measurable[cells].all() and allowed[cells].all()
    found = searched(network, table, problem)
    assert found.arch % 3 == 0


def test_a_latency_limit_is_kept_and_ends_the_search(network, table, conv_score):
    limit = float(np.quantile(table, 0.3))
    found = searched(network, table, Problem(conv_score, max_latency_ms=limit))
    assert found.arch is None or (found.latency_ms <= limit and found.expected_regret >= 0)
    best = int(conv_score.argmax())
    history = History([(best, 1.0)])  # the best score of all is within the limit
    ask = InContext(Problem(conv_score, max_latency_ms=2.0), network).ask
    assert ask(history, np.random.default_rng(0), 5) is None
    assert ask(History([(best, 3.0)]), np.random.default_rng(0), 5) is not None


def test_cells_that_fail_are_passed_over(network, table, conv_score):
    problem = Problem(conv_score)
    strategy, rule = InContext(problem, network), LearnedRecommendation(network)
    failed = History([(5, np.inf)])
    first = strategy.ask(failed, np.random.default_rng(0), 5)
    assert first is not None and first != 5
    assert rule.expected_regret(problem, failed, 5) is None
    broken = table.copy()
    broken[conv_score > 0.4] = np.inf
    found = searched(network, broken, problem)
    assert found.n_measured == 10 and (found.arch is None or np.isfinite(broken[found.arch]))


def test_a_reading_in_another_unit_is_passed_over(network, table, conv_score):
    problem, rule = Problem(conv_score), LearnedRecommendation(network)
    good = [(arch, table[arch]) for arch in (5, 700, 9000, 44)]
    wrong = History([*good, (15000, 1e6 * table[15000])])
    assert rule.implausible(wrong).tolist() == [False] * 4 + [True]
    assert rule.estimated_range_ms(wrong) == rule.estimated_range_ms(History(good))
    asked = [InContext(problem, network).ask(each, np.random.default_rng(0), 5) for each in (wrong, History(good))]
    assert asked[0] == asked[1] or asked[1] == 15000


def test_the_network_reads_no_more_cells_than_it_can(network, table, conv_score, monkeypatch):
    read = []
    believe = context.ContextNetwork.believe
    monkeypatch.setattr(
        context.ContextNetwork, "believe", lambda self, archs, y: read.append(len(archs)) or believe(self, archs, y)
    )
    history = History((arch, table[arch]) for arch in range(0, 3000, 100))
    InContext(Problem(conv_score), network).ask(history, np.random.default_rng(0), 5)
    assert read == [context.MOST_TOKENS]
