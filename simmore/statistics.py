"""Statistics of many runs on many devices: no claim without its interval.

Runs are matrices ``(devices, starts)``; smaller is better, as regrets are. Source: Agarwal et al. (2021), *Deep
Reinforcement Learning at the Edge of the Statistical Precipice*.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

REPETITIONS = 2_000  # of a bootstrap


def interquartile_mean(runs: ArrayLike) -> float:
    """Mean of the middle half of all runs.

    >>> interquartile_mean([[0, 1, 2, 100]])
    1.5
    """
    from scipy.stats import trim_mean

    return float(trim_mean(np.asarray(runs, dtype=np.float64), 0.25, axis=None))


def stratified_bootstrap(
    runs: ArrayLike,
    statistic: Callable[[NDArray[np.float64]], float] = interquartile_mean,
    *,
    level: float = 0.95,
    repetitions: int = REPETITIONS,
    seed: int = 0,
) -> tuple[float, float]:
    """Percentile interval of a statistic of ``(devices, starts, …)``, starts redrawn within each device.

    The devices are those that there are: the interval says how sure the figure is on them, not on all devices.
    """
    runs = np.asarray(runs, dtype=np.float64)
    rng = np.random.default_rng(seed)
    rows = np.arange(len(runs))[:, None]
    drawn = [statistic(runs[rows, rng.integers(runs.shape[1], size=runs.shape[:2])]) for _ in range(repetitions)]
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def performance_profile(runs: ArrayLike, thresholds: ArrayLike) -> NDArray[np.float64]:
    """Share of runs that are at most each threshold ``(thresholds,)``.

    >>> performance_profile([[0, 1], [2, 3]], [0.5, 2])
    array([0.25, 0.75])
    """
    return (np.asarray(runs).ravel() <= np.asarray(thresholds)[:, None]).mean(axis=1)


def probability_of_improvement(ours: ArrayLike, theirs: ArrayLike) -> float:
    """Probability that a run of ours is smaller than one of theirs on the same device, mean over devices; ties halve.

    >>> probability_of_improvement([[0, 1]], [[1, 2]])
    0.875
    """
    ours, theirs = np.asarray(ours)[:, :, None], np.asarray(theirs)[:, None, :]
    return float(((ours < theirs) + 0.5 * (ours == theirs)).mean(axis=(1, 2)).mean())
