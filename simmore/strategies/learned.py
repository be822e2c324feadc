"""The strategy `controller`: a network trained by reinforcement learning picks the next cell from a shortlist."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from simmore.models import acquisition
from simmore.models.posterior import Sampler, informative
from simmore.models.priors import Prior
from simmore.rl.shortlist import SHORTLIST, Network, shortlist
from simmore.strategies.improvement import ExpectedImprovement
from simmore.strategies.problem import History, Problem


class ShortlistSearch(ExpectedImprovement):
    """Measure the shortlisted cell with the highest mean logit of the networks."""

    def __init__(self, problem: Problem, prior: Prior, networks: Sequence[Network], *, n_samples: int = 128) -> None:
        super().__init__(problem, prior, n_samples=n_samples)
        self._networks = networks

    def sampler(self, rng: np.random.Generator) -> Sampler:
        if self._sampler is None:
            problem = self.problem
            cells = acquisition.candidates(self.prior, problem.merit, problem.weight, rng, measurable=problem.cells)
            self._sampler = Sampler(self.prior, cells, n=self.n_samples, rng=rng)
        return self._sampler

    def ask_batch(self, history: History, rng: np.random.Generator, remaining: int, n: int) -> list[int]:
        archs, latency = informative(self.prior, history.archs, history.latency_ms)
        too_few = len(self.sampler(rng).cells) < SHORTLIST  # that can be measured
        if not len(archs) or remaining <= 0 or too_few:
            return super().ask_batch(history, rng, remaining, n)
        listed = shortlist(self.sampler(rng), self.problem.merit, archs, latency)
        logits = np.mean([network.logits(listed.features) for network in self._networks], axis=0)
        logits[np.isin(listed.archs, history.archs)] = -np.inf
        order = np.argsort(-logits, kind="stable")[: min(n, remaining)]
        return [int(listed.archs[k]) for k in order if np.isfinite(logits[k])]
