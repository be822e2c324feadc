"""Which of the measured cells to recommend.

The reward of a cell with score p and latency ℓ is ``r = p + weight · ℓ̄``. The inverse latency is
``ℓ̄ = 1 − (ℓ − min ℓ) / (max ℓ − min ℓ)``, with extremes over all cells. Ten measurements do not show the range of a
device's latencies, so a rule has to estimate it. Each rule names the information that it uses.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simmore.devices import random_search_reward, reward
from simmore.models import acquisition
from simmore.models.posterior import Devices, Posterior, Sampler
from simmore.models.prior import Prior
from simmore.strategies.problem import History, Problem

N_SAMPLES = 256
_REFERENCE_CELLS = 200  # random cells that random search is estimated from


class Recommendation(NamedTuple):
    """The recommended cell.

    Attributes
    ----------
    arch
        NATS index of a measured cell.
    expected_regret
        Normalised regret that the rule expects: 0 is the best cell, 1 the best of ten random cells on average. Under a
        latency limit, the expected loss of score. None if the rule has no estimate.
    """

    arch: int
    expected_regret: float | None


class Rule(Protocol):
    """Chooses the recommendation."""

    @property
    def uses(self) -> str:
        """The information that the rule uses besides the measurements."""

    def estimated_range_ms(self, history: History) -> tuple[float, float]:
        """Estimates of the fastest and the slowest latency of the device, in ms."""

    def implausible(self, history: History) -> NDArray[np.bool_]:
        """Which measured cells have an implausible latency, ``(n,)``."""

    def expected_regret(self, problem: Problem, history: History, arch: int) -> float | None:
        """See `Recommendation`."""


def ranked(rule: Rule, problem: Problem, history: History) -> list[int]:
    """Measured cells that may be recommended, the best first; under a latency limit only those within it."""
    archs, latency = history.archs, history.latency_ms
    allowed = np.array([problem.may_recommend(int(arch)) for arch in archs], dtype=bool)
    allowed &= np.isfinite(latency) & ~rule.implausible(history)
    archs, latency = archs[allowed], latency[allowed]
    if not len(archs):
        return []
    if problem.max_latency_ms is not None:
        archs = archs[latency <= problem.max_latency_ms]
        value = problem.score[archs]
    elif hasattr(rule, "value"):  # a rule that does not rank by an estimated reward
        value = rule.value(problem, history, archs)
    else:
        bounds = rule.estimated_range_ms(history)
        value = reward(problem.score[archs], latency, weight=problem.weight, bounds_ms=bounds)
    return [int(arch) for arch in archs[np.argsort(-value, kind="stable")]]


def recommend(rule: Rule, problem: Problem, history: History) -> Recommendation | None:
    """The best measured cell by a rule; None if none may be recommended."""
    cells = ranked(rule, problem, history)
    if not cells:
        return None
    return Recommendation(cells[0], rule.expected_regret(problem, history, cells[0]))


class MeasuredRange:
    """Estimates the range of the device by the range of the measured latencies."""

    uses = "the measurements alone"

    def estimated_range_ms(self, history: History) -> tuple[float, float]:
        _, latency = history.compiled
        return float(latency.min()), float(latency.max())

    def implausible(self, history: History) -> NDArray[np.bool_]:
        """None: without a model of the device any latency is plausible."""
        return np.zeros(len(history), dtype=bool)

    def expected_regret(self, problem: Problem, history: History, arch: int) -> None:
        """None: there is no model of the device to predict the other cells."""


class ExpectedRange:
    """Estimates the range of the device by its harmonic mean over posterior samples.

    The reward is linear in 1 / range, so the harmonic mean gives the cell with the highest expected reward.
    """

    def __init__(self, prior: Prior, *, seed: int = 0) -> None:
        self.prior, self.uses, self._seed = prior, prior.source, seed
        rng = np.random.default_rng(seed)
        self._sampler = Sampler(prior, np.empty(0, dtype=np.int64), n=N_SAMPLES, rng=rng)
        self._regret_sampler: tuple[Problem, Sampler, NDArray[np.bool_]] | None = None

    def estimated_range_ms(self, history: History) -> tuple[float, float]:
        samples = self._sampler.condition(*history.usable(self.prior.shape))
        fastest = float(np.median(samples.fastest_ms))
        return fastest, fastest + 1 / float((1 / samples.range_ms).mean())

    def implausible(self, history: History) -> NDArray[np.bool_]:
        return history.implausible(self.prior.shape)

    def predicted_ms(self, history: History) -> NDArray[np.float64]:
        """Predicted latencies of all cells, ``(cells,)`` in ms."""
        return Posterior.of(self.prior, *history.usable(self.prior.shape)).predicted_ms()

    def expected_regret(self, problem: Problem, history: History, arch: int) -> float:
        """Mean over devices sampled from the posterior, each with its own best cell and its own random search."""
        rng = np.random.default_rng(self._seed)
        if self._regret_sampler is None or self._regret_sampler[0] is not problem:
            measurable = problem.cells
            reference = rng.choice(measurable, min(_REFERENCE_CELLS, len(measurable)), replace=False)
            if problem.max_latency_ms is None:
                hopeful = acquisition.candidates(self.prior, problem.merit, problem.weight, rng, measurable=measurable)
            else:
                hopeful = acquisition.candidates_within(self.prior, problem.merit, rng, measurable=measurable)
            cells = np.unique(np.concatenate([hopeful, reference]))
            sampler = Sampler(self.prior, cells, n=N_SAMPLES, rng=rng)
            self._regret_sampler = problem, sampler, np.isin(cells, reference)
        _, sampler, is_reference = self._regret_sampler
        archs, latency = history.usable(self.prior.shape)
        samples = sampler.condition(archs, latency)
        merit, noise = problem.merit[sampler.cells], rng.standard_normal(samples.latency_ms.shape, dtype=np.float32)
        if problem.max_latency_ms is not None:
            within = samples.latency_ms + samples.residual_ms * noise <= problem.max_latency_ms  # (cells, samples)
            best = np.where(within, merit[:, None], problem.score[arch]).max(axis=0)
            return float(np.maximum(best - problem.score[arch], 0).mean())
        return self._normalised(problem, samples, sampler.cells, is_reference, noise, archs, latency, arch)

    @staticmethod
    def _normalised(
        problem: Problem, samples: Devices, cells: NDArray[np.int64], is_reference: NDArray[np.bool_],
        noise: NDArray[np.float32], archs: NDArray[np.int64], latency: NDArray[np.float64], arch: int,
    ) -> float:  # fmt: skip
        weight = problem.weight
        sampled = acquisition.rewards(samples, problem.merit[cells], weight)
        sampled = sampled + acquisition.reward_deviation(samples, weight) * noise
        measured = acquisition.rewards_of_measured(samples, problem.merit[archs], latency, weight)
        unmeasured = ~np.isin(cells, archs)
        best = np.maximum(sampled[unmeasured].max(axis=0, initial=-np.inf), measured.max(axis=0))
        chosen = measured[int(np.flatnonzero(archs == arch)[0])] if arch in archs else measured.max(axis=0)
        random = np.mean([random_search_reward(column) for column in sampled[is_reference].T])
        return float((best - chosen).mean() / (best.mean() - random))


def best_within(score: ArrayLike, latency_ms: ArrayLike, limit_ms: float) -> int | None:
    """Position of the cell with the highest score among those within a limit, None if there is none.

    >>> best_within([0.9, 0.5, 0.7], [20.0, 5.0, 9.0], 10.0)
    2
    """
    within = np.asarray(latency_ms) <= limit_ms
    if not within.any():
        return None
    return int(np.where(within, np.asarray(score), -np.inf).argmax())
