"""Baselines that need no model of the device, or only a lookup table of it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simmore import devices, space
from simmore.models.prior import Prior
from simmore.strategies.problem import History, Problem

_SAMPLED = 200  # devices that `FixedCell` suits
_POPULATION, _GENERATIONS = 100, 30  # of the evolution on a LUT, which costs no measurement


class RandomSearch:
    """Measure distinct cells drawn uniformly from those that may be measured."""

    def __init__(self, problem: Problem) -> None:
        self._cells = problem.cells
        self._left: list[int] | None = None  # the next cell is the last one

    def ask(self, history: History, rng: np.random.Generator, remaining: int) -> int | None:
        if self._left is None:
            self._left = rng.permutation(self._cells)[::-1].tolist()
        while remaining and self._left:
            arch = self._left.pop()
            if arch not in history:
                return arch
        return None


class MeanDevice:
    """Measure the cell that is best on the mean known device, and no other.

    Parameters
    ----------
    shape
        Latencies of the mean device in any unit, ``(cells,)``.
    """

    def __init__(self, problem: Problem, shape: NDArray[np.float64]) -> None:
        self._best = int((problem.merit - problem.weight * shape / np.ptp(shape)).argmax())

    def ask(self, history: History, rng: np.random.Generator, remaining: int) -> int | None:
        return self._best if remaining and self._best not in history else None


class FixedCell:
    """Measure the cell with the lowest mean regret on devices that are sampled from a prior, and no other.

    It is the best choice for all devices without a measurement.
    """

    def __init__(self, problem: Problem, prior: Prior) -> None:
        cells = problem.cells
        latency = prior.sample(_SAMPLED, np.random.default_rng(0))[cells]
        bounds = latency.min(axis=0), latency.max(axis=0)
        rewards = devices.reward(problem.merit[cells][:, None], latency, weight=problem.weight, bounds_ms=bounds)
        best, random = rewards.max(axis=0), [devices.random_search_reward(column) for column in rewards.T]
        self._best = int(cells[((best - rewards) / (best - random)).mean(axis=1).argmin()])

    def ask(self, history: History, rng: np.random.Generator, remaining: int) -> int | None:
        return self._best if remaining and self._best not in history else None


class LutSearch:
    """Measure the five single-operation cells, then the best cell by the lookup table from them (Wu et al. 2019).

    If one of the five may not be measured, the lookup table is a least-squares fit to all measured cells.

    Parameters
    ----------
    evolve
        True: evolve a population on the lookup table, and measure its cells, the best first (Cai et al. 2020).
    """

    def __init__(self, problem: Problem, *, evolve: bool = False) -> None:
        self._problem, self._evolve = problem, evolve
        self._ranked: list[int] | None = None
        archs = space.single_operation_archs()
        self._single = archs[np.isin(archs, problem.cells)].tolist()

    def ask(self, history: History, rng: np.random.Generator, remaining: int) -> int | None:
        if not remaining:
            return None
        for arch in self._single:
            if arch not in history:
                return arch
        if self._ranked is None:
            self._ranked = self._rank(self._operation_ms(history), rng)
        return next((arch for arch in self._ranked if arch not in history), None)

    def _operation_ms(self, history: History) -> NDArray[np.float64]:
        """The lookup table: latency of one operation on one edge, ``(operations,)``, infinite if its cell failed."""
        if len(self._single) == space.N_OPERATIONS:
            return np.array([history[arch] for arch in self._single]) / space.N_EDGES
        archs, latency = history.compiled
        if not len(archs):
            return np.ones(space.N_OPERATIONS)
        fitted = np.linalg.lstsq(devices.all_operation_counts()[archs], latency, rcond=None)[0]
        return np.maximum(fitted, 0)

    def _rank(self, operation_ms: NDArray[np.float64], rng: np.random.Generator) -> list[int]:
        """Cells to measure by their reward on the lookup table, the best first."""
        finite = np.isfinite(operation_ms)
        slowest = operation_ms[finite].max() if finite.any() else 1.0
        usable = np.where(finite, operation_ms, 10 * slowest)  # an operation that fails is slow
        table = devices.all_operation_counts() @ usable
        reward = self._problem.merit - self._problem.weight * table / max(np.ptp(table), 1e-12 * table.max())
        if self._problem.max_latency_ms is not None:
            reward = np.where(table <= self._problem.max_latency_ms, self._problem.merit, -np.inf)
        if not self._evolve:
            return [int(reward.argmax())]
        population = rng.integers(space.N_ARCHS, size=_POPULATION)
        for _ in range(_GENERATIONS):
            parents = space.to_ops(rng.choice(population[: _POPULATION // 4], (2, _POPULATION)))
            from_first = rng.random((_POPULATION, space.N_EDGES)) < 0.5
            child = np.where(from_first, parents[0], parents[1])
            mutated = rng.random(child.shape) < 1 / space.N_EDGES
            child = np.where(mutated, rng.integers(space.N_OPERATIONS, size=child.shape), child)
            population = np.unique(np.concatenate([population, space.to_archs(child)]))
            population = population[np.argsort(-reward[population])][:_POPULATION]
        return [int(arch) for arch in population]
