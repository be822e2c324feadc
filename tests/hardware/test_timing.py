"""Interleaved timing, against a clock that only moves when a network runs."""

from types import SimpleNamespace

import numpy as np
import pytest

from simmore.hardware import timing


class Clock:
    """A machine on which every run takes a known time."""

    def __init__(self):
        self.now = 0.0
        self.order = []

    def network(self, name, milliseconds):
        """A network; its runs take `milliseconds` one after the other, and the last of these from then on."""
        times = list(milliseconds)

        def run():
            self.order.append(name)
            self.now += (times.pop(0) if len(times) > 1 else times[0]) / 1000

        return run


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(timing, "time", SimpleNamespace(perf_counter=lambda: clock.now))
    return clock


def test_each_network_has_its_own_latency(clock):
    networks = [clock.network("a", [2.0]), clock.network("b", [9.0])]
    one, two = timing.interleaved(networks, np.random.default_rng(0))
    assert one.latency_ms == pytest.approx(2) and two.latency_ms == pytest.approx(9)
    assert one.stable and one.spread == pytest.approx(0, abs=1e-9)
    assert one.runs == timing.ROUNDS * 4 and two.runs == timing.ROUNDS * 2  # 8 ms a round, two runs at least


def test_every_round_times_every_network_once_in_an_order_that_changes(clock):
    timing.interleaved([clock.network(name, [20.0]) for name in "abc"], np.random.default_rng(0))
    runs = timing.RUNS + 1  # the first run of a round is not timed
    rounds = [clock.order[first : first + 3 * runs : runs] for first in range(0, len(clock.order), 3 * runs)]
    assert len(rounds) == timing.ROUNDS and all(sorted(one) == ["a", "b", "c"] for one in rounds)
    assert len({tuple(one) for one in rounds}) > 1


def test_one_disturbed_round_does_not_change_the_latency(clock):
    runs_a_round = 5  # one that is not timed, and four of 2 ms
    disturbed = [2.0] * runs_a_round + [40.0] * 3 + [2.0]
    (found,) = timing.interleaved([clock.network("a", disturbed)], np.random.default_rng(0))
    assert found.latency_ms == pytest.approx(2) and found.stable


def test_an_unstable_latency_is_measured_again_and_then_flagged(clock):
    growing = [float(value) for value in np.geomspace(10, 1000, 60)]
    (found,) = timing.interleaved([clock.network("a", growing)], np.random.default_rng(0))
    assert not found.stable and found.spread > timing.WIDEST
    assert found.runs == timing.RUNS * timing.ROUNDS * (1 + timing.REPEATS)


def test_one_outlier_does_not_change_the_spread():
    assert timing.spread([1, 1, 1, 1, 50]) == 0
    assert timing.spread([9, 10, 11]) == pytest.approx(0.14826)


def test_warming_up_ends_when_the_time_of_a_run_no_longer_falls(clock):
    timing.warm(clock.network("a", [50.0, 30.0, 20.0, 15.0, 12.0, 10.0]))
    assert len(clock.order) == 6 + timing.WARM_RUNS  # the six that fall, and the runs that show it


def test_warming_up_ends_after_a_second_for_a_network_that_is_faster_in_every_run(clock):
    timing.warm(clock.network("a", 100 * 0.9 ** np.arange(1000.0)))
    assert clock.now == pytest.approx(timing.WARM_SECONDS, abs=0.1)
