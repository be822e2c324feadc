"""Training data of the in-context controller: simulated devices, random problems, and regrets of cells."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from simmore import proxies, space
from simmore.devices import random_search_reward
from simmore.devices.simulated import Simulated
from simmore.rl import context

WORST_REGRET = 1.5  # normalised regret, to which larger ones are clipped
_DATASETS = ("cifar10", "cifar100", "ImageNet16-120")
_TOP, _TOP_SCORES = 8, 20  # promising cells: of a device, and by score alone


@dataclass(frozen=True)
class Pool:
    """Simulated devices with their measured tables.

    Attributes
    ----------
    log_latency
        Log latencies from one measurement of every cell, ``(devices, cells)``.
    log_range, log_fastest
        Logarithms of the tables' ranges and fastest latencies, ``(devices,)``.
    """

    log_latency: NDArray[np.float32]
    log_range: NDArray[np.float32]
    log_fastest: NDArray[np.float32]

    @classmethod
    def draw(cls, n: int, rng: np.random.Generator) -> Pool:
        """Draw n devices and measure them; 1,000 devices take three seconds."""
        drawn = Simulated.draw(n, rng)
        table = drawn.measure(drawn.latency(), rng)
        fastest, slowest = table.min(axis=1), table.max(axis=1)
        return cls(np.log(table), np.log(slowest - fastest), np.log(fastest))

    def __len__(self) -> int:
        return len(self.log_latency)

    def inverse_latency(self, devices: NDArray[np.int64]) -> NDArray[np.float32]:
        """ℓ̄ of all cells, ``(n, cells)``."""
        relative = np.exp(self.log_latency[devices] - self.log_range[devices, None])
        return 1 - (relative - np.exp(self.log_fastest[devices] - self.log_range[devices])[:, None])


def frequent_extremes(rng: np.random.Generator, n_devices: int) -> NDArray[np.int64]:
    """Cells that are most often the fastest or the slowest of simulated devices, ``(64,)``; see `context.REFERENCE`."""
    latency = Simulated.draw(n_devices, rng).latency()
    half, found = context.REFERENCE // 2, list[int]()
    for extremes in (latency.argmin(axis=1), latency.argmax(axis=1)):
        cells, counts = np.unique(extremes, return_counts=True)
        found += cells[np.argsort(-counts, kind="stable")][:half].tolist()
    others = rng.permutation(np.setdiff1d(np.arange(space.N_ARCHS), found))
    return np.concatenate([np.unique(found), others])[: context.REFERENCE].astype(np.int64)


@dataclass(frozen=True)
class Task:
    """A random problem.

    Attributes
    ----------
    score
        p of all cells, ``(cells,)``.
    weight
        Weight of latency in the reward.
    limit
        Share of a device's cells that are within the latency limit; NaN where there is none.
    """

    score: NDArray[np.float32]
    weight: float
    limit: float


@cache
def _stored_scores() -> NDArray[np.float64]:
    return np.stack([proxies.stored_score(name) for name in _DATASETS])


def draw_task(rng: np.random.Generator, *, limits: bool = True) -> Task:
    """Draw a problem.

    Half of the scores are stored ones. The others are monotone functions of these, mixed with a smooth random function
    of the cell, so that the controller can be used with any score. Half of the weights are 1, the others log-uniform
    from 1/4 to 4. A quarter of the problems has a latency limit.
    """
    score = _stored_scores()[rng.integers(len(_DATASETS))]
    if rng.random() < 0.5:
        rank = np.argsort(np.argsort(score)) / len(score)
        shaped = (score, rank)[rng.integers(2)] ** np.exp(rng.uniform(-1, 1))
        x = context.cell_features()
        smooth = np.tanh(x @ rng.standard_normal((x.shape[1], 4)) / 8) @ rng.standard_normal(4)
        smooth = (smooth - smooth.min()) / np.ptp(smooth)
        share = rng.uniform(0, 0.7)
        score = (1 - share) * shaped + share * smooth
        score = score / np.ptp(score) * rng.uniform(0.5, 1.1)
    weight = 1.0 if rng.random() < 0.5 else float(np.exp(rng.uniform(-np.log(4), np.log(4))))
    limit = rng.uniform(0.02, 0.6) if limits and rng.random() < 0.25 else np.nan
    return Task(score.astype(np.float32), weight, float(limit))


def promising(task: Task, pool: Pool, rng: np.random.Generator, *, n_devices: int = 96) -> NDArray[np.int64]:
    """Cells that are among the best on random devices, the highest scores, and half as many random cells, sorted.

    The devices are drawn from the whole pool, so the choice of cells says nothing about the device that is searched.
    """
    chosen = rng.choice(len(pool), min(n_devices, len(pool)), replace=False)
    if np.isfinite(task.limit):
        shares = rng.uniform(0.02, 0.6, len(chosen))
        table = pool.log_latency[chosen]
        limits = np.array([np.quantile(row[::7], share) for row, share in zip(table, shares, strict=True)])
        value = np.where(table <= limits[:, None], task.score, -1e3)
    else:
        value = task.score + np.float32(task.weight) * pool.inverse_latency(chosen)
    best = np.argpartition(-value, _TOP, axis=1)[:, :_TOP]
    found = np.unique(np.concatenate([best.ravel(), np.argsort(-task.score)[:_TOP_SCORES]]))
    others = rng.choice(space.N_ARCHS, len(found) // 2, replace=False)
    return np.union1d(found, others)


def regrets(task: Task, pool: Pool, devices: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Normalised regret of all cells on devices ``(n, cells)``, at most 1.5, and the log latency limits ``(n,)``.

    Under a limit, a cell's reward is its score, and the lowest score if the cell exceeds the limit.
    """
    limits = np.full(len(devices), np.nan, dtype=np.float32)
    if np.isfinite(task.limit):
        table = pool.log_latency[devices]
        limits = np.quantile(table, task.limit, axis=1).astype(np.float32)
        reward = np.where(table <= limits[:, None], task.score, task.score.min())
    else:
        reward = task.score + np.float32(task.weight) * pool.inverse_latency(devices)
    best = reward.max(axis=1)
    random = np.array([random_search_reward(row) for row in reward])
    regret = (best[:, None] - reward) / np.maximum(best - random, 1e-6)[:, None]
    return np.minimum(regret, WORST_REGRET).astype(np.float32), limits
