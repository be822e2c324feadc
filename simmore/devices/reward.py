"""The reward of a cell on a device (paper, section 3.1), and the normalised regret of what a search found."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

_SMALLEST_RANGE = 1e-12  # relative to the slowest cell: a device with equal latencies has no range to divide by
_ROBUST = (0.001, 0.999)  # quantiles


def bounds(latency_ms: ArrayLike, *, robust: bool = False) -> tuple[float, float]:
    """The range of a device: its fastest and its slowest finite latency.

    The paper's reward has this range. A single wrong reading among all cells changes it, so results are also judged by
    the range from the 0.1 % to the 99.9 % quantile.

    >>> bounds([1.0, 2.0, 5.0, float("inf"), float("nan")])
    (1.0, 5.0)

    Parameters
    ----------
    latency_ms
        ``(…)`` in ms; failed cells (inf) and cells that were not measured (NaN) do not count.
    robust
        The quantiles take the place of the extremes.
    """
    latency = np.asarray(latency_ms)
    finite = latency[np.isfinite(latency)]
    fastest, slowest = np.quantile(finite, _ROBUST) if robust else (finite.min(), finite.max())
    return float(fastest), float(slowest)


def inverse_latency(latency_ms: ArrayLike, bounds_ms: tuple[ArrayLike, ArrayLike] | None = None) -> NDArray[np.float64]:
    """Inverse latency ℓ̄ = 1 − (latency − fastest) / (slowest − fastest).

    >>> inverse_latency([1.0, 2.0, 5.0])
    array([1.  , 0.75, 0.  ])

    Parameters
    ----------
    latency_ms
        ``(…)`` in ms; a cell that does not compile is inf, and gets −inf. NaN stays NaN.
    bounds_ms
        Latencies in ms that get 1 and 0: the fastest and the slowest, each a number or an array that broadcasts
        against `latency_ms`. By default `bounds` of `latency_ms`, as of all cells of a device.

    Returns
    -------
    ndarray
        ``(…)``, in float32 if latencies and bounds are.
    """
    latency = np.asarray(latency_ms)
    if not np.issubdtype(latency.dtype, np.floating):
        latency = latency.astype(np.float64)
    if bounds_ms is None:
        bounds_ms = bounds(latency)
    fastest, slowest = (np.asarray(bound) for bound in bounds_ms)
    return 1 - (latency - fastest) / np.maximum(slowest - fastest, _SMALLEST_RANGE * slowest)


def reward(
    score: ArrayLike,
    latency_ms: ArrayLike,
    *,
    weight: float = 1.0,
    bounds_ms: tuple[ArrayLike, ArrayLike] | None = None,
    robust: bool = False,
) -> NDArray[np.float64]:
    """Reward r = p + weight · ℓ̄ of cells ``(…)``; the paper's weight is 1. A cell that does not compile gets −inf.

    >>> reward([0.0, 1.0, 0.5], [1.0, 2.0, 5.0])
    array([1.  , 1.75, 0.5 ])

    Parameters
    ----------
    score
        Training-free score p, ``(…)``.
    latency_ms, bounds_ms
        As in `inverse_latency`.
    weight
        Of latency.
    robust
        For judging results, with latencies of all cells: the range is the robust one of `bounds`, and finite latencies
        outside of it are clipped to it, so that ℓ̄ stays within [0, 1].
    """
    if robust:
        latency = np.asarray(latency_ms, dtype=np.float64)
        bounds_ms = bounds(latency, robust=True)
        latency_ms = np.where(np.isfinite(latency), np.clip(latency, *bounds_ms), latency)
    inverse = np.asarray(inverse_latency(latency_ms, bounds_ms))
    np.multiply(weight, inverse, out=inverse, where=np.isfinite(inverse))  # −inf stays −inf if the weight is 0
    return np.asarray(score) + inverse


def optimum(score: ArrayLike, latency_ms: ArrayLike) -> int:
    """h*: NATS index of the cell with the highest reward on a device, from the score and latency of all cells.

    A cell that was not measured (NaN) is never the optimum.

    >>> optimum([0.0, 1.0, 0.5], [1.0, 2.0, 5.0])
    1
    """
    return int(np.nanargmax(reward(score, latency_ms)))


def random_search_reward(rewards: ArrayLike, budget: int = 10) -> float:
    """r₁₀: expected best reward of `budget` uniformly random cells, computed exactly from the order statistics.

    Cells without a finite reward do not count.

    >>> random_search_reward([0.0, 1.0], budget=2)
    0.75
    """
    ordered = np.sort(np.asarray(rewards, dtype=np.float64))
    ordered = ordered[np.isfinite(ordered)]
    share = np.arange(len(ordered) + 1) / len(ordered)
    return float(ordered @ np.diff(share**budget))


def normalised_regret(rewards: ArrayLike, archs: ArrayLike) -> NDArray[np.float64]:
    """(r* − r) / (r* − r₁₀) of cells ``(…)``, given the rewards of all cells.

    0: h*, 1: the best of ten random cells, on average. Cells that were not measured (NaN) do not count.
    """
    rewards = np.asarray(rewards, dtype=np.float64)
    best = np.nanmax(rewards)
    return (best - rewards[np.asarray(archs)]) / (best - random_search_reward(rewards))
