"""Interleaved timing, against a clock that only moves when a network runs."""

import numpy as np
import pytest

from simmore.hardware import timing


class Machine:
    """A machine on which every run takes a known time, and other programs may take the core in the middle of a run."""

    def __init__(self):
        self.now, self.used, self.switches = 0.0, 0.0, 0
        self.order = []

    def clock(self):
        return timing.Reading(self.now, self.used, self.switches)

    def network(self, name, milliseconds, *, taken=lambda run: 0.0, waits=lambda run: 0.0):
        """A network; its runs take `milliseconds` one after the other, and the last of these from then on.

        In run k, another program takes the core for ``taken(k)`` ms; the network waits ``waits(k)`` ms by itself.
        """
        times = list(milliseconds)
        runs = iter(range(10**9))

        def run():
            self.order.append(name)
            alone, k = times.pop(0) if len(times) > 1 else times[0], next(runs)
            self.now += (alone + taken(k) + waits(k)) / 1000
            self.used += alone / 1000
            self.switches += taken(k) > 0

        return run


@pytest.fixture
def machine(monkeypatch):
    machine = Machine()
    monkeypatch.setattr(timing, "clock", machine.clock)
    return machine


def timed(*networks):
    return timing.interleaved(networks, np.random.default_rng(0))


def test_each_network_has_its_own_latency(machine):
    one, two = timed(machine.network("a", [2.0]), machine.network("b", [9.0]))
    assert one.latency_ms == pytest.approx(2) and two.latency_ms == pytest.approx(9)
    assert one.stable and one.spread == pytest.approx(0, abs=1e-9) and not one.disturbed and one.preempted == 0
    assert one.runs == timing.ROUNDS * 4 and two.runs == timing.ROUNDS * 2  # 8 ms a round, two runs at least


def test_every_round_times_every_network_once_in_an_order_that_changes(machine):
    timed(*[machine.network(name, [20.0]) for name in "abc"])
    runs = timing.RUNS + 1  # the first run of a round is not timed
    rounds = [machine.order[first : first + 3 * runs : runs] for first in range(0, len(machine.order), 3 * runs)]
    assert len(rounds) == timing.ROUNDS and all(sorted(one) == ["a", "b", "c"] for one in rounds)
    assert len({tuple(one) for one in rounds}) > 1


def test_one_disturbed_round_does_not_change_the_latency(machine):
    runs_a_round = 5  # one that is not timed, and four of 2 ms
    disturbed = [2.0] * runs_a_round + [40.0] * 3 + [2.0]
    (found,) = timed(machine.network("a", disturbed))
    assert found.latency_ms == pytest.approx(2) and found.stable


@pytest.mark.parametrize(("n_rounds", "latency_ms"), [(5, 40), (20, 2)])
def test_more_rounds_outlast_a_disturbance_of_many_rounds(machine, n_rounds, latency_ms):
    runs_a_round = 1 + timing.RUNS  # of 40 ms
    network = machine.network("a", [40.0] * 5 * runs_a_round + [2.0])
    (found,) = timing.interleaved([network], np.random.default_rng(0), n_rounds)
    assert found.latency_ms == pytest.approx(latency_ms) and found.stable


def test_an_unstable_latency_is_measured_again_and_then_flagged(machine):
    growing = [float(value) for value in np.geomspace(10, 1000, 60)]
    (found,) = timed(machine.network("a", growing))
    assert not found.stable and found.spread > timing.WIDEST
    assert found.runs == timing.RUNS * timing.ROUNDS * (1 + timing.REPEATS)


@pytest.mark.parametrize("how", ["taken", "waits"])
def test_preempted_runs_are_left_out(machine, how):
    """Every third run loses the core for as long as it lasts, with or without a context switch that is counted."""
    (found,) = timed(machine.network("a", [2.0], **{how: lambda run: 2.0 * (run % 3 == 0)}))
    assert found.latency_ms == pytest.approx(2) and found.stable and not found.disturbed
    assert 0.1 < found.preempted < 0.5


def test_a_latency_whose_runs_are_all_preempted_is_disturbed_although_its_spread_is_small(machine):
    (found,) = timed(machine.network("a", [6.0], taken=lambda run: 6.0))
    assert found.latency_ms == pytest.approx(12) and found.stable and found.spread < 0.01  # looks steady
    assert found.disturbed and found.preempted == 1
    assert found.runs == timing.PATIENCE * timing.RUNS * timing.ROUNDS * (1 + timing.REPEATS)  # it was repeated


def test_a_disturbance_that_ends_is_waited_for(machine):
    busy = timing.PATIENCE * timing.RUNS * timing.ROUNDS
    (found,) = timed(machine.network("a", [6.0], taken=lambda run: 6.0 * (run < busy)))
    assert found.latency_ms == pytest.approx(6) and not found.disturbed


def test_a_network_that_waits_a_little_for_its_own_threads_is_not_preempted(machine):
    (found,) = timed(machine.network("a", [0.3], waits=lambda run: 0.05))
    assert found.preempted == 0 and found.latency_ms == pytest.approx(0.35)


def test_the_clock_of_a_process_counts_its_time_and_that_of_its_processor():
    before = timing.clock()
    total = sum(range(10**6))
    after = timing.clock()
    assert total and after.seconds > before.seconds and after.processor_seconds > before.processor_seconds
    assert after.switches >= before.switches


def test_one_outlier_does_not_change_the_spread():
    assert timing.spread([1, 1, 1, 1, 50]) == 0
    assert timing.spread([9, 10, 11]) == pytest.approx(0.14826)


def test_warming_up_ends_when_the_time_of_a_run_no_longer_falls(machine):
    timing.warm(machine.network("a", [50.0, 30.0, 20.0, 15.0, 12.0, 10.0]))
    assert len(machine.order) == 6 + timing.WARM_RUNS  # the six that fall, and the runs that show it


def test_warming_up_ends_after_a_second_for_a_network_that_is_faster_in_every_run(machine):
    timing.warm(machine.network("a", 100 * 0.9 ** np.arange(1000.0)))
    assert machine.now == pytest.approx(timing.WARM_SECONDS, abs=0.1)
