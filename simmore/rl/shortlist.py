"""A policy that chooses the next cell to measure from a shortlist of promising ones.

This applies the paper's idea to Bayesian optimisation: the policy is trained on simulated devices only. Instead of
editing one edge of a cell, it chooses one of 32 cells that the posterior considers promising. It sees 15 numbers of
each, which do not depend on the device's scale. Its logits are ``β · log EI + network`` (EI: expected improvement). The
network's last layer starts at zero, so training starts at expected improvement. `simmore.rl.shortlist_training` trains
it; this module uses it on plain arrays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simmore.models import acquisition
from simmore.models.posterior import Sampler
from simmore.models.priors import Prior
from simmore.rl.policy import POLICIES, Perceptron

SHORTLIST = 32
_BY_IMPROVEMENT = 20  # of the shortlist; the others are the best cell in most posterior samples
CELL_FEATURES, STEP_FEATURES = 9, 6
FEATURES = CELL_FEATURES + STEP_FEATURES
# Families that a fold's network has not seen, neither as devices nor in its prior. Each family is in one fold.
FOLDS: dict[str, tuple[str, ...]] = {
    "a": ("raspi4", "silver_4114", "essential_ph", "1080ti"),
    "b": ("pixel3", "gold_6226", "samsung_s7", "titan_rtx"),
    "c": ("eyeriss", "silver_4210r", "samsung_a50", "titanx", "2080ti"),
    "d": ("fpga", "gold_6240", "pixel2", "titanxp"),
}


@dataclass(frozen=True)
class Network(Perceptron):
    """Scores each shortlisted cell from its features.

    Attributes
    ----------
    beta
        β, ``(1,)``.
    """

    inputs = FEATURES
    outputs = 1

    beta: NDArray[np.float32]

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        return super().arrays() | {"beta": self.beta}

    def logits(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Logits ``(32,)`` of a shortlist's features ``(32, 15)``."""
        return self.beta * features[:, 0] + self.forward(features)[:, 0]


@cache
@cache
def load(fold: str) -> Network:
    """The network that has not seen a fold's families.

    Raises
    ------
    ValueError
        If its file is missing or damaged.
    """
    return Network.read(POLICIES / f"shortlist_{fold}.safetensors")


def networks_without(families: Sequence[str]) -> tuple[Network, ...]:
    """The networks that have seen none of these families; all of them if there is no family to leave out.

    Raises
    ------
    ValueError
        If each network has seen one of the families.
    """
    known = {family for fold in FOLDS.values() for family in fold}
    out = set(families) & known
    found = tuple(load(fold) for fold, unseen in FOLDS.items() if out <= set(unseen))
    if not found:
        raise ValueError(f"every shortlist network has seen one of {', '.join(sorted(out))}: leave out fewer devices")
    return found


@dataclass(frozen=True)
class Shortlist:
    """Promising cells ``(32,)`` and their features ``(32, 15)``."""

    archs: NDArray[np.int64]
    features: NDArray[np.float32]


def shortlist(
    sampler: Sampler,
    score: NDArray[np.float64],
    measured: ArrayLike,
    latency_ms: ArrayLike,
    *,
    prior: Prior | None = None,
) -> Shortlist:
    """The most promising candidates after some measurements.

    The features of a cell are: log expected improvement (EI); over the posterior samples, the mean reward above the
    incumbent's and its standard deviation; the score; the mean and standard deviation of the relative latency; how
    often the cell is the best; the residual's standard deviation; and the 0.9 quantile of the improvement. Six more
    are the same for all cells: the number of measurements, how uncertain range and scale are, the noise scale, how
    uncertain the incumbent's reward is, and the largest log EI.

    Parameters
    ----------
    sampler
        Samples devices on the candidates.
    score
        p of all cells, ``(15625,)``.
    measured, latency_ms
        Measured cells and their latencies in ms, at least one; all of them compile.
    prior
        Takes the place of the sampler's prior, see `Sampler.condition`.
    """
    archs, y = np.asarray(measured), np.asarray(latency_ms, dtype=np.float64)
    samples = sampler.condition(archs, y, prior=prior)
    reward = acquisition.rewards(samples, score[sampler.cells])  # (cells, samples)
    measured_reward = acquisition.rewards_of_measured(samples, score[archs], y)  # (n, samples)
    incumbent = measured_reward.max(axis=0).astype(np.float32)
    deviation = acquisition.reward_deviation(samples)
    improvement = acquisition.expected_improvement(reward, incumbent, deviation)
    known = np.isin(sampler.cells, archs)
    improvement[known] = 0
    reward[known] = -9  # never the best again
    wins = np.bincount(reward.argmax(axis=0), minlength=len(reward)) / reward.shape[1]
    picked = _pick(improvement, wins)
    r, latency = reward[picked], samples.latency_ms[picked]
    middle = np.median(samples.range_ms)
    x = np.empty((SHORTLIST, FEATURES), dtype=np.float32)
    x[:, 0] = np.log(improvement[picked] + 1e-7)
    x[:, 1] = 10 * (r.mean(axis=1) - measured_reward.mean(axis=1).max())
    x[:, 2] = 10 * r.std(axis=1)
    x[:, 3] = 5 * (score[sampler.cells[picked]] - 0.6)
    x[:, 4] = 5 * ((latency.mean(axis=1) - samples.fastest_ms.mean()) / middle - 0.2)
    x[:, 5] = 10 * latency.std(axis=1) / middle
    x[:, 6] = 3 * wins[picked]
    x[:, 7] = 10 * deviation[picked].mean(axis=1)
    x[:, 8] = 10 * np.quantile(r - incumbent, 0.9, axis=1)
    x[:, CELL_FEATURES:] = (
        min(len(archs), 10) / 10,
        np.log(samples.range_ms).std(),
        3 * np.log(samples.scale_ms).std(),
        np.log(samples.noise_scale).mean(),
        10 * measured_reward.std(axis=1)[measured_reward.mean(axis=1).argmax()],
        np.log(improvement.max() + 1e-7) + 4,
    )
    return Shortlist(sampler.cells[picked], x)


def _pick(improvement: NDArray[np.floating], wins: NDArray[np.float64]) -> NDArray[np.int64]:
    """Positions of the shortlist: by expected improvement, then by wins, then more by expected improvement."""
    by_improvement, by_wins = np.argsort(-improvement, kind="stable"), np.argsort(-wins, kind="stable")
    first = by_improvement[:_BY_IMPROVEMENT]
    second = by_wins[:SHORTLIST][~np.isin(by_wins[:SHORTLIST], first)][: SHORTLIST - _BY_IMPROVEMENT]
    return np.concatenate([first, second])
