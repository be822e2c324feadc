"""Acquisition functions: what a cell is expected to add, by devices drawn from a posterior.

Each draw is a whole device with its own scale, noise and range, so it has its own rewards of all cells. The unknown
exchange rate between score and milliseconds enters the choice in this way.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simmore.models.posterior import Devices, prior_shapes
from simmore.models.priors import Prior

RATES = (0.4, 0.7, 1.0, 1.3)  # exchange rates of latency, relative to the smooth range, that candidates come from
_QUANTILES = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)  # of latency, as limits


def candidates(
    prior: Prior, score: NDArray[np.float64], *, draws: int = 300, best: int = 6, seed: int = 1
) -> NDArray[np.int64]:
    """Cells worth looking at: among the best on some drawn device at some rate, its extremes, the top scores."""
    shape = prior_shapes(prior, draws, np.random.default_rng(seed))
    fastest, slowest = shape.argmin(axis=0), shape.argmax(axis=0)
    shape = (shape - shape.min(axis=0)) / np.ptp(shape, axis=0)
    picked = [np.argsort(-score)[:20], fastest, slowest]
    for rate in RATES:
        # a cell that loses to the mean device's best by more than the draws can move it need not be sorted
        cost = np.float32(rate) * shape - score[:, None].astype(np.float32)
        hopeful = np.argpartition(cost.min(axis=1), 3_000)[:3_000]
        picked.append(hopeful[np.argpartition(cost[hopeful], best, axis=0)[:best].ravel()])
    return np.unique(np.concatenate(picked))


def candidates_within(
    prior: Prior, score: NDArray[np.float64], *, draws: int = 500, best: int = 10, seed: int = 2
) -> NDArray[np.int64]:
    """Cells that have one of the best scores within some limit on some drawn device, and the top scores."""
    shape = prior_shapes(prior, draws, np.random.default_rng(seed))
    order = np.argsort(-score, kind="stable")
    shape = shape[order]
    picked = [order[:20]]
    for limit in np.quantile(shape[::7], _QUANTILES, axis=0).astype(np.float32):
        within = shape <= limit
        picked.append(order[(within & (within.cumsum(axis=0, dtype=np.int16) <= best)).any(axis=1)])
    return np.unique(np.concatenate(picked))


def rewards(drawn: Devices, score: NDArray[np.float64]) -> NDArray[np.floating]:
    """Reward of cells on each drawn device, ``(cells, draws)``, from their scores ``(cells,)``."""
    above = drawn.latency_ms - drawn.fastest_ms.astype(np.float32)
    faster = np.divide(above, drawn.range_ms.astype(np.float32))
    return np.subtract(score[:, None].astype(np.float32) + np.float32(1), faster)


def rewards_of_measured(
    drawn: Devices, score: NDArray[np.float64], latency_ms: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Reward of cells whose latencies ``(n,)`` are known, on each drawn device, ``(n, draws)``."""
    return score[:, None] + 1 - (latency_ms[:, None] - drawn.fastest_ms) / drawn.range_ms


def reward_deviation(drawn: Devices) -> NDArray[np.floating]:
    """Standard deviation of a cell's own part of the reward, ``(cells, draws)``."""
    return np.divide(drawn.own_ms, drawn.range_ms.astype(np.float32)) + np.float32(1e-4)


def expected_improvement(
    reward: NDArray[np.floating], best: NDArray[np.floating], deviation: NDArray[np.floating]
) -> NDArray[np.floating]:
    """Mean over draws of what a cell would add to the best reward in hand.

    Parameters
    ----------
    reward, deviation
        Of a Gaussian a cell and draw, ``(cells, draws)``.
    best
        Best measured reward on each draw, ``(draws,)``.
    """
    from scipy.special import ndtr

    gain = reward - best
    z = gain / deviation
    density = np.exp(-0.5 * z * z) * np.float32(1 / np.sqrt(2 * np.pi))
    return (gain * ndtr(z) + deviation * density).mean(axis=1)


def chance_within(drawn: Devices, limit_ms: float) -> NDArray[np.floating]:
    """Probability that a cell keeps a limit, ``(cells,)``."""
    from scipy.special import ndtr

    return ndtr((np.float32(limit_ms) - drawn.latency_ms) / (drawn.own_ms + np.float32(1e-9))).mean(axis=1)
