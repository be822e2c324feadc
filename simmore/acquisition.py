"""What to measure next: the cell that devices agreeing with the measurements expect most of.

Each draw from the posterior is a whole device, with its own scale, noise level and range, so its own rewards of all
cells: that is how the unknown exchange rate between score and milliseconds enters the choice.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from simmore.answers import best_within
from simmore.device_posterior import MODELLED, Devices, Draws, Posterior, informative, prior_shapes
from simmore.device_prior import Prior
from simmore.search import Measure

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


class Measured:
    """The cells measured so far, in order."""

    def __init__(self, measure: Measure, start: int) -> None:
        self._measure = measure
        self.archs: list[int] = []
        self.latency_ms: list[float] = []
        self.add(start)

    def add(self, arch: int) -> None:
        self.latency_ms.append(self._measure(arch))
        self.archs.append(arch)

    def __len__(self) -> int:
        return len(self.archs)

    def informative(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        return informative(self.archs, self.latency_ms)


class ImprovementSearch:
    """Measure where the expected improvement of the reward is largest.

    Parameters
    ----------
    prior
        Of devices, the tested one's family left out.
    draws
        Devices drawn from the posterior at every step.
    """

    def __init__(self, prior: Prior, *, draws: int = 384) -> None:
        self._prior, self._n = prior, draws
        self._made: tuple[NDArray[np.float64], Draws] | None = None

    def draws(self, score: NDArray[np.float64]) -> Draws:
        """The draws over this score's candidates, made once."""
        if self._made is None or self._made[0] is not score:
            self._made = score, Draws(self._prior, candidates(self._prior, score), n=self._n)
        return self._made[1]

    def __call__(
        self, score: NDArray[np.float64], measure: Measure, start: int, budget: int, rng: np.random.Generator
    ) -> None:
        draws = self.draws(score)
        measured = Measured(measure, start)
        while len(measured) < min(budget, MODELLED, len(draws.cells)):
            measured.add(self.next_cell(draws, score, measured))
        for arch in _by_expected_reward(self._prior, score, measured):
            if len(measured) == budget:
                break
            measured.add(arch)

    def next_cell(self, draws: Draws, score: NDArray[np.float64], measured: Measured) -> int:
        """The candidate with the largest expected improvement."""
        archs, latency = measured.informative()
        if not len(archs):
            return _by_expected_reward(self._prior, score, measured)[0]
        drawn = draws.condition(archs, latency)
        best = rewards_of_measured(drawn, score[archs], latency).max(axis=0).astype(np.float32)
        gain = expected_improvement(rewards(drawn, score[draws.cells]), best, reward_deviation(drawn))
        gain[np.isin(draws.cells, measured.archs)] = -1
        return int(draws.cells[gain.argmax()])


class LimitSearch:
    """Measure where the gain in score times the probability of keeping a latency limit is largest.

    Ends when no candidate scores higher than the best cell found within the limit.
    """

    def __init__(self, prior: Prior, *, draws: int = 512) -> None:
        self._prior, self._n = prior, draws
        self._made: tuple[NDArray[np.float64], Draws] | None = None

    def draws(self, score: NDArray[np.float64]) -> Draws:
        """The draws over this score's candidates, made once."""
        if self._made is None or self._made[0] is not score:
            self._made = score, Draws(self._prior, candidates_within(self._prior, score), n=self._n)
        return self._made[1]

    def __call__(
        self,
        score: NDArray[np.float64],
        measure: Measure,
        start: int,
        budget: int,
        rng: np.random.Generator,
        *,
        limit_ms: float,
    ) -> None:
        draws = self.draws(score)
        measured = Measured(measure, start)
        while len(measured) < min(budget, MODELLED):
            best = best_within(score[measured.archs], measured.latency_ms, limit_ms)
            floor = score.min() if best is None else score[measured.archs[best]]
            gain = np.maximum(score[draws.cells] - floor, 0)
            gain[np.isin(draws.cells, measured.archs)] = 0
            if not (gain > 0).any():
                return
            archs, latency = measured.informative()
            chance = chance_within(draws.condition(archs, latency), limit_ms) if len(archs) else self._guess(draws)
            measured.add(int(draws.cells[(gain * chance).argmax()]))

    def _guess(self, draws: Draws) -> NDArray[np.float64]:
        """While nothing measured compiles: the faster a cell on the mean device, the likelier it keeps the limit."""
        return 1 / self._prior.mean[draws.cells]


def _by_expected_reward(prior: Prior, score: NDArray[np.float64], measured: Measured) -> Sequence[int]:
    """Cells not measured yet, the one with the highest expected reward first."""
    archs, latency = measured.informative()
    expected = Posterior.of(prior, archs, latency).mean_ms() if len(archs) else prior.mean
    order = np.argsort(-(score - expected / np.ptp(expected)), kind="stable")
    return [int(arch) for arch in order[~np.isin(order, measured.archs)]]
