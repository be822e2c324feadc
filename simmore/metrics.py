"""Measures of cells and searches: reward, normalised regret, rank correlation, intervals.

Small functions on arrays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    import pandas as pd


def inverse_latency(latency_ms: ArrayLike) -> NDArray[np.float64]:
    """ℓ̄ = 1 − ℓ of all cells of a device, ``(15625,)`` in ms: 1 for its fastest cell, 0 for its slowest.

    A cell that does not compile (inf) has −inf.
    """
    latency = np.asarray(latency_ms, dtype=np.float64)
    known = latency[np.isfinite(latency)]
    return 1 - (latency - known.min()) / (known.max() - known.min())


def reward(score: ArrayLike, latency_ms: ArrayLike) -> NDArray[np.float64]:
    """Reward r = p + ℓ̄ of all cells of a device (paper, section 3.1): scores and latencies in ms, both ``(15625,)``."""
    return np.asarray(score) + inverse_latency(latency_ms)


def random_search_reward(rewards: ArrayLike, budget: int = 10) -> float:
    """r₁₀: the expected best reward of `budget` cells drawn uniformly, exactly, from the order statistics.

    >>> random_search_reward([0.0, 1.0], budget=2)
    0.75
    """
    ordered = np.sort(np.asarray(rewards, dtype=np.float64))
    ordered = ordered[np.isfinite(ordered)]
    share = np.arange(len(ordered) + 1) / len(ordered)
    return float(ordered @ np.diff(share**budget))


def normalised_regret(rewards: ArrayLike, archs: ArrayLike) -> NDArray[np.float64]:
    """(r* − r) / (r* − r₁₀) of cells ``(…)``, given all rewards ``(15625,)``: 0 is perfect, 1 random search."""
    rewards = np.asarray(rewards, dtype=np.float64)
    best = rewards.max()
    return (best - rewards[np.asarray(archs)]) / (best - random_search_reward(rewards))


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


def optimum(score: ArrayLike, latency_ms: ArrayLike) -> int:
    """h*: NATS index of the cell with the highest reward on a device, from scores and latencies ``(15625,)``."""
    return int(reward(score, latency_ms).argmax())


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
