"""The controller: a small network, trained by reinforcement learning, chooses the next cell from a shortlist.

The paper's idea, applied to Bayesian optimisation: the policy meets synthetic devices only, but instead of editing one
edge of a cell it picks one of 32 cells that the posterior holds promising, from 15 numbers each that are free of the
device's scale. Its logits are ``β · log EI + network``; the network's last layer starts at zero, so that training
starts at expected improvement and not below it. `simmore.acquisition_training` trains it; here it is plain arrays.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simmore import devices, paths
from simmore.files import replace
from simmore.models import acquisition
from simmore.models.posterior import Draws

SHORTLIST = 32
_BY_IMPROVEMENT = 20  # of the shortlist; the others are the cells that are the best on most drawn devices
CELL_FEATURES, STEP_FEATURES = 9, 6
FEATURES = CELL_FEATURES + STEP_FEATURES
# Families that a network has not seen, neither in its devices nor in its prior; each family is in one fold.
FOLDS: dict[str, tuple[str, ...]] = {
    "a": ("raspi4", "silver_4114", "essential_ph", "1080ti"),
    "b": ("pixel3", "gold_6226", "samsung_s7", "titan_rtx"),
    "c": ("eyeriss", "silver_4210r", "samsung_a50", "titanx", "2080ti"),
    "d": ("fpga", "gold_6240", "pixel2", "titanxp"),
}


@dataclass(frozen=True)
class Network:
    """Scores shortlisted cells: two tanh layers and a linear one without bias, beside β · log EI.

    Attributes
    ----------
    w1, b1, w2, b2, w3
        Layers, ``(15, 32)``, ``(32,)``, ``(32, 32)``, ``(32,)``, ``(32, 1)``.
    beta
        β.
    description
        How it came about.
    """

    w1: NDArray[np.float32]
    b1: NDArray[np.float32]
    w2: NDArray[np.float32]
    b2: NDArray[np.float32]
    w3: NDArray[np.float32]
    beta: float
    description: dict[str, Any] = field(default_factory=dict)

    def logits(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Logits ``(32,)`` of a shortlist's features ``(32, 15)``."""
        hidden = np.tanh(np.tanh(features @ self.w1 + self.b1) @ self.w2 + self.b2)
        return self.beta * features[:, 0] + (hidden @ self.w3)[:, 0]

    def save(self, path: Path) -> None:
        """Write ``<path>.safetensors`` and ``<path>.json``."""
        from safetensors.numpy import save

        tensors = {name: np.ascontiguousarray(getattr(self, name)) for name in ("w1", "b1", "w2", "b2", "w3")}
        tensors["beta"] = np.array([self.beta], dtype=np.float32)
        replace(path.with_suffix(".safetensors"), save(tensors))
        text = json.dumps(self.description, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
        replace(path.with_suffix(".json"), text.encode())


@cache
def load(fold: str) -> Network:
    """The shipped network that has not seen a fold's families.

    Raises
    ------
    ValueError
        If the file holds something else.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    path = network_path(fold)
    try:
        tensors = load_file(path.with_suffix(".safetensors"))
        description = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        return Network(**{k: v for k, v in tensors.items() if k != "beta"}, beta=float(tensors["beta"][0]),
                       description=description)  # fmt: skip
    except (SafetensorError, KeyError, OSError, TypeError, ValueError) as error:
        raise ValueError(f"{path}.safetensors and its .json hold no network: {error}") from error


def network_path(fold: str) -> Path:
    """Where a fold's network lies, without its suffix."""
    return paths.TABLES / f"acquisition_{fold}"


def networks_for(tested: str) -> tuple[Network, ...]:
    """The networks that have not seen a device's family: its fold's one, all of them for an unknown device."""
    family = devices.family(tested)
    folds = [fold for fold, families in FOLDS.items() if family in families]
    return tuple(load(fold) for fold in folds or FOLDS)


@dataclass(frozen=True)
class Shortlist:
    """Promising cells, ``(32,)``, and what the network sees of them, ``(32, 15)``."""

    archs: NDArray[np.int64]
    features: NDArray[np.float32]


def shortlist(draws: Draws, score: NDArray[np.float64], measured: ArrayLike, latency_ms: ArrayLike) -> Shortlist:
    """The most promising candidates after some measurements.

    Parameters
    ----------
    draws
        Over the candidates.
    score
        p of all cells, ``(15625,)``.
    measured, latency_ms
        At least one cell that compiles; none that does not.
    """
    archs, y = np.asarray(measured), np.asarray(latency_ms, dtype=np.float64)
    drawn = draws.condition(archs, y)
    reward = acquisition.rewards(drawn, score[draws.cells])  # (cells, draws)
    in_hand = acquisition.rewards_of_measured(drawn, score[archs], y)  # (n, draws)
    best = in_hand.max(axis=0).astype(np.float32)
    deviation = acquisition.reward_deviation(drawn)
    gain = acquisition.expected_improvement(reward, best, deviation)
    known = np.isin(draws.cells, archs)
    gain[known] = 0
    reward[known] = -9  # never the best again
    wins = np.bincount(reward.argmax(axis=0), minlength=len(reward)) / reward.shape[1]
    picked = _pick(gain, wins)
    r, latency = reward[picked], drawn.latency_ms[picked]
    middle = np.median(drawn.range_ms)
    x = np.empty((SHORTLIST, FEATURES), dtype=np.float32)
    x[:, 0] = np.log(gain[picked] + 1e-7)
    x[:, 1] = 10 * (r.mean(axis=1) - in_hand.mean(axis=1).max())
    x[:, 2] = 10 * r.std(axis=1)
    x[:, 3] = 5 * (score[draws.cells[picked]] - 0.6)
    x[:, 4] = 5 * ((latency.mean(axis=1) - drawn.fastest_ms.mean()) / middle - 0.2)
    x[:, 5] = 10 * latency.std(axis=1) / middle
    x[:, 6] = 3 * wins[picked]
    x[:, 7] = 10 * deviation[picked].mean(axis=1)
    x[:, 8] = 10 * np.quantile(r - best, 0.9, axis=1)
    x[:, CELL_FEATURES:] = (
        min(len(archs), 10) / 10,
        np.log(drawn.range_ms).std(),
        3 * np.log(drawn.scale_ms).std(),
        np.log(drawn.level).mean(),
        10 * in_hand.std(axis=1)[in_hand.mean(axis=1).argmax()],
        np.log(gain.max() + 1e-7) + 4,
    )
    return Shortlist(draws.cells[picked], x)


def _pick(gain: NDArray[np.floating], wins: NDArray[np.float64]) -> NDArray[np.int64]:
    """Positions of the shortlist: by expected improvement, then by wins, then more by expected improvement."""
    by_gain, by_wins = np.argsort(-gain, kind="stable"), np.argsort(-wins, kind="stable")
    first = by_gain[:_BY_IMPROVEMENT]
    second = by_wins[:SHORTLIST][~np.isin(by_wins[:SHORTLIST], first)][: SHORTLIST - _BY_IMPROVEMENT]
    return np.concatenate([first, second])
