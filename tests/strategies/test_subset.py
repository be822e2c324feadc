"""Searches on tables that lack cells, and other problems in which few cells may be measured."""

import dataclasses

import numpy as np
import pytest

import simmore
from simmore import devices, space
from simmore.experiments import comparison
from simmore.models import Knowledge, acquisition
from simmore.strategies import BEST, STRATEGIES, Problem, Session, run

EVERYTHING = np.arange(space.N_ARCHS)


def mask(cells):
    return np.isin(EVERYTHING, cells)


def sample(n, seed=0):
    return np.random.default_rng(seed).choice(space.N_ARCHS, n, replace=False)


class Fixed:
    """Asks for the cells of a list."""

    def __init__(self, *archs):
        self.archs = list(archs)

    def ask(self, history, rng, remaining):
        return self.archs.pop(0) if self.archs else None


@pytest.mark.parametrize("n", [3000, 40, 6])
@pytest.mark.parametrize("name", STRATEGIES)
def test_a_search_measures_cells_of_the_table_alone(name, n, gpu_table):
    cells = sample(n)
    device = devices.TableDevice("sample", np.where(mask(cells), gpu_table, np.nan))
    found = simmore.search(device, name, budget=10, seed=1)
    assert set(found.trajectory["arch"]) <= set(cells.tolist())
    assert found.arch is not None and found.n_measured <= min(10, n)
    if name in ("random", BEST):
        assert found.n_measured == min(10, n)


@pytest.mark.parametrize("name", ["random", "paper", BEST])
def test_a_batch_has_different_cells_of_the_table(name, gpu_table):
    cells = sample(300)
    session = Session(name, Problem.of(measurable=mask(cells)), budget=9, seed=1)
    first = session.ask_batch(5)
    for arch in first:
        session.tell(arch, gpu_table[arch])
    second = session.ask_batch(9)
    assert len(set(first) | set(second)) == len(first) + len(second) <= 9
    assert {*first, *second} <= set(cells.tolist()) and len(first) == 5


def test_a_limit_is_kept_on_a_table_that_lacks_cells(gpu_table):
    cells = sample(500)
    device = devices.TableDevice("sample", np.where(mask(cells), gpu_table, np.nan))
    limit = float(np.quantile(gpu_table[cells], 0.3))
    found = simmore.search(device, max_latency_ms=limit)
    assert found.latency_ms <= limit and set(found.trajectory["arch"]) <= set(cells.tolist())


def test_the_nearest_cell_has_few_changes_then_the_same_live_operations_then_a_high_score(conv_score):
    def cell(digits):
        return space.to_arch(digits)

    # edge 0→1 of the proposed cell leads nowhere: changing it changes no latency
    proposed, dead, live, far = cell("300300"), cell("200300"), cell("300200"), cell("222222")
    steps = {(far,): far, (far, live): live, (far, live, dead): dead}
    for cells, nearest in steps.items():
        problem = Problem(conv_score, measurable=mask([0, *cells]))
        session = Session(Fixed(proposed), problem, measured=[(0, 1.0)])
        assert session.ask() == nearest
    score = np.zeros(space.N_ARCHS)
    equal = [cell("100300"), cell("200300"), cell("400300")]
    score[equal] = 0.1, 0.3, 0.2
    problem = Problem(score, measurable=mask([0, *equal]))
    session = Session(Fixed(proposed, proposed, proposed, proposed), problem, measured=[(0, 1.0)])
    asked = []
    while (arch := session.ask()) is not None:
        asked.append(arch)
        session.tell(arch, 1.0)
    assert asked == [equal[1], equal[2], equal[0]]  # each once, although the strategy repeats itself


def test_a_start_outside_of_the_table_is_refused_and_the_drawn_one_is_in_it(gpu_table):
    problem = Problem.of(measurable=mask([3, 9]))
    assert {Session("random", problem, seed=seed).start for seed in range(20)} == {3, 9}
    with pytest.raises(ValueError, match="cell 7 cannot be the start, because it is not among the 2 cells"):
        Session("random", problem, start=7)


def test_cells_that_may_not_be_measured_lose_their_merit_and_a_problem_without_cells_is_refused(conv_score):
    allowed = EVERYTHING >= 5
    problem = Problem(conv_score, allowed=allowed, measurable=EVERYTHING < 10)
    merit = problem.merit
    assert merit[5:10].min() > merit[:5].max() and merit[:5].min() > merit[10:].max()
    with pytest.raises(ValueError, match="no cell that can be measured is allowed"):
        Problem(conv_score, allowed=allowed, measurable=~allowed)
    with pytest.raises(ValueError, match="no cell that can be measured is allowed"):
        Problem(conv_score, measurable=np.ones(5, dtype=bool))


def test_a_problem_takes_the_cells_of_a_device_and_keeps_its_own(conv_score, gpu_table):
    problem = Problem(conv_score)
    assert problem.on(devices.load("nats_gpu")) is problem
    device = devices.TableDevice("sample", np.where(EVERYTHING < 100, gpu_table, np.nan))
    assert problem.on(device).cells.tolist() == list(range(100))
    narrower = dataclasses.replace(problem, measurable=(EVERYTHING > 90))
    assert narrower.on(device).cells.tolist() == list(range(91, 100))


def test_candidates_are_the_best_among_the_cells_that_may_be_measured(conv_score):
    """Whatever the other cells are: they take no place among the candidates."""
    prior, cells = Knowledge().operations, np.sort(sample(1000))
    found = [
        make(np.random.default_rng(0))
        for make in (
            lambda rng: acquisition.candidates(prior, conv_score, 1.0, rng, measurable=cells),
            lambda rng: acquisition.candidates_within(prior, conv_score, rng, measurable=cells),
        )
    ]
    for chosen in found:
        assert set(chosen) <= set(cells) and 50 < len(chosen) < 1000
        assert np.isin(cells[np.argsort(-conv_score[cells], kind="stable")[:5]], chosen).all()


def test_the_best_strategy_is_as_good_on_a_sample_as_on_the_whole_table(gpu_table):
    problem = Problem.of()
    table = np.where(mask(sample(3000)), gpu_table, np.nan)
    regret = []
    for device in (devices.TableDevice("board", gpu_table), devices.TableDevice("board", table)):
        case = comparison.Case(BEST, device, problem, n_starts=4, budget=10)
        regret.append(comparison.at(comparison.regrets(case))["simple_regret"].mean())
    assert regret[1] < max(0.3, regret[0] + 0.1)


def test_the_expected_regret_on_a_sample_is_over_its_cells(gpu_table):
    device = devices.TableDevice("board", np.where(mask(sample(300)), gpu_table, np.nan))
    found = run(Session(BEST, Problem.of().on(device), seed=0), device)
    assert -1e-6 <= found.expected_regret < 1
