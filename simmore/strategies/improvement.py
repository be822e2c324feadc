"""Expected improvement over devices that are sampled from the posterior."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simmore.models import acquisition
from simmore.models.posterior import Devices, Posterior, Sampler
from simmore.models.prior import Prior
from simmore.strategies.problem import History, Problem


class ExpectedImprovement:
    """Measure the cell with the largest expected improvement of the reward.

    Under a latency limit it is the improvement of the score, times the probability that the cell is within the limit.
    The search ends when no candidate scores higher than the best measured cell within the limit.

    Parameters
    ----------
    problem
        What is searched for.
    prior
        Prior over the device.
    n_samples
        Devices sampled from the posterior at every step.
    """

    def __init__(self, problem: Problem, prior: Prior, *, n_samples: int = 384) -> None:
        self.problem, self.prior, self.n_samples = problem, prior, n_samples
        self._sampler: Sampler | None = None

    def sampler(self, rng: np.random.Generator) -> Sampler:
        """Sampler over the candidates; made at the first call, so that all steps use the same random numbers."""
        if self._sampler is None:
            problem = self.problem
            if problem.max_latency_ms is None:
                cells = acquisition.candidates(self.prior, problem.merit, problem.weight, rng, measurable=problem.cells)
            else:
                cells = acquisition.candidates_within(self.prior, problem.merit, rng, measurable=problem.cells)
            self._sampler = Sampler(self.prior, cells, n=self.n_samples, rng=rng)
        return self._sampler

    def ask(self, history: History, rng: np.random.Generator, remaining: int) -> int | None:
        cells = self.ask_batch(history, rng, remaining, 1)
        return cells[0] if cells else None

    def ask_batch(self, history: History, rng: np.random.Generator, remaining: int, n: int) -> list[int]:
        """Cells to measure together; each one is chosen given sampled rewards of those before it."""
        n = min(n, remaining)
        if n <= 0:
            return []
        sampler = self.sampler(rng)
        archs, latency = history.usable(self.prior.shape)
        left = ~np.isin(sampler.cells, history.archs)
        if self.problem.max_latency_ms is not None:
            return self._within(sampler, archs, latency, left, n)
        if not len(archs) or not left.any():
            return self._by_expected_reward(archs, latency, history)[:n]
        return self._improving(sampler, sampler.condition(archs, latency), archs, latency, left, n, rng)

    def _improving(
        self, sampler: Sampler, samples: Devices, archs: NDArray[np.int64], latency: NDArray[np.float64],
        left: NDArray[np.bool_], n: int, rng: np.random.Generator,
    ) -> list[int]:  # fmt: skip
        merit, weight = self.problem.merit, self.problem.weight
        reward = acquisition.rewards(samples, merit[sampler.cells], weight)  # (cells, samples)
        measured = acquisition.rewards_of_measured(samples, merit[archs], latency, weight)
        incumbent = measured.max(axis=0).astype(np.float32)
        deviation = acquisition.reward_deviation(samples, weight)
        found: list[int] = []
        for _ in range(min(n, int(left.sum()))):
            gain = acquisition.expected_improvement(reward, incumbent, deviation)
            gain[~left] = -1
            best = int(gain.argmax())
            found.append(int(sampler.cells[best]))
            left = left & (sampler.cells != found[-1])
            if len(found) < n:  # sampled reward of this cell, for the choice of the next
                shown = reward[best] + deviation[best] * rng.standard_normal(sampler.n)
                incumbent = np.maximum(incumbent, shown.astype(np.float32))
        return found

    def _within(
        self, sampler: Sampler, archs: NDArray[np.int64], latency: NDArray[np.float64], left: NDArray[np.bool_], n: int
    ) -> list[int]:
        problem, merit = self.problem, self.problem.merit
        assert problem.max_latency_ms is not None
        kept = archs[latency <= problem.max_latency_ms]
        floor = merit[kept].max() if len(kept) else problem.score.min()
        if len(archs):
            chance = acquisition.probability_within(sampler.condition(archs, latency), problem.max_latency_ms)
        else:  # nothing compiled yet: the faster on a typical device, the more likely within the limit
            chance = 1 / self.prior.shape[sampler.cells]
        gain = np.where(left, np.maximum(merit[sampler.cells] - floor, 0) * chance, 0)
        order = np.argsort(-gain, kind="stable")
        if not (np.maximum(merit[sampler.cells] - floor, 0)[left] > 0).any():
            return []
        return [int(arch) for arch in sampler.cells[order[: min(n, int(left.sum()))]]]

    def _by_expected_reward(
        self, archs: NDArray[np.int64], latency: NDArray[np.float64], history: History
    ) -> list[int]:
        """Cells that were not measured, the highest expected reward first."""
        expected = Posterior.of(self.prior, archs, latency).predicted_ms() if len(archs) else self.prior.shape
        order = np.argsort(-(self.problem.merit - self.problem.weight * expected / np.ptp(expected)), kind="stable")
        return [int(arch) for arch in order[~np.isin(order, history.archs)]]
