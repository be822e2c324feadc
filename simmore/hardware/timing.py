"""Honest timing: networks that are compared take turns, and a figure that moved too much is taken again.

A network is run until it is warm. Then all networks are timed in rounds, in a new order each round, so that a
disturbance of the machine meets one round of many networks instead of all rounds of one. A round's figure is the
median of its runs; the latency is the median of its rounds, and their spread a robust relative one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

Run = Callable[[], object]

ROUNDS = 5
REPEATS = 2  # more times as many rounds, for what is not steady
ROUND_MS = 8.0  # a round lasts at least as long
RUNS = 2  # of a round, at least
WIDEST = 0.05  # relative spread of the rounds' medians up to which a figure is trusted
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
        How many runs were timed.
    steady
        Whether the spread is at most `WIDEST`; if not, the rounds were repeated, and it stayed wide.
    """

    latency_ms: float
    spread: float
    runs: int
    steady: bool


def warm(run: Run) -> None:
    """Run until the time of a run has stopped falling, for a second at most."""
    started, times = time.perf_counter(), [_seconds(run)]
    while time.perf_counter() - started < WARM_SECONDS:
        times.append(_seconds(run))
        last, before = times[-WARM_RUNS:], times[1:-WARM_RUNS]
        if before and min(last) > (1 - WARM_CHANGE) * min(before):
            return


def take_turns(
    runs: Sequence[Run], rng: np.random.Generator, *, clock: Callable[[], float] | None = None
) -> list[Timing]:
    """Time networks against one another.

    Parameters
    ----------
    runs
        What runs each network once; all are warm.
    rng
        Draws the order of each round.
    clock
        Seconds that only ever grow; the processor's finest if None.
    """
    clock = clock or time.perf_counter
    rounds: list[list[float]] = [[] for _ in runs]  # medians in ms
    counts = [0] * len(runs)
    pending = list(range(len(runs)))
    for _ in range(1 + REPEATS):
        for _ in range(ROUNDS):
            for one in rng.permutation(pending):
                times = _round(runs[one], clock)
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


def _round(run: Run, clock: Callable[[], float]) -> list[float]:
    """Seconds of each run of one round."""
    times: list[float] = []
    run()  # what another network left in the caches is this one's again
    while len(times) < RUNS or 1000 * sum(times) < ROUND_MS:
        started = clock()
        run()
        times.append(clock() - started)
    return times


def _seconds(run: Run) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started
