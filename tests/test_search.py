import numpy as np
import pandas as pd
import pytest

from simmore import devices, space
from simmore.devices import rewards
from simmore.rl import policy as policies
from simmore.strategies import loop

EVERYTHING = np.arange(space.N_ARCHS)
STRATEGIES = {"random": lambda: loop.random_search, "heldout": lambda: loop.follow(policies.load("heldout"))}


class Spy:
    """A device that counts what it is asked, and may fail."""

    name = "spy"

    def __init__(self, table, fail_at=None, answer=None):
        self.table, self.asked, self.fail_at, self.answer = table, [], fail_at, answer

    def latency_ms(self, archs):
        self.asked.append(int(archs))
        if len(self.asked) == self.fail_at:
            if self.answer is None:
                raise ConnectionError("the board is gone")
            return self.answer
        return self.table[archs]


@pytest.fixture
def table():
    return devices.load("nats_gpu").latency_ms(EVERYTHING)


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("budget", [1, 2, 10])
def test_no_more_than_the_budget_is_measured_and_nothing_twice(strategy, budget, table):
    for seed in range(5):
        spy = Spy(table)
        found = loop.search(spy, STRATEGIES[strategy](), budget=budget, seed=seed)
        assert len(spy.asked) == len(set(spy.asked)) == found.measurements <= budget
        assert found.arch in spy.asked
        assert found.trajectory.columns.tolist() == "step arch latency_ms score val_accuracy measured".split()
        assert found.latency_ms == table[found.arch]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_search_sees_only_what_it_measured(strategy, table):
    """Whatever the device's other cells would have shown, the trajectory and the answer are the same."""
    run = lambda t: loop.search(Spy(t), STRATEGIES[strategy](), start=5, seed=1)  # noqa: E731
    first = run(table)
    changed = np.where(np.isin(EVERYTHING, first.trajectory["arch"]), table, np.nan)  # NaN would raise
    again = run(changed)
    pd.testing.assert_frame_equal(first.trajectory, again.trajectory)
    assert first.arch == again.arch


def test_the_same_seed_gives_the_same_search(table):
    run = lambda seed: loop.search(Spy(table), STRATEGIES["heldout"](), seed=seed).trajectory  # noqa: E731
    pd.testing.assert_frame_equal(run(4), run(4))
    assert not run(4).equals(run(5))


@pytest.mark.parametrize("answer", [None, np.nan, 0.0, -3.0])
def test_what_was_measured_is_kept_when_the_device_fails_at_the_seventh_call(answer, table):
    with pytest.raises(loop.MeasurementFailed, match="measuring on spy failed after 6 steps") as failure:
        loop.search(Spy(table, fail_at=7, answer=answer), loop.random_search)
    assert len(failure.value.trajectory) == 6


@pytest.mark.parametrize("budget", [0, -1, 15_626])
def test_an_impossible_budget(budget, table):
    with pytest.raises(ValueError, match="from 1 to 15625"):
        loop.search(Spy(table), loop.random_search, budget=budget)


@pytest.mark.parametrize("start", [-1, 15_625])
def test_a_start_outside_the_space(start, table):
    with pytest.raises(ValueError, match="from 0 to 15624"):
        loop.search(Spy(table), loop.random_search, start=start)


def test_cells_that_do_not_compile_are_never_the_answer(table):
    broken = np.where(EVERYTHING % 2 == 0, np.inf, table)
    for seed in range(5):
        assert np.isfinite(loop.search(Spy(broken), loop.random_search, seed=seed).latency_ms)


def test_a_budget_of_the_whole_space_finds_the_best_cell(table):
    score = np.random.default_rng(0).random(space.N_ARCHS)
    found = loop.search(Spy(table), loop.random_search, budget=space.N_ARCHS, score=score)
    assert set(found.trajectory["arch"]) == set(EVERYTHING.tolist())


def test_random_search_has_a_regret_of_one():
    frame = loop.regrets([devices.load("nats_gpu")], {"random": loop.random_search}, n_starts=100, seed=0)
    spread = frame["regret_best"].std() / 10
    assert frame["regret_best"].mean() == pytest.approx(1, abs=4 * spread)
    assert (frame["regret"] >= frame["regret_best"]).all() and (frame["measurements"] == 10).all()


def test_the_shipped_controller_keeps_the_papers_promise_on_devices_it_never_saw(measured_tables):
    frame = loop.regrets(devices.test_devices(), {"heldout": STRATEGIES["heldout"]()}, n_starts=30, seed=1)
    assert frame["regret_best"].mean() <= 0.25
    assert frame["measurements"].max() <= 10


def test_the_regret_of_a_trajectory_by_hand(table):
    score = np.zeros(space.N_ARCHS)
    frame = loop.regrets([devices.TableDevice("d", table)], {"r": loop.random_search}, n_starts=1, seed=0, score=score)
    start = np.random.default_rng(0).integers(space.N_ARCHS, size=1)[0]
    found = loop.search(Spy(table), loop.random_search, start=start, seed=np.random.default_rng([0, 0]), score=score)
    # with no score, the best cell is the fastest one
    assert found.arch == found.trajectory.loc[found.trajectory["latency_ms"].idxmin(), "arch"]
    best = (table[found.arch] - table.min()) / (table.max() - table.min())
    scale = 1 - rewards.random_search_reward(rewards.inverse_latency(table))
    assert frame["regret"].item() == pytest.approx(best / scale)
