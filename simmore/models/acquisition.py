"""Acquisition functions over devices that are sampled from a posterior.

Each sample is a whole device with its own scale, noise scale and range, so it has its own reward of every cell. In this
way the choice accounts for the unknown exchange rate between score and milliseconds.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simmore.devices import reward
from simmore.models.posterior import Devices
from simmore.models.prior import Prior

RATES = (0.4, 0.7, 1.0, 1.3)  # factors on the weight of latency that `candidates` tries: the true range is unknown
_QUANTILES = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)  # of latency, as limits to try
_TOP_SCORES = 20
_HOPEFUL = 3_000  # cells that are sorted at each rate


def candidates(
    prior: Prior,
    score: NDArray[np.float64],
    weight: float,
    rng: np.random.Generator,
    *,
    measurable: NDArray[np.int64] | None = None,
    n: int = 128,
    best: int = 6,
) -> NDArray[np.int64]:
    """Candidate cells: the best of each of n sampled devices at each rate, its extremes, and the top scores.

    Parameters
    ----------
    score
        ``(cells,)``.
    weight
        Weight of latency in the reward.
    measurable
        The cells to choose among; all of them if None.
    """
    cells = np.arange(len(score)) if measurable is None else measurable
    shape, score = prior.sample(n, rng)[cells], score[cells]
    fastest, slowest = shape.argmin(axis=0), shape.argmax(axis=0)
    shape = (shape - shape.min(axis=0)) / np.ptp(shape, axis=0)
    picked = [np.argsort(-score)[:_TOP_SCORES], fastest, slowest]
    for rate in RATES:
        # a cell that is far from the best on every sample need not be sorted
        cost = np.float32(rate * weight) * shape - score[:, None].astype(np.float32)
        hopeful = _smallest(cost.min(axis=1), _HOPEFUL)
        picked.append(hopeful[_smallest(cost[hopeful], best).ravel()])
    return cells[np.unique(np.concatenate(picked))]


def _smallest(values: NDArray[np.floating], n: int) -> NDArray[np.int64]:
    """Positions of the n smallest values of each column, in any order; all positions if there are no more than n."""
    return np.argpartition(values, min(n, len(values) - 1), axis=0)[:n]


def candidates_within(
    prior: Prior,
    score: NDArray[np.float64],
    rng: np.random.Generator,
    *,
    measurable: NDArray[np.int64] | None = None,
    n: int = 128,
    best: int = 10,
) -> NDArray[np.int64]:
    """Candidate cells under a limit: the best scores within several limits on n sampled devices, and the top scores."""
    cells = np.arange(len(score)) if measurable is None else measurable
    shape, score = prior.sample(n, rng)[cells], score[cells]
    order = np.argsort(-score, kind="stable")
    shape = shape[order]
    picked = [order[:_TOP_SCORES]]
    for limit in np.quantile(shape[::7], _QUANTILES, axis=0).astype(np.float32):
        within = shape <= limit
        picked.append(order[(within & (within.cumsum(axis=0, dtype=np.int16) <= best)).any(axis=1)])
    return cells[np.unique(np.concatenate(picked))]


def rewards(samples: Devices, score: NDArray[np.float64], weight: float = 1.0) -> NDArray[np.floating]:
    """Reward of cells on each sampled device, ``(cells, samples)``, from their scores ``(cells,)``."""
    bounds = samples.fastest_ms.astype(np.float32), (samples.fastest_ms + samples.range_ms).astype(np.float32)
    return reward(score[:, None].astype(np.float32), samples.latency_ms, weight=weight, bounds_ms=bounds)


def rewards_of_measured(
    samples: Devices, score: NDArray[np.float64], latency_ms: NDArray[np.float64], weight: float = 1.0
) -> NDArray[np.float64]:
    """Reward of cells whose latencies ``(n,)`` are known, on each sampled device, ``(n, samples)``."""
    bounds = samples.fastest_ms, samples.fastest_ms + samples.range_ms
    return reward(score[:, None], latency_ms[:, None], weight=weight, bounds_ms=bounds)


def reward_deviation(samples: Devices, weight: float = 1.0) -> NDArray[np.floating]:
    """Standard deviation of the reward due to a cell's residual, ``(cells, samples)``."""
    return np.float32(weight) * np.divide(samples.residual_ms, samples.range_ms.astype(np.float32)) + np.float32(1e-4)


def expected_improvement(
    reward: NDArray[np.floating], incumbent: NDArray[np.floating], deviation: NDArray[np.floating]
) -> NDArray[np.floating]:
    """Expected improvement of each cell over the incumbent, mean over samples, ``(cells,)``.

    Parameters
    ----------
    reward, deviation
        Mean and standard deviation of the reward, Gaussian for each cell and sample, ``(cells, samples)``.
    incumbent
        Best measured reward on each sample, ``(samples,)``.
    """
    from scipy.special import ndtr

    gain = reward - incumbent
    z = gain / deviation
    density = np.exp(-0.5 * z * z) * np.float32(1 / np.sqrt(2 * np.pi))
    return (gain * ndtr(z) + deviation * density).mean(axis=1)


def probability_within(samples: Devices, limit_ms: float) -> NDArray[np.floating]:
    """Probability that a cell is no slower than a limit, ``(cells,)``."""
    from scipy.special import ndtr

    return ndtr((np.float32(limit_ms) - samples.latency_ms) / samples.residual_ms).mean(axis=1)
