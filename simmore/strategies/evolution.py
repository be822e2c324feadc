"""Local search and evolution on the measured cells.

Both compare measured cells by an estimated reward. It converts milliseconds into score by the latency range of the mean
known device, scaled to the measurements.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simmore import space
from simmore.strategies.problem import History, Problem

POPULATION = 5  # half of ten measurements
SAMPLE = 3  # cells in a tournament
_MUTATION_TRIES = 50  # before a random cell replaces a mutant that was measured before


class Tradeoff:
    """Estimated reward of measured cells with score p and latency ℓ: ``p − weight · ℓ / range``.

    Parameters
    ----------
    shape
        Latencies of the mean known device in any unit, ``(cells,)``.
    """

    def __init__(self, problem: Problem, shape: NDArray[np.float64]) -> None:
        self._problem, self._shape, self._range = problem, shape, np.ptp(shape)

    def __call__(self, history: History, archs: NDArray[np.int64]) -> NDArray[np.float64]:
        """Reward of cells of the history, ``(n,)``, up to a constant."""
        known, latency = history.compiled
        scale = np.exp(np.log(latency / self._shape[known]).mean()) if len(known) else 1.0
        measured = np.array([history[int(arch)] for arch in archs])
        if self._problem.max_latency_ms is not None:
            excess = measured / self._problem.max_latency_ms
            return np.where(excess <= 1, self._problem.merit[archs], -excess)
        return self._problem.merit[archs] - self._problem.weight * measured / (scale * self._range)


class LocalSearch:
    """Move to the first neighbour that is better; from a local optimum, to a random cell."""

    def __init__(self, problem: Problem, shape: NDArray[np.float64]) -> None:
        self._reward = Tradeoff(problem, shape)
        self._here: int | None = None
        self._untried: list[int] = []

    def ask(self, history: History, rng: np.random.Generator, remaining: int) -> int | None:
        if not remaining:
            return None
        last = history.steps[-1][0]
        if self._here is None or not self._untried or self._better(history, last):
            tried_all = self._here is not None and not self._untried and not self._better(history, last)
            self._here = int(rng.integers(space.N_ARCHS)) if tried_all else last
            self._untried = [int(arch) for arch in rng.permutation(space.neighbours(self._here))]
            if self._here not in history:
                return self._here
        return self._untried.pop()

    def _better(self, history: History, arch: int) -> bool:
        if self._here is None or self._here not in history:
            return True
        here, there = self._reward(history, np.array([self._here, arch]))
        return bool(there > here)


class Evolution:
    """Evolve a population of five; the oldest cell leaves it.

    Parameters
    ----------
    crossover
        False: one mutant of a tournament's winner per generation (regularised evolution, Real et al. 2019). True: a
        mutant of each of a tournament's two best and their crossover (FreeREA, Cavagnero et al. 2023).
    """

    def __init__(self, problem: Problem, shape: NDArray[np.float64], *, crossover: bool) -> None:
        self._reward, self._crossover = Tradeoff(problem, shape), crossover
        self._children: list[int] = []

    def ask(self, history: History, rng: np.random.Generator, remaining: int) -> int | None:
        if not remaining:
            return None
        if len(history) < POPULATION:
            return int(rng.integers(space.N_ARCHS))
        if not self._children:
            sample = rng.choice(history.archs[-POPULATION:], SAMPLE, replace=False)
            order = np.argsort(-self._reward(history, sample))
            first, second = (int(arch) for arch in sample[order[:2]])
            self._children = [_mutant(first, history, rng)]
            if self._crossover:
                mask = rng.random(space.N_EDGES) < 0.5
                crossed = int(space.to_archs(np.where(mask, space.to_ops(first), space.to_ops(second))))
                self._children += [_mutant(second, history, rng), crossed]
        return self._children.pop(0)


def _mutant(arch: int, history: History, rng: np.random.Generator) -> int:
    """A cell one operation away that was not measured yet, or a random one if none is found."""
    for _ in range(_MUTATION_TRIES):
        candidate = int(rng.choice(space.neighbours(arch)))
        if candidate not in history:
            return candidate
    return int(rng.integers(space.N_ARCHS))
