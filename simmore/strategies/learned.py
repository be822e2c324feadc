"""The strategy `controller`: a network trained by reinforcement learning picks the next cell from a shortlist."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from simmore.models.posterior import Draws
from simmore.models.priors import Prior
from simmore.rl.shortlist import Network, shortlist
from simmore.strategies import improvement


class LearnedSearch(improvement.ImprovementSearch):
    """Measure the shortlisted cell that the networks' mean logit is highest for."""

    def __init__(self, prior: Prior, networks: Sequence[Network], *, draws: int = 128) -> None:
        super().__init__(prior, draws=draws)
        self._networks = networks

    def next_cell(self, draws: Draws, score: NDArray[np.float64], measured: improvement.Measured) -> int:
        archs, latency = measured.informative()
        if not len(archs):
            return super().next_cell(draws, score, measured)
        listed = shortlist(draws, score, archs, latency)
        logits = np.mean([network.logits(listed.features) for network in self._networks], axis=0)
        logits[np.isin(listed.archs, measured.archs)] = -np.inf
        return int(listed.archs[logits.argmax()])
