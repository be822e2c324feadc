"""Statistics of many runs, and their confidence intervals.

Source of the interquartile mean, profiles and the probability of improvement: Agarwal et al. (2021), *Deep
Reinforcement Learning at the Edge of the Statistical Precipice*. Smaller is better, as for regrets.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Statistic = Callable[[NDArray[np.float64]], Any]


class Interval(NamedTuple):
    """A statistic and its confidence interval; floats, or arrays of one shape."""

    value: Any
    low: Any
    high: Any


def interval(values: ArrayLike, statistic: Statistic | None = None, *, level: float = 0.95) -> Interval:
    """Jackknife interval of a statistic: a Student interval whose standard error comes from leaving out one unit each.

    For the mean, it equals the usual Student interval. No random numbers are involved.

    Parameters
    ----------
    values
        ``(n, …)``: n independent units along the first axis, such as seeds, starts, draws or groups of cells.
    statistic
        Function of values ``(m, …)`` that returns a number or an array; the mean over the first axis if None.

    Raises
    ------
    ValueError
        For fewer than two units, whose spread is unknown.

    Examples
    --------
    >>> found = interval([1.0, 2.0, 3.0])
    >>> round(found.value, 3), round(found.low, 3), round(found.high, 3)
    (2.0, -0.484, 4.484)
    """
    from scipy.stats import t

    values = np.asarray(values, dtype=np.float64)
    n = len(values)
    if n < 2:
        raise ValueError("an interval needs at least two units")
    statistic = statistic or (lambda part: part.mean(axis=0))
    value = np.asarray(statistic(values))
    without = np.stack([np.asarray(statistic(np.delete(values, k, axis=0))) for k in range(n)])
    error = np.sqrt((n - 1) / n * ((without - without.mean(axis=0)) ** 2).sum(axis=0))
    half = t.ppf((1 + level) / 2, n - 1) * error
    return Interval(*(part.item() if part.ndim == 0 else part for part in (value, value - half, value + half)))


def spearman(a: ArrayLike, b: ArrayLike) -> float:
    """Spearman's rank correlation of two samples ``(n,)``."""
    from scipy.stats import spearmanr

    return float(spearmanr(a, b).statistic)


def kendall(a: ArrayLike, b: ArrayLike) -> float:
    """Kendall's τ-b of two samples ``(n,)``."""
    from scipy.stats import kendalltau

    return float(kendalltau(a, b).statistic)


def spearman_interval(a: ArrayLike, b: ArrayLike, *, groups: int = 25) -> Interval:
    """Interval of Spearman's rank correlation over cells ``(n,)`` in random order, such as NATS order.

    The units are equal groups of neighbouring cells; cells that do not fill a group are left out of the error.
    """
    return _over_cells(spearman, a, b, groups)


def kendall_interval(a: ArrayLike, b: ArrayLike, *, groups: int = 25) -> Interval:
    """Interval of Kendall's τ-b over cells, as `spearman_interval`."""
    return _over_cells(kendall, a, b, groups)


def _over_cells(correlation: Callable[..., float], a: ArrayLike, b: ArrayLike, groups: int) -> Interval:
    """Interval of a correlation over groups of cells."""
    value = correlation(a, b)
    pairs = np.stack([np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)], axis=-1)
    pairs = pairs[: len(pairs) // groups * groups].reshape(groups, -1, 2)
    found = interval(pairs, lambda part: correlation(part[..., 0].ravel(), part[..., 1].ravel()))
    return Interval(value, value + found.low - found.value, value + found.high - found.value)


def interquartile_mean(runs: ArrayLike) -> float:
    """Mean of the middle half of all runs.

    >>> interquartile_mean([[0, 1, 2, 100]])
    1.5
    """
    from scipy.stats import trim_mean

    return float(trim_mean(np.asarray(runs, dtype=np.float64), 0.25, axis=None))


def performance_profile(runs: ArrayLike, thresholds: ArrayLike) -> NDArray[np.float64]:
    """Share of runs that are at most each threshold ``(thresholds,)``.

    >>> performance_profile([[0, 1], [2, 3]], [0.5, 2])
    array([0.25, 0.75])
    """
    return (np.asarray(runs).ravel() <= np.asarray(thresholds)[:, None]).mean(axis=1)


def probability_of_improvement(ours: ArrayLike, theirs: ArrayLike) -> float:
    """Probability that a run of ours is smaller than one of theirs, mean over devices; ties count half.

    Runs are ``(devices, starts)``.

    >>> probability_of_improvement([[0, 1]], [[1, 2]])
    0.875
    """
    ours, theirs = np.asarray(ours)[:, :, None], np.asarray(theirs)[:, None, :]
    return float(((ours < theirs) + 0.5 * (ours == theirs)).mean(axis=(1, 2)).mean())
