"""What every strategy promises: it sees what it measured, keeps its budget, and loses nothing when the device fails."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from simmore import devices, space
from simmore.rl import shortlist as shortlists
from simmore.strategies import catalogue as strategies
from simmore.strategies import loop
from simmore.strategies.loop import MeasurementFailed

EVERYTHING = np.arange(space.N_ARCHS)
NAMES = [name for name in strategies.STRATEGIES if name != "target_only"]


@dataclasses.dataclass
class Board:
    """A device that may refuse cells, or fail."""

    table: np.ndarray
    name: str = "board"
    fails_at: int | None = None
    answer: float | None = None
    asked: list = dataclasses.field(default_factory=list)

    def latency_ms(self, archs):
        self.asked.append(int(archs))
        if len(self.asked) == self.fails_at:
            if self.answer is None:
                raise ConnectionError("the board is gone")
            return self.answer
        return self.table[archs]


@pytest.fixture(scope="module")
def table():
    return np.asarray(devices.load("nats_gpu").latency_ms(EVERYTHING))


@pytest.fixture(scope="module", params=NAMES)
def strategy(request):
    return strategies.make(request.param, "board")


@pytest.mark.parametrize("budget", [1, 3, 10])
def test_a_search_sees_only_what_it_measured(strategy, budget, table):
    """All other cells of the device raise, or are another device's: trajectory and answer are the same."""
    first = loop.search(Board(table), strategy, start=7, budget=budget, seed=3)
    measured = np.isin(EVERYTHING, first.trajectory["arch"])
    for others in (np.full(space.N_ARCHS, np.nan), table[::-1] * 7):
        again = loop.search(Board(np.where(measured, table, others)), strategy, start=7, budget=budget, seed=3)
        pd.testing.assert_frame_equal(first.trajectory, again.trajectory)
        assert first.arch == again.arch


def test_a_larger_budget_goes_on_where_a_smaller_one_ended(strategy, table):
    short, long = (loop.search(Board(table), strategy, start=7, budget=n, seed=3).trajectory for n in (6, 20))
    pd.testing.assert_frame_equal(short, long.iloc[: len(short)])
    assert long["measured"].max() <= 20 and long["arch"].iloc[0] == 7


@pytest.mark.parametrize("answer", [None, np.nan])
def test_what_was_measured_is_returned_with_the_error(strategy, answer, table):
    reference = loop.search(Board(table), strategy, start=7, seed=3)
    board = Board(table, fails_at=7, answer=answer)
    if reference.measurements < 7:  # such as the mean device's best cell, which measures no more than that
        assert loop.search(board, strategy, start=7, seed=3).arch == reference.arch
        return
    with pytest.raises(MeasurementFailed) as failure:
        loop.search(board, strategy, start=7, seed=3)
    kept = failure.value.trajectory
    pd.testing.assert_frame_equal(kept, reference.trajectory.iloc[: len(kept)])
    assert kept["measured"].max() == 6


def test_a_table_with_holes(strategy, table):
    holes = devices.TableDevice("holes", np.where(EVERYTHING % 3 == 0, np.nan, table))
    found = loop.search(holes, strategy, start=0, seed=1)
    assert np.isinf(found.trajectory["latency_ms"].iloc[0])
    if np.isfinite(found.trajectory["latency_ms"]).any():
        assert np.isfinite(found.latency_ms)


def test_nothing_compiles(strategy):
    found = loop.search(Board(np.full(space.N_ARCHS, np.inf)), strategy, start=5, budget=8, seed=1)
    assert found.arch == 5


def test_an_answer_within_a_limit_is_one_that_was_measured_to_be(strategy, table):
    limit = float(np.quantile(table, 0.3))
    found = loop.search(Board(table), strategy, start=7, seed=3, max_latency_ms=limit)
    cells = found.trajectory[found.trajectory["latency_ms"] <= limit].drop_duplicates("arch")
    if cells.empty:
        assert found.arch is None
    else:
        assert found.latency_ms <= limit and cells["score"].max() == cells.set_index("arch")["score"][found.arch]


@pytest.mark.parametrize("name", ["expected_improvement", "random"])
def test_a_limit_that_nothing_meets(name, table):
    limit = float(table.min()) / 2
    found = loop.search(Board(table), strategies.make(name, "board", limit), start=7, max_latency_ms=limit)
    assert found.arch is None and found.measurements == 10
    with pytest.raises(ValueError, match="no measured cell keeps the limit"):
        found.latency_ms  # noqa: B018


@pytest.mark.parametrize("limit", [0.0, -1.0, float("nan")])
def test_a_limit_that_is_no_latency(limit, table):
    with pytest.raises(ValueError, match="positive number of ms"):
        loop.search(Board(table), loop.random_search, max_latency_ms=limit)


def test_the_best_strategy_within_a_limit_stops_when_nothing_scores_higher(table):
    generous = 2 * float(table.max())
    found = loop.search(Board(table), strategies.make(strategies.BEST, "board", generous), max_latency_ms=generous)
    score = found.trajectory["score"]
    assert found.trajectory["arch"].iloc[int(score.argmax())] == found.arch and found.measurements <= 3


def test_the_unit_of_time_does_not_change_the_best_strategy(table):
    way = strategies.make(strategies.BEST, "board")
    ms, s = (loop.search(Board(scale * table), way, start=7).trajectory["arch"] for scale in (1.0, 1e-3))
    assert ms.tolist() == s.tolist()


def test_a_budget_beyond_what_the_model_learns_from(table):
    way = strategies.make(strategies.BEST, "board")
    found = loop.search(Board(table), way, start=7, budget=90)
    assert found.measurements == 90


def test_the_devices_own_controller_knows_only_the_trained_devices():
    strategies.make("target_only", "raspi4")
    with pytest.raises(ValueError, match="no controller 'target/board'"):
        strategies.make("target_only", "board")
    with pytest.raises(ValueError, match="no strategy 'luck': choose one of random"):
        strategies.make("luck", "board")


def test_every_family_is_in_one_fold_and_unknown_devices_ask_all_networks(measured_tables):
    from simmore import data

    families = [family for fold in shortlists.FOLDS.values() for family in fold]
    assert sorted(families) == sorted({devices.family(name) for name in data.MEASURED})
    assert len(shortlists.networks_for("titan_rtx_256")) == 1
    assert len(shortlists.networks_for("board")) == len(shortlists.FOLDS)
    for fold, out in shortlists.FOLDS.items():
        seen = shortlists.load(fold).description["devices"]
        assert not {devices.family(name) for name in seen} & set(out)


def test_the_best_strategy_takes_less_than_a_second(table):
    import time

    loop.search(Board(table), strategies.make(strategies.BEST, "other"), seed=0)  # tables read once
    started = time.process_time()
    loop.search(Board(table), strategies.make(strategies.BEST, "board"), seed=0)
    assert time.process_time() - started < 1


def test_ours_answers_far_better_than_random_search_where_tables_are_known(table, measured_tables):
    from simmore.experiments import comparison

    score = space.operation_counts(EVERYTHING)[:, 3] / 12 + space.operation_counts(EVERYTHING)[:, 2] / 20
    board = devices.TableDevice("board", table)
    ours, random = (
        comparison.evaluate(name, board, score, n_starts=6, budget=10) for name in (strategies.BEST, "random")
    )
    last = [frame[frame["budget"] == 10]["regret"].mean() for frame in (ours, random)]
    assert last[0] < 0.5 * last[1]


def test_ours_measures_far_better_cells_than_random_search_with_and_without_tables(table):
    from simmore import proxies
    from simmore.experiments import comparison

    score = proxies.stored_score()
    ours, random = (comparison.evaluate(name, devices.TableDevice("board", table), score, n_starts=6, budget=10)
                    for name in (strategies.BEST, "random"))  # fmt: skip
    last = [frame[frame["budget"] == 10]["regret_best"].mean() for frame in (ours, random)]
    assert last[0] < 0.5 * last[1]
    assert (ours["regret"] >= ours["regret_best"] - 1e-9).all()
    assert ours.groupby("seed")["regret_best"].is_monotonic_decreasing.all()
