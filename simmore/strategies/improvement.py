"""What to measure next: the cell that devices agreeing with the measurements expect most of.

Each draw from the posterior is a whole device, with its own scale, noise level and range, so its own rewards of all
cells: that is how the unknown exchange rate between score and milliseconds enters the choice.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from simmore.models.acquisition import (
    candidates,
    candidates_within,
    chance_within,
    expected_improvement,
    reward_deviation,
    rewards,
    rewards_of_measured,
)
from simmore.models.posterior import MODELLED, Draws, Posterior, informative
from simmore.models.priors import Prior
from simmore.strategies.loop import Measure
from simmore.strategies.recommendation import best_within


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
