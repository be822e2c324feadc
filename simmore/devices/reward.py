"""The reward of a cell on a device (paper, section 3.1), and the normalised regret of what a search found."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

_SMALLEST_RANGE_MS = 1e-12  # a device with equal latencies has no range to divide by


def inverse_latency(latency_ms: ArrayLike, bounds_ms: tuple[ArrayLike, ArrayLike] | None = None) -> NDArray[np.float64]:
    """Inverse latency ℓ̄ = 1 − (latency − fastest) / (slowest − fastest).

    >>> inverse_latency([1.0, 2.0, 5.0])
    array([1.  , 0.75, 0.  ])

    Parameters
    ----------
    latency_ms
        ``(…)`` in ms; a cell that does not compile is inf, and gets −inf.
    bounds_ms
        Latencies in ms that get 1 and 0: the fastest and the slowest, each a number or an array that broadcasts
        against `latency_ms`. By default the smallest and the largest finite `latency_ms`, as of all cells of a device.

    Returns
    -------
    ndarray
        ``(…)``, in float32 if latencies and bounds are.
    """
    latency = np.asarray(latency_ms)
    if not np.issubdtype(latency.dtype, np.floating):
        latency = latency.astype(np.float64)
    if bounds_ms is None:
        finite = latency[np.isfinite(latency)]
        bounds_ms = finite.min(), finite.max()
    fastest, slowest = (np.asarray(bound) for bound in bounds_ms)
    return 1 - (latency - fastest) / np.maximum(slowest - fastest, _SMALLEST_RANGE_MS)


def reward(
    score: ArrayLike,
    latency_ms: ArrayLike,
    *,
    weight: float = 1.0,
    bounds_ms: tuple[ArrayLike, ArrayLike] | None = None,
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
    """
    inverse = np.asarray(inverse_latency(latency_ms, bounds_ms))
    np.multiply(weight, inverse, out=inverse, where=np.isfinite(inverse))  # −inf stays −inf if the weight is 0
    return np.asarray(score) + inverse


def optimum(score: ArrayLike, latency_ms: ArrayLike) -> int:
    """h*: NATS index of the cell with the highest reward on a device, from the score and latency of all cells.

    >>> optimum([0.0, 1.0, 0.5], [1.0, 2.0, 5.0])
    1
    """
    return int(reward(score, latency_ms).argmax())


def random_search_reward(rewards: ArrayLike, budget: int = 10) -> float:
    """r₁₀: expected best reward of `budget` uniformly random cells, computed exactly from the order statistics.

    >>> random_search_reward([0.0, 1.0], budget=2)
    0.75
    """
    ordered = np.sort(np.asarray(rewards, dtype=np.float64))
    ordered = ordered[np.isfinite(ordered)]
    share = np.arange(len(ordered) + 1) / len(ordered)
    return float(ordered @ np.diff(share**budget))


def normalised_regret(rewards: ArrayLike, archs: ArrayLike) -> NDArray[np.float64]:
    """(r* − r) / (r* − r₁₀) of cells ``(…)``, given the rewards of all cells: 0 is perfect, 1 is random search."""
    rewards = np.asarray(rewards, dtype=np.float64)
    best = rewards.max()
    return (best - rewards[np.asarray(archs)]) / (best - random_search_reward(rewards))
