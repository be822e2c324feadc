"""Interleaved timing: networks are timed in rounds, preempted runs are left out, and a doubtful latency is timed again.

Each network runs until it is warm. All networks are then timed in rounds, in a new order each round, so that a
disturbance of the machine affects one round of many networks instead of all rounds of one. The value of a round is the
median of its runs. The latency is the median over rounds.

A run is *preempted* if the system gave the core to another program during the run. It shows as an involuntary context
switch, or as much less processor time than the run lasted. Such a run measures other programs too. A round needs enough
runs that were not preempted; a latency without enough such rounds is *disturbed*.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

Run = Callable[[], object]

ROUNDS = 5
FEWEST_ROUNDS = 3  # undisturbed rounds of a latency
REPEATS = 2  # times that the rounds of a doubtful latency are repeated
ROUND_MS = 8.0  # shortest round
RUNS = 2  # fewest runs of a round
PATIENCE = 4  # a round ends after this multiple of its shortest length, even if runs were preempted
WIDEST = 0.05  # largest relative spread of a stable latency
IDLE, IDLE_MS = 0.1, 0.1  # a run that waits for more than this share of its time plus this many ms is preempted
WARM_RUNS, WARM_SECONDS, WARM_CHANGE = 3, 1.0, 0.05


class Reading(NamedTuple):
    """Reading of the clock of a process: seconds, its processor time in seconds, its involuntary context switches."""

    seconds: float
    processor_seconds: float
    switches: int


def clock() -> Reading:
    """The clock of this process, with all its threads."""
    import resource  # not on Windows, where nothing can be measured

    switches = resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw
    return Reading(time.perf_counter(), time.process_time(), switches)


@dataclass(frozen=True)
class Timing:
    """Latency of one network.

    Attributes
    ----------
    latency_ms
        Median over rounds of the median of a round's runs; of undisturbed rounds and runs, where there are enough.
    spread
        Relative: 1.48 times the median distance of a round from the latency, over the latency.
    runs
        Number of timed runs.
    preempted
        Share of the runs that were preempted.
    stable
        Whether the spread is at most `WIDEST`; False if it is still larger after all repetitions.
    disturbed
        Whether fewer than `FEWEST_ROUNDS` rounds are free of preempted runs, after all repetitions.
    """

    latency_ms: float
    spread: float
    runs: int
    preempted: float
    stable: bool
    disturbed: bool


@dataclass(frozen=True)
class _Round:
    """Median of its runs in ms, numbers of runs and of preempted ones, whether the median contains preempted ones."""

    median_ms: float
    runs: int
    preempted: int
    disturbed: bool


def warm(run: Run) -> None:
    """Run until the time of a run no longer falls, for a second at most."""
    started, times = clock().seconds, [_timed(run)[0]]
    while clock().seconds - started < WARM_SECONDS:
        times.append(_timed(run)[0])
        last, before = times[-WARM_RUNS:], times[1:-WARM_RUNS]
        if before and min(last) > (1 - WARM_CHANGE) * min(before):
            return


def interleaved(runs: Sequence[Run], rng: np.random.Generator, n_rounds: int = ROUNDS) -> list[Timing]:
    """Time networks against one another.

    Parameters
    ----------
    runs
        Functions that run each network once; all networks are warm.
    rng
        Draws the order of each round.
    n_rounds
        How many rounds, and how many more for each repetition.
    """
    rounds: list[list[_Round]] = [[] for _ in runs]
    pending = list(range(len(runs)))
    for _ in range(1 + REPEATS):
        for _ in range(n_rounds):
            for one in rng.permutation(pending):
                rounds[one].append(_round(runs[one]))
        pending = [one for one in pending if not _combined(rounds[one]).stable or _combined(rounds[one]).disturbed]
        if not pending:
            break
    return [_combined(each) for each in rounds]


def _combined(rounds: Sequence[_Round]) -> Timing:
    """Combine the rounds of one network into its latency."""
    clean = [one.median_ms for one in rounds if not one.disturbed]
    disturbed = len(clean) < FEWEST_ROUNDS
    medians = [one.median_ms for one in rounds] if disturbed else clean
    runs = sum(one.runs for one in rounds)
    preempted = sum(one.preempted for one in rounds) / runs
    wide = spread(medians)
    return Timing(float(np.median(medians)), wide, runs, preempted, wide <= WIDEST, disturbed)


def spread(medians: Sequence[float]) -> float:
    """Robust relative spread: 1.48 median absolute deviations over the median (a standard deviation, if normal)."""
    middle = float(np.median(medians))
    return 1.4826 * float(np.median(np.abs(np.asarray(medians) - middle))) / middle


def _round(run: Run) -> _Round:
    """Time one round of a network."""
    run()  # not timed: another network has used the caches since the last round
    clean: list[float] = []  # ms of runs that were not preempted
    others: list[float] = []
    while len(clean) < RUNS or sum(clean) < ROUND_MS:
        seconds, preempted = _timed(run)
        (others if preempted else clean).append(1000 * seconds)
        if len(clean) + len(others) >= PATIENCE * RUNS and sum(clean) + sum(others) >= PATIENCE * ROUND_MS:
            break
    disturbed = len(clean) < RUNS
    times = clean + others if disturbed else clean
    return _Round(float(np.median(times)), len(clean) + len(others), len(others), disturbed)


def _timed(run: Run) -> tuple[float, bool]:
    """Seconds of one run, and whether it was preempted."""
    before = clock()
    run()
    after = clock()
    seconds = after.seconds - before.seconds
    idle = seconds - (after.processor_seconds - before.processor_seconds)
    return seconds, after.switches > before.switches or idle > IDLE * seconds + IDLE_MS / 1000
