"""Which of the measured cells to answer with, when the device's range of latencies is unknown.

The reward needs it: r = p + 1 − (ℓ − min ℓ) / (max ℓ − min ℓ). Ten measurements don't show it, so the exchange rate
between score and milliseconds is itself uncertain. The rule takes the posterior *median* of the range: with two cells
to choose from, that is the one which is better on most devices that agree with the measurements.
"""

from __future__ import annotations

from functools import cache
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simmore.models.posterior import Draws, informative, prior_shapes
from simmore.models.priors import Prior, prior_without

DRAWS = 256


class RangeModel(Protocol):
    """Whatever says, from measured cells, which latencies a device spans."""

    def bounds_ms(self, archs: ArrayLike, latency_ms: ArrayLike) -> tuple[float, float]:
        """Fastest and slowest latency of the device in ms."""


class ExpectedRange:
    """The posterior median of a device's range, by the mixture of known devices (`device_prior`)."""

    def __init__(self, prior: Prior, *, seed: int = 0) -> None:
        self._draws = Draws(prior, extreme_cells(prior), n=DRAWS, seed=seed)

    def bounds_ms(self, archs: ArrayLike, latency_ms: ArrayLike) -> tuple[float, float]:
        drawn = self._draws.condition(*informative(archs, latency_ms))
        fastest = float(np.median(drawn.fastest_ms))
        return fastest, fastest + drawn.median_range_ms()


def extreme_cells(prior: Prior, *, draws: int = 200, seed: int = 3) -> NDArray[np.int64]:
    """Cells that are the fastest or the slowest on some draw from a prior, in order."""
    shape = prior_shapes(prior, draws, np.random.default_rng(seed))
    return np.unique(np.concatenate([shape.argmin(axis=0), shape.argmax(axis=0)]))


@cache
def expected_range(tested: str) -> ExpectedRange:
    """For a device of this name, its family left out."""
    return ExpectedRange(prior_without(tested))


def best_tradeoff(score: ArrayLike, latency_ms: ArrayLike, range_ms: float) -> int:
    """Position of the measured cell with the highest p − ℓ / range; cells that don't compile only if none does.

    Parameters
    ----------
    score, latency_ms
        Of the measured cells, ``(n,)``.
    """
    return int((np.asarray(score) - np.asarray(latency_ms) / max(range_ms, 1e-12)).argmax())


def best_within(score: ArrayLike, latency_ms: ArrayLike, limit_ms: float) -> int | None:
    """Position of the measured cell with the highest score among those within a limit, None if there is none.

    >>> best_within([0.9, 0.5, 0.7], [20.0, 5.0, 9.0], 10.0)
    2
    """
    within = np.asarray(latency_ms) <= limit_ms
    if not within.any():
        return None
    return int(np.where(within, np.asarray(score), -np.inf).argmax())
