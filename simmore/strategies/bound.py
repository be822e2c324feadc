"""A confidence bound on the reward under a Gaussian prior."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simmore.models import acquisition
from simmore.models.posterior import Posterior
from simmore.models.prior import Prior
from simmore.strategies.problem import History, Problem


class ConfidenceBound:
    """Measure the cell with the highest ``p − weight · (m − κ s) / range``.

    p is the score, m and s are the posterior mean and standard deviation of the latency, and the range is that of m.

    Parameters
    ----------
    bound
        κ: 0 is greedy, 1 is optimistic.
    """

    def __init__(self, problem: Problem, prior: Prior, *, bound: float) -> None:
        self._problem, self._prior, self._bound = problem, prior, bound
        self._cells: NDArray[np.int64] | None = None

    def ask(self, history: History, rng: np.random.Generator, remaining: int) -> int | None:
        if self._cells is None:
            problem = self._problem
            self._cells = acquisition.candidates(
                self._prior, problem.merit, problem.weight, rng, measurable=problem.cells
            )
        cells = self._cells
        left = ~np.isin(cells, history.archs)
        if not remaining or not left.any():
            return None
        mean, deviation, fastest = self._prior.shape[cells].astype(np.float64), np.zeros(len(cells)), np.inf
        archs, latency = history.usable(self._prior.shape)
        if len(archs):
            posterior = Posterior.of(self._prior, archs, latency)
            mean, deviation = posterior.predicted_ms()[cells], posterior.deviation_ms(cells)
            fastest = latency.min()
        range_ms = max(mean.max() - max(min(mean.min(), fastest), 0), 1e-9 * abs(mean).max())
        reward = self._problem.merit[cells] - self._problem.weight * (mean - self._bound * deviation) / range_ms
        return int(cells[np.where(left, reward, -np.inf).argmax()])
