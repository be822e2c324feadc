"""The ask/tell loop, by hand and on a device."""

import numpy as np
import pandas as pd
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

import simmore
from simmore import space
from simmore.strategies import History, MeasurementFailed, Problem, Session, catalogue, run
from simmore.strategies.recommendation import MeasuredRange, ranked, recommend
from simmore.strategies.session import pareto_front

EVERYTHING = np.arange(space.N_ARCHS)


class Fixed:
    """Asks for the cells of a list."""

    def __init__(self, *archs):
        self.archs = list(archs)

    def ask(self, history, rng, remaining):
        return self.archs.pop(0) if self.archs else None


def test_the_loop_by_hand_counts_distinct_cells_and_a_known_cell_costs_nothing(conv_score):
    session = Session(Fixed(7, 5, 7, 9, 11), Problem(conv_score), start=5, budget=3)
    asked = []
    while (arch := session.ask()) is not None:
        asked.append(arch)
        session.tell(arch, 1.0 + arch)
    assert asked == [5, 7, 9]  # 11 would be the fourth cell
    assert session.trajectory()["arch"].tolist() == [5, 7, 5, 7, 9]
    assert session.trajectory()["n_measured"].tolist() == [1, 2, 2, 2, 3]
    assert session.ask() is None and session.remaining == 0


def test_a_search_computes_on_one_thread_and_leaves_the_caller_its_threads(conv_score, monkeypatch):
    def threads():
        return {pool["num_threads"] for pool in threadpool_info() if pool["internal_api"] == "openblas"}

    class Watched(MeasuredRange):
        def estimated_range_ms(self, history):
            seen["recommend"] = threads()
            return super().estimated_range_ms(history)

    def asked(history, rng, remaining):
        seen["ask"] = threads()

    def made(*arguments):
        seen["make"] = threads()
        return Fixed(), Watched()

    seen = {}
    monkeypatch.setattr(catalogue, "make", made)
    with threadpool_limits(limits=2, user_api="blas"):
        session = Session("random", Problem(conv_score), start=5)
        session.strategy.ask = asked
        session.tell(5, 1.0)
        session.ask()
        session.recommend()
        assert threads() == {2}
    assert seen == {"make": {1}, "ask": {1}, "recommend": {1}}


def test_the_same_search_by_hand_and_on_a_device(board):
    on_device = run(Session("expected_improvement", seed=3), board())
    session = Session("expected_improvement", seed=3)
    while (arch := session.ask()) is not None:
        session.tell(arch, board().table[arch])
    pd.testing.assert_frame_equal(session.trajectory(), on_device.trajectory)
    assert session.recommend().arch == on_device.arch


def test_a_session_is_its_measurements(board):
    """A session that is told earlier measurements recommends what the session that made them recommended."""
    whole = Session("expected_improvement", seed=0)
    found = run(whole, board())
    cells = found.trajectory.drop_duplicates("arch")
    again = Session("expected_improvement", measured=zip(cells["arch"], cells["latency_ms"], strict=True))
    assert again.recommend() == whole.recommend() and again.ask() is None


def test_a_batch_has_different_cells_that_were_not_measured(board):
    for name in ("expected_improvement", "random", "lut", "paper", "local_search"):
        session = Session(name, start=3, budget=9, seed=1)
        first = session.ask_batch(4)
        assert len(set(first)) == len(first) == 4 and first[0] == 3
        for arch in first:
            session.tell(arch, board().table[arch])
        second = session.ask_batch(9)
        assert len(set(second)) == len(second) <= 5 and not set(second) & set(first)


@pytest.mark.parametrize("fails", [None, np.nan, 0.0, -3.0])
def test_what_was_measured_comes_with_the_error_when_the_device_fails(fails, board):
    with pytest.raises(MeasurementFailed, match="measuring on board failed after 6 steps") as failure:
        run(Session("random"), board(fails_at=7, answer=fails))
    assert len(failure.value.trajectory) == 6


def test_an_interruption_that_another_error_hides_is_an_interruption(board):
    """`threading.Condition` may raise "release unlocked lock" when a signal arrives while it starts to wait."""

    device = board()

    def latency_ms(archs):
        try:
            raise KeyboardInterrupt
        finally:
            raise RuntimeError("release unlocked lock")

    device.latency_ms = latency_ms
    with pytest.raises(KeyboardInterrupt):
        run(Session("random"), device)


@pytest.mark.parametrize("budget", [0, -1, 15_626])
def test_an_impossible_budget_is_refused(budget):
    with pytest.raises(ValueError, match="from 1 to 15625"):
        Session("random", budget=budget)


@pytest.mark.parametrize(("start", "says"), [(-1, "from 0 to 15624"), (15_625, "from 0 to 15624"), ("x", "no cell")])
def test_a_start_that_is_no_cell_is_refused(start, says):
    with pytest.raises(ValueError, match=says):
        Session("random", start=start)


def test_an_unknown_strategy_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="no strategy 'luck': choose one of random"):
        Session("luck")


def test_several_readings_of_a_cell_are_combined_by_their_median():
    session = Session("random", start=5)
    for latency in (3.0, None, 90.0, 5.0):
        session.tell(5, latency)
    session.tell("421211", None)
    assert session.history[5] == 5.0 and session.history[0] == np.inf and len(session.history) == 2


def test_a_device_to_leave_out_must_exist():
    with pytest.raises(ValueError, match="no device raspi5 to leave out"):
        simmore.search("nats_gpu", without=["raspi5"])


# the problem


def test_the_weight_of_latency_moves_the_recommendation():
    score = np.zeros(space.N_ARCHS)
    score[:3] = (0.0, 0.5, 0.8)
    history = History([(0, 1.0), (1, 2.0), (2, 5.0)])  # range 4 ms
    best = [recommend(MeasuredRange(), Problem(score, weight), history).arch for weight in (0.1, 1.0, 3.0)]
    # 0 − 1w/4, 0.5 − 2w/4, 0.8 − 5w/4
    assert best == [2, 1, 0]
    assert ranked(MeasuredRange(), Problem(score), history) == [1, 0, 2]


def test_a_limit_asks_for_the_highest_score_within_it():
    score = np.linspace(0, 1, space.N_ARCHS)
    history = History([(10, 1.0), (20, 2.0), (30, 3.0)])
    assert recommend(MeasuredRange(), Problem(score, max_latency_ms=2.5), history).arch == 20
    assert recommend(MeasuredRange(), Problem(score, max_latency_ms=0.5), history) is None


def test_cells_that_failed_or_are_not_allowed_are_not_recommended(conv_score):
    history = History([(0, np.inf), (1, 2.0), (2, 3.0)])
    allowed = EVERYTHING != 1
    assert ranked(MeasuredRange(), Problem(conv_score), history)[0] != 0
    assert ranked(MeasuredRange(), Problem(conv_score, allowed=allowed), history) == [2]
    assert recommend(MeasuredRange(), Problem(conv_score), History([(0, np.inf)])) is None


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"weight": 0.0}, "weight of latency"),
        ({"weight": np.nan}, "weight of latency"),
        ({"max_latency_ms": -1.0}, "positive number of ms"),
        ({"max_latency_ms": float("nan")}, "positive number of ms"),
        ({"max_params": 0.001}, "no cell is allowed"),
        ({"score": np.zeros(5)}, "one number for each of the 15,625 cells"),
    ],
)
def test_an_impossible_problem_is_refused(change, says):
    with pytest.raises(ValueError, match=says):
        Problem.of(**change)


def test_parameters_are_limited_in_what_is_recommended():
    from simmore import data

    for name in ("expected_improvement", "random", "paper"):
        found = simmore.search("nats_gpu", name, max_params=0.4, seed=2)
        assert data.parameters()[found.arch] <= 0.4


# the public function


def test_search_returns_the_front_that_no_measured_cell_dominates():
    found = simmore.search("nats_gpu", "random", seed=4)
    front, cells = found.front, found.trajectory.drop_duplicates("arch")
    for row in cells.itertuples():
        better = (cells["latency_ms"] <= row.latency_ms) & (cells["score"] >= row.score) & (cells["arch"] != row.arch)
        assert (row.arch in set(front["arch"])) == (not better.any())
    assert found.arch in set(front["arch"]) and found.arch_str == space.to_string(found.arch)


def test_pareto_front_by_hand():
    assert pareto_front([1, 2, 3, 4], [1, 3, 2, 4]).tolist() == [0, 1, 3]
    assert pareto_front([np.inf, 2], [9, 1]).tolist() == [1]


def test_a_stored_device_is_left_out_and_a_users_device_loses_nothing(board, tmp_path, monkeypatch):
    from simmore.strategies import catalogue

    make, seen = catalogue.make, []
    monkeypatch.setattr(
        catalogue, "make", lambda name, problem, known: seen.append(known.without) or make(name, problem, known)
    )
    simmore.search("nats_gpu", "paper", budget=2)
    simmore.search(board(name="raspi4"), "paper", budget=2)
    pd.DataFrame({"arch": EVERYTHING, "latency_ms": 1.0 + EVERYTHING}).to_csv(tmp_path / "raspi4.csv", index=False)
    simmore.search(tmp_path / "raspi4.csv", "paper", budget=2)
    simmore.search(str(tmp_path / "raspi4.csv"), "paper", budget=2)
    simmore.search("nats_gpu", "paper", budget=2, without=["raspi4"])
    assert seen == [("nats_gpu",), (), (), (), ("raspi4",)]
