"""Reward of a cell on a device, and the normalised regret of what a search found."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


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


def optimum(score: ArrayLike, latency_ms: ArrayLike) -> int:
    """h*: NATS index of the cell with the highest reward on a device, from scores and latencies ``(15625,)``."""
    return int(reward(score, latency_ms).argmax())
