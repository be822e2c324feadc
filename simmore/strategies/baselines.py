"""Baselines that need no model of the device, or only a lookup table of it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simmore import devices, space
from simmore.strategies.problem import History, Problem

_POPULATION, _GENERATIONS = 100, 30  # of the evolution on a LUT, which costs no measurement


class RandomSearch:
    """Measure distinct cells drawn uniformly."""

    def __init__(self) -> None:
        self._left: list[int] | None = None  # the next cell is the last one

    def ask(self, history: History, rng: np.random.Generator, remaining: int) -> int | None:
        if self._left is None:
            self._left = rng.permutation(space.N_ARCHS)[::-1].tolist()
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


class LutSearch:
    """Measure the five single-operation cells, then the best cell of the lookup table that they give (Wu et al. 2019).

    Parameters
    ----------
    evolve
        True: evolve a population on the lookup table, and measure all of it, the best cell first (Cai et al. 2020).
    """

    def __init__(self, problem: Problem, *, evolve: bool = False) -> None:
        self._problem, self._evolve = problem, evolve
        self._ranked: list[int] | None = None

    def ask(self, history: History, rng: np.random.Generator, remaining: int) -> int | None:
        if not remaining:
            return None
        single = [int(arch) for arch in space.single_operation_archs()]
        for arch in single:
            if arch not in history:
                return arch
        if self._ranked is None:
            self._ranked = self._rank(np.array([history[arch] for arch in single]) / space.N_EDGES, rng)
        return next((arch for arch in self._ranked if arch not in history), None)

    def _rank(self, operation_ms: NDArray[np.float64], rng: np.random.Generator) -> list[int]:
        """Cells to measure by their reward on the lookup table, the best first."""
        slowest = operation_ms[np.isfinite(operation_ms)].max(initial=1e-9)
        usable = np.where(np.isfinite(operation_ms), operation_ms, 10 * slowest)  # an operation that fails is slow
        table = devices.all_operation_counts() @ usable
        reward = self._problem.merit - self._problem.weight * table / max(np.ptp(table), 1e-12)
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
