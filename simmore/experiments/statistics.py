"""Statistics of many runs on many devices: no claim without its interval.

Runs are matrices ``(devices, starts)``; smaller is better, as regrets are. Source: Agarwal et al. (2021), *Deep
Reinforcement Learning at the Edge of the Statistical Precipice*.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    import pandas as pd

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


def spearman(a: ArrayLike, b: ArrayLike) -> float:
    """Spearman's rank correlation of two samples ``(n,)``."""
    from scipy.stats import spearmanr

    return float(spearmanr(a, b).statistic)


def kendall(a: ArrayLike, b: ArrayLike) -> float:
    """Kendall's τ-b of two samples ``(n,)``."""
    from scipy.stats import kendalltau

    return float(kendalltau(a, b).statistic)


def spearman_interval(
    a: ArrayLike, b: ArrayLike, *, resamples: int = 300, level: float = 0.95, rng: np.random.Generator
) -> tuple[float, float]:
    """Percentile bootstrap interval of Spearman's rank correlation of two samples ``(n,)``."""
    from scipy.stats import bootstrap

    pairs = np.stack([np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)])
    found = bootstrap(
        pairs, spearman, paired=True, vectorized=False, n_resamples=resamples, confidence_level=level,
        method="percentile", rng=rng,
    )  # fmt: skip
    return float(found.confidence_interval.low), float(found.confidence_interval.high)


def mean_interval(values: ArrayLike, *, level: float = 0.95) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Student's interval of the mean over the first axis: values ``(n, …)`` to low and high ``(…)``.

    Raises
    ------
    ValueError
        For fewer than two values, whose spread is unknown.
    """
    from scipy.stats import t

    values = np.asarray(values, dtype=np.float64)
    if len(values) < 2:
        raise ValueError("an interval of the mean needs at least two values")
    half = t.ppf((1 + level) / 2, len(values) - 1) * values.std(axis=0, ddof=1) / np.sqrt(len(values))
    return values.mean(axis=0) - half, values.mean(axis=0) + half


def curve_intervals(curves: pd.DataFrame) -> pd.DataFrame:
    """Mean and 95 % interval over seeds of every metric of a training curve, at every evaluation.

    Parameters
    ----------
    curves
        ``seed``, ``timestep`` and the metrics, a row an evaluation.

    Returns
    -------
    pandas.DataFrame
        Indexed by ``(metric, timestep)``: ``mean``, ``low``, ``high``.
    """
    import pandas as pd

    parts = {}
    for metric in curves.columns.difference(["seed", "timestep"], sort=False):
        wide = curves.pivot_table(index="seed", columns="timestep", values=metric)  # (seeds, evaluations)
        low, high = mean_interval(wide.to_numpy())
        parts[metric] = pd.DataFrame({"mean": wide.mean(), "low": low, "high": high})
    return pd.concat(parts, names=["metric", "timestep"])
