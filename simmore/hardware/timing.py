"""Interleaved timing: networks are timed in rounds, and an unstable latency is measured again.

Each network runs until it is warm. All networks are then timed in rounds, in a new order each round, so that a
disturbance of the machine affects one round of many networks instead of all rounds of one. The value of a round is the
median of its runs. The latency is the median over rounds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

Run = Callable[[], object]

ROUNDS = 5
REPEATS = 2  # times that the rounds of an unstable latency are repeated
ROUND_MS = 8.0  # shortest round
RUNS = 2  # fewest runs of a round
WIDEST = 0.05  # largest relative spread of a stable latency
WARM_RUNS, WARM_SECONDS, WARM_CHANGE = 3, 1.0, 0.05


@dataclass(frozen=True)
class Timing:
    """Latency of one network.

    Attributes
    ----------
    latency_ms
        Median over rounds of the median of a round's runs.
    spread
        Relative: 1.48 times the median distance of a round from the latency, over the latency.
    runs
        Number of timed runs.
    stable
        Whether the spread is at most `WIDEST`; False if it is still larger after all repetitions.
    """

    latency_ms: float
    spread: float
    runs: int
    stable: bool


def warm(run: Run) -> None:
    """Run until the time of a run no longer falls, for a second at most."""
    started, times = time.perf_counter(), [_seconds(run)]
    while time.perf_counter() - started < WARM_SECONDS:
        times.append(_seconds(run))
        last, before = times[-WARM_RUNS:], times[1:-WARM_RUNS]
        if before and min(last) > (1 - WARM_CHANGE) * min(before):
            return


def interleaved(runs: Sequence[Run], rng: np.random.Generator) -> list[Timing]:
    """Time networks against one another.

    Parameters
    ----------
    runs
        Functions that run each network once; all networks are warm.
    rng
        Draws the order of each round.
    """
    rounds: list[list[float]] = [[] for _ in runs]  # medians in ms
    counts = [0] * len(runs)
    pending = list(range(len(runs)))
    for _ in range(1 + REPEATS):
        for _ in range(ROUNDS):
            for one in rng.permutation(pending):
                times = _round(runs[one])
                rounds[one].append(1000 * float(np.median(times)))
                counts[one] += len(times)
        pending = [one for one in pending if spread(rounds[one]) > WIDEST]
        if not pending:
            break
    return [
        Timing(float(np.median(medians)), spread(medians), count, spread(medians) <= WIDEST)
        for medians, count in zip(rounds, counts, strict=True)
    ]


def spread(medians: Sequence[float]) -> float:
    """Robust relative spread: 1.48 median absolute deviations over the median (a standard deviation, if normal)."""
    middle = float(np.median(medians))
    return 1.4826 * float(np.median(np.abs(np.asarray(medians) - middle))) / middle


def _round(run: Run) -> list[float]:
    """Seconds of each run of one round."""
    times: list[float] = []
    total = 0.0
    run()  # not timed: another network has used the caches since the last round
    while len(times) < RUNS or 1000 * total < ROUND_MS:
        times.append(_seconds(run))
        total += times[-1]
    return times


def _seconds(run: Run) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started
