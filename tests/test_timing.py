"""Timing, against a clock that only moves when a network runs."""

import numpy as np
import pytest

from simmore.hardware import timing


class Clock:
    """A machine on which every run takes a known time."""

    def __init__(self):
        self.now = 0.0
        self.order = []

    def network(self, name, milliseconds):
        """A network; `milliseconds` are used one after the other, the last again and again."""
        times = list(milliseconds)

        def run():
            self.order.append(name)
            self.now += (times.pop(0) if len(times) > 1 else times[0]) / 1000

        return run

    def __call__(self):
        return self.now


def test_steady_networks_have_their_own_times():
    clock = Clock()
    one, two = timing.take_turns(
        [clock.network("a", [2.0]), clock.network("b", [9.0])], np.random.default_rng(0), clock=clock
    )
    assert one.latency_ms == pytest.approx(2) and two.latency_ms == pytest.approx(9)
    assert one.steady and one.spread == pytest.approx(0, abs=1e-9)
    assert one.runs == timing.ROUNDS * 4 and two.runs == timing.ROUNDS * 2  # 8 ms a round, two runs at least


def test_networks_take_turns():
    clock = Clock()
    timing.take_turns([clock.network(name, [20.0]) for name in "abc"], np.random.default_rng(0), clock=clock)
    runs = timing.RUNS + 1
    rounds = [clock.order[first : first + 3 * runs : runs] for first in range(0, len(clock.order), 3 * runs)]
    assert len(rounds) == timing.ROUNDS and all(sorted(one) == ["a", "b", "c"] for one in rounds)
    assert len({tuple(one) for one in rounds}) > 1


def test_one_disturbed_round_does_not_count():
    clock = Clock()
    runs_a_round = 5  # one that does not count, and four of 2 ms
    disturbed = [2.0] * runs_a_round + [40.0] * 3 + [2.0]
    (found,) = timing.take_turns([clock.network("a", disturbed)], np.random.default_rng(0), clock=clock)
    assert found.latency_ms == pytest.approx(2) and found.steady


def test_what_moves_is_repeated_and_then_flagged():
    clock = Clock()
    growing = [float(value) for value in np.geomspace(10, 1000, 60)]
    (found,) = timing.take_turns([clock.network("a", growing)], np.random.default_rng(0), clock=clock)
    assert not found.steady and found.spread > timing.WIDEST
    assert found.runs == timing.RUNS * timing.ROUNDS * (1 + timing.REPEATS)


def test_spread_is_robust():
    assert timing.spread([1, 1, 1, 1, 50]) == 0
    assert timing.spread([9, 10, 11]) == pytest.approx(0.14826)


def test_warming_up_ends_for_a_network_that_keeps_its_time_and_for_one_that_never_does():
    calls = []
    timing.warm(lambda: calls.append(1) or sum(range(20_000)))
    assert len(calls) >= timing.WARM_RUNS
