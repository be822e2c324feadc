"""What every strategy of the catalogue promises."""

import numpy as np
import pandas as pd
import pytest

from simmore import devices, space
from simmore.experiments import comparison
from simmore.models import Knowledge
from simmore.models.known import known_devices
from simmore.strategies import BEST, STRATEGIES, History, MeasurementFailed, Problem, Search, Session, catalogue, run
from simmore.strategies.recommendation import recommend

EVERYTHING = np.arange(space.N_ARCHS)


@pytest.fixture(scope="module", params=STRATEGIES)
def name(request):
    return request.param


def search(name, device, *, problem=None, start=7, seed=3, **options):
    return run(Session(name, problem, start=start, seed=seed, **options), device)


@pytest.mark.parametrize("budget", [1, 3, 10])
def test_it_measures_no_cell_twice_and_no_more_than_the_budget(name, budget, board):
    device = board()
    found = search(name, device, budget=budget)
    assert len(device.asked) == len(set(device.asked)) == found.n_measured <= budget
    assert found.arch in device.asked and device.asked[0] == 7


def test_it_sees_only_what_it_measured(name, board, gpu_table):
    """Whatever the device's other cells would have shown, the trajectory and the recommendation are the same."""
    first = search(name, board())
    measured = np.isin(EVERYTHING, first.trajectory["arch"])
    for others in (np.full(space.N_ARCHS, np.nan), gpu_table[::-1] * 7):
        again = search(name, board(np.where(measured, gpu_table, others)))
        pd.testing.assert_frame_equal(first.trajectory, again.trajectory)
        assert first.arch == again.arch


def test_the_same_seed_gives_the_same_search(name, board):
    pd.testing.assert_frame_equal(search(name, board()).trajectory, search(name, board()).trajectory)


def test_its_randomness_comes_from_the_generator_alone(name, board):
    """numpy's global generator changes nothing, and strategies that draw differ between seeds."""
    np.random.seed(1)  # noqa: NPY002
    first = search(name, board(), seed=1).trajectory
    np.random.seed(2)  # noqa: NPY002
    pd.testing.assert_frame_equal(first, search(name, board(), seed=1).trajectory)
    # a confidence bound draws its candidates alone, and their best cell may be the same for every seed; the controllers
    # draw nothing
    if name not in ("mean_device", "fixed_cell", "lut") and not name.startswith(("linear", "covariance", "controller")):
        others = [search(name, board(), seed=seed, budget=20).trajectory["arch"].tolist() for seed in range(2, 8)]
        assert any(other != others[0] for other in others)


def test_a_larger_budget_continues_where_a_smaller_one_ended(name, board):
    # a controller is told how many measurements remain, up to ten: here it is told ten at each of the first six cells
    smaller = 15 if name.startswith("controller") else 6
    short, long = (search(name, board(), budget=n).trajectory for n in (smaller, 20))
    short = short.iloc[:6]
    pd.testing.assert_frame_equal(short, long.iloc[: len(short)])
    assert long["n_measured"].max() <= 20


def test_what_was_measured_is_returned_with_the_error(name, board):
    reference = search(name, board())
    if reference.n_measured < 7:  # such as the mean device's best cell
        assert search(name, board(fails_at=7)).arch == reference.arch
        return
    with pytest.raises(MeasurementFailed) as failure:
        search(name, board(fails_at=7))
    kept = failure.value.trajectory
    pd.testing.assert_frame_equal(kept, reference.trajectory.iloc[: len(kept)])
    assert kept["n_measured"].max() == 6


def test_cells_that_do_not_compile_are_never_recommended(name, board, gpu_table):
    found = search(name, board(np.where(EVERYTHING % 3 == 0, np.inf, gpu_table)), start=0, seed=1)
    assert np.isinf(found.trajectory["latency_ms"].iloc[0])
    if np.isfinite(found.trajectory["latency_ms"]).any():
        assert np.isfinite(found.latency_ms)


def test_nothing_is_recommended_when_nothing_compiles(name, board):
    found = search(name, board(np.full(space.N_ARCHS, np.inf)), budget=8)
    assert found.arch is None


def test_a_recommendation_within_a_limit_was_measured_to_be_within_it(name, board, gpu_table):
    limit = float(np.quantile(gpu_table, 0.3))
    found = search(name, board(), problem=Problem.of(max_latency_ms=limit))
    cells = found.trajectory[found.trajectory["latency_ms"] <= limit].drop_duplicates("arch")
    if cells.empty:
        assert found.arch is None
    else:
        assert found.latency_ms <= limit and cells["score"].max() == cells.set_index("arch")["score"][found.arch]


@pytest.mark.parametrize("name_", ["expected_improvement", "random"])
def test_a_limit_that_nothing_meets_has_no_recommendation(name_, board, gpu_table):
    found = search(name_, board(), problem=Problem.of(max_latency_ms=float(gpu_table.min()) / 2))
    assert found.arch is None and found.n_measured == 10
    with pytest.raises(ValueError, match="no measured cell keeps the limits"):
        found.latency_ms  # noqa: B018


def test_the_best_strategy_within_a_limit_stops_when_nothing_scores_higher(board, gpu_table):
    found = search(BEST, board(), problem=Problem.of(max_latency_ms=2 * float(gpu_table.max())))
    score = found.trajectory["score"]
    assert found.trajectory["arch"].iloc[int(score.argmax())] == found.arch and found.n_measured <= 3


def test_the_unit_of_time_does_not_change_the_best_strategy(board, gpu_table):
    ms, s = (search(BEST, board(scale * gpu_table)).trajectory["arch"].tolist() for scale in (1.0, 1e-3))
    assert ms == s


def test_the_best_strategy_continues_beyond_what_its_model_learns_from(board):
    assert search(BEST, board(), budget=90).n_measured == 90


def test_the_rule_knows_what_the_strategy_knows():
    for name, entry in STRATEGIES.items():
        _, rule = catalogue.make(name, Problem.of())
        if entry.knows == catalogue.NOTHING:
            assert rule.uses == "the measurements alone"
        elif entry.knows == catalogue.OPERATIONS:
            assert "Ξ" in rule.uses
        elif entry.knows == catalogue.SIMULATED:
            assert rule.uses == "simulated devices"
        else:  # without tables on this machine, simulated devices take their place
            assert ("tables" in rule.uses) == bool(known_devices(())) and "simulated devices" in rule.uses
    assert STRATEGIES["paper"].knows == catalogue.OPERATIONS and STRATEGIES["random"].knows == catalogue.NOTHING


def test_random_search_and_the_papers_policy_read_no_table(board, monkeypatch):
    def refuse(*_):
        raise AssertionError("a table was read")

    monkeypatch.setattr(Knowledge, "tables", property(refuse))
    monkeypatch.setattr(Knowledge, "covariance", property(refuse))
    for name in ("random", "paper", "lut_evolution", "linear_bound"):
        assert search(name, board()).arch is not None


def test_random_search_has_a_regret_of_one(conv_score):
    case = comparison.Case("random", devices.load("nats_gpu"), Problem(conv_score), n_starts=100, budget=10)
    frame = comparison.at(comparison.regrets(case))
    assert frame["simple_regret"].mean() == pytest.approx(1, abs=4 * frame["simple_regret"].std() / 10)
    assert (frame["inference_regret"] >= frame["simple_regret"]).all() and (frame["n_measured"] == 10).all()


def test_a_budget_of_the_whole_space_measures_every_cell(board, conv_score):
    found = search("random", board(), problem=Problem(conv_score), budget=space.N_ARCHS)
    assert set(found.trajectory["arch"]) == set(EVERYTHING.tolist())


@pytest.mark.slow
def test_the_shipped_policy_keeps_the_papers_promise_on_devices_it_never_saw(measured_tables):
    frames = [
        comparison.regrets(comparison.Case("heldout", device, Problem.of(), n_starts=30, budget=10, seed=1))
        for device in devices.available(devices.TEST_DEVICES)
    ]
    frame = comparison.at(pd.concat(frames))
    assert len(frame) == 180 and frame["simple_regret"].mean() <= 0.25 and frame["n_measured"].max() <= 10


def mean_regret(name, column, device, problem):
    case = comparison.Case(name, device, problem, n_starts=6, budget=10)
    return comparison.at(comparison.regrets(case))[column].mean()


@pytest.mark.slow
def test_the_best_strategy_measures_far_better_cells_than_random_search_with_and_without_tables(gpu_table):
    gpu, problem = devices.TableDevice("board", gpu_table), Problem.of()
    ours, random = (mean_regret(name, "simple_regret", gpu, problem) for name in (BEST, "random"))
    assert ours < 0.5 * random


@pytest.mark.slow
def test_the_best_strategy_recommends_far_better_cells_than_random_search_where_tables_are_known(
    gpu_table, measured_tables
):
    counts = space.operation_counts(EVERYTHING)
    gpu, problem = devices.TableDevice("board", gpu_table), Problem(counts[:, 3] / 12 + counts[:, 2] / 20)
    ours, random = (mean_regret(name, "inference_regret", gpu, problem) for name in (BEST, "random"))
    assert ours < 0.5 * random


def test_the_expected_regret_falls_with_measurements_and_is_small_at_a_known_best_cell(gpu_table):
    session = Session(BEST, start=0, seed=0)
    device = devices.TableDevice("board", gpu_table)
    expected = []
    while (arch := session.ask()) is not None:
        session.tell(arch, float(device.latency_ms(arch)))
        expected.append(session.recommend().expected_regret)
    assert expected[-1] < 0.5 * expected[0] and min(expected) >= -1e-6
    assert Search.of(session).expected_regret == expected[-1]


def test_the_best_fixed_cell_is_better_than_the_best_cell_of_the_mean_device(board):
    """On devices that neither has seen: without tables, both know simulated devices alone."""
    latency = Knowledge(tables=False).simulated.sample(100, np.random.default_rng(5)).T.astype(float)
    problem, means = Problem.of(), {}
    for name in ("fixed_cell", "mean_device"):
        strategy, _ = catalogue.make(name, problem, Knowledge(tables=False))
        arch = strategy.ask(History([(0, 1.0)]), np.random.default_rng(0), 1)
        means[name] = np.mean([devices.normalised_regret(devices.reward(problem.score, row), arch) for row in latency])
    assert means["fixed_cell"] < means["mean_device"]


def test_a_blind_copy_chooses_without_latencies_and_recommends_with_them(board, gpu_table):
    policy = search("paper/blind", board())
    pd.testing.assert_frame_equal(policy.trajectory, search("paper_blind", board()).trajectory)
    assert policy.arch == search("paper_blind", board()).arch
    copy, blind = search("controller/blind", board()), search("controller_blind", board())
    assert copy.trajectory["arch"].tolist() == blind.trajectory["arch"].tolist()
    other = board(gpu_table[::-1].copy())  # other latencies, and the same cells
    assert search("controller/blind", other).trajectory["arch"].tolist() == copy.trajectory["arch"].tolist()
    steps = list(zip(copy.trajectory["arch"], copy.trajectory["latency_ms"], strict=True))
    rule = catalogue.make("controller", Problem.of())[1]
    assert copy.arch == recommend(rule, Problem.of(), History(steps)).arch
    with pytest.raises(ValueError, match="only a trained policy or controller"):
        catalogue.entry("random/blind")
