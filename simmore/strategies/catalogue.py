"""All search strategies by name, each made from what may be known before the first measurement.

A factory gets the name of the tested device, whose board it leaves out of whatever it fits, and a latency limit, if
there is one; it never gets the device. Where a strategy has to trade score for milliseconds on its way, it takes the
range of latencies that the mean known device would have at the measured scale.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simmore import devices, space
from simmore.models.priors import Prior, prior_without
from simmore.rl import ablations
from simmore.rl import policy as policies
from simmore.rl import shortlist as shortlists
from simmore.strategies.gaussian import GaussianModel, GaussianSearch
from simmore.strategies.improvement import ImprovementSearch, LimitSearch
from simmore.strategies.learned import LearnedSearch
from simmore.strategies.loop import Measure, Strategy, follow, random_search

Factory = Callable[[str, float | None], Strategy]

POPULATION = 5  # of both evolutions: half of what ten measurements allow
SAMPLE = 3  # of a tournament
_MUTATION_TRIES = 50  # before a random cell takes the place of a mutant that was not measured yet
_LUT_POPULATION, _LUT_GENERATIONS = 100, 30  # of the evolution on a LUT, which costs no measurement


class Tradeoff:
    """Estimated reward of measured cells: p − ℓ / range, the range by the mean shape of known devices ``(15625,)``."""

    def __init__(self, score: NDArray[np.float64], shape: NDArray[np.float64]) -> None:
        self._score, self._shape, self._range = score, shape, np.ptp(shape)

    def __call__(self, archs: ArrayLike, latency_ms: ArrayLike) -> NDArray[np.float64]:
        archs, latency = np.asarray(archs), np.asarray(latency_ms, dtype=np.float64)
        known = np.isfinite(latency)
        scale = np.exp(np.log(latency[known] / self._shape[archs[known]]).mean()) if known.any() else 1.0
        return self._score[archs] - latency / (scale * self._range)

    def best_unmeasured(self) -> int:
        """The best cell of the mean device."""
        return int((self._score - self._shape / self._range).argmax())


def local_search(shape: NDArray[np.float64]) -> Strategy:
    """Move to the first neighbour that is better; from a local optimum, to a random cell."""

    def strategy(
        score: NDArray[np.float64], measure: Measure, start: int, budget: int, rng: np.random.Generator
    ) -> None:
        tradeoff = Tradeoff(score, shape)
        seen = {start: measure(start)}
        here = start
        while len(seen) < space.N_ARCHS:
            for neighbour in rng.permutation(space.neighbours(here)):
                seen[int(neighbour)] = measure(int(neighbour))
                estimate = tradeoff(list(seen), list(seen.values()))
                if estimate[list(seen).index(int(neighbour))] > estimate[list(seen).index(here)]:
                    here = int(neighbour)
                    break
            else:
                here = int(rng.integers(space.N_ARCHS))
                seen[here] = measure(here)

    return strategy


def _mutant(arch: int, seen: dict[int, float], rng: np.random.Generator) -> int:
    """A cell one operation away that was not measured yet, or a random one if none turns up."""
    for _ in range(_MUTATION_TRIES):
        candidate = int(rng.choice(space.neighbours(arch)))
        if candidate not in seen:
            return candidate
    return int(rng.integers(space.N_ARCHS))


def _random_population(measure: Measure, start: int, rng: np.random.Generator) -> dict[int, float]:
    """The start and random cells, with their latencies."""
    seen = {start: measure(start)}
    while len(seen) < POPULATION:
        arch = int(rng.integers(space.N_ARCHS))
        seen[arch] = measure(arch)
    return seen


def regularised_evolution(shape: NDArray[np.float64]) -> Strategy:
    """Mutate the best of a random sample of the population; the oldest member dies (Real et al. 2019)."""

    def strategy(
        score: NDArray[np.float64], measure: Measure, start: int, budget: int, rng: np.random.Generator
    ) -> None:
        tradeoff = Tradeoff(score, shape)
        seen = _random_population(measure, start, rng)
        population = list(seen)
        while len(seen) < space.N_ARCHS:
            sample = rng.choice(population, SAMPLE, replace=False)
            parent = int(sample[tradeoff(sample, [seen[int(arch)] for arch in sample]).argmax()])
            child = _mutant(parent, seen, rng)
            seen[child] = measure(child)
            population = [*population[1:], child]

    return strategy


def freerea(shape: NDArray[np.float64]) -> Strategy:
    """FreeREA's evolution: two parents of a tournament, a mutant of each, their crossover (Cavagnero et al. 2023)."""

    def strategy(
        score: NDArray[np.float64], measure: Measure, start: int, budget: int, rng: np.random.Generator
    ) -> None:
        tradeoff = Tradeoff(score, shape)
        seen = _random_population(measure, start, rng)
        population = list(seen)
        while len(seen) < space.N_ARCHS:
            sample = rng.choice(population, SAMPLE, replace=False)
            estimate = tradeoff(sample, [seen[int(arch)] for arch in sample])
            first, second = (int(arch) for arch in sample[np.argsort(-estimate)[:2]])
            mask = rng.random(space.N_EDGES) < 0.5
            crossed = int(space.to_archs(np.where(mask, space.to_ops(first), space.to_ops(second))))
            for child in (_mutant(first, seen, rng), _mutant(second, seen, rng), crossed):
                seen[child] = measure(child)
                population.append(child)
            population = population[-POPULATION:]

    return strategy


def mean_device(shape: NDArray[np.float64]) -> Strategy:
    """The cell that is best on the mean known device: nothing of the target is needed but to measure the answer."""

    def strategy(
        score: NDArray[np.float64], measure: Measure, start: int, budget: int, rng: np.random.Generator
    ) -> None:
        measure(Tradeoff(score, shape).best_unmeasured())

    return strategy


def _lut(measure: Measure) -> NDArray[np.float64]:
    """The target as the sum of its operations, ``(15625,)`` in ms, from its five single-operation cells."""
    operation_ms = np.array([measure(int(arch)) for arch in space.single_operation_archs()]) / space.N_EDGES
    slowest = operation_ms[np.isfinite(operation_ms)].max(initial=1e-9)
    return devices.all_operation_counts() @ np.where(np.isfinite(operation_ms), operation_ms, 10 * slowest)


def lut(score: NDArray[np.float64], measure: Measure, start: int, budget: int, rng: np.random.Generator) -> None:
    """Measure the five single-operation cells, then the best cell of their LUT (Wu et al. 2019)."""
    table = _lut(measure)
    measure(int((score - table / max(np.ptp(table), 1e-12)).argmax()))


def lut_evolution(
    score: NDArray[np.float64], measure: Measure, start: int, budget: int, rng: np.random.Generator
) -> None:
    """Evolve a population on the LUT, then measure it, the best first (Cai et al. 2020, *Once for All*)."""
    table = _lut(measure)
    reward = score - table / max(np.ptp(table), 1e-12)
    population = rng.integers(space.N_ARCHS, size=_LUT_POPULATION)
    for _ in range(_LUT_GENERATIONS):
        parents = space.to_ops(rng.choice(population[: _LUT_POPULATION // 4], (2, _LUT_POPULATION)))
        from_first = rng.random((_LUT_POPULATION, space.N_EDGES)) < 0.5
        child = np.where(from_first, parents[0], parents[1])
        mutated = rng.random(child.shape) < 1 / space.N_EDGES
        child = np.where(mutated, rng.integers(space.N_OPERATIONS, size=child.shape), child)
        population = np.unique(np.concatenate([population, space.to_archs(child)]))
        population = population[np.argsort(-reward[population])][:_LUT_POPULATION]
    for arch in population:
        measure(int(arch))


@cache
def _improvement(tested: str) -> ImprovementSearch:
    return ImprovementSearch(prior_without(tested))


@cache
def _limited(tested: str) -> LimitSearch:
    return LimitSearch(prior_without(tested))


@cache
def _learned(tested: str) -> LearnedSearch:
    return LearnedSearch(prior_without(tested), shortlists.networks_for(tested))


def expected_improvement(tested: str, limit_ms: float | None = None) -> Strategy:
    """Ours: expected improvement on draws of whole devices; under a limit, the gain in score that may keep it."""
    return _improvement(tested) if limit_ms is None else partial(_limited(tested), limit_ms=limit_ms)


def _on_shape(strategy: Callable[[NDArray[np.float64]], Strategy]) -> Factory:
    return lambda tested, _: strategy(prior_without(tested).mean)


def _gaussian(model: Callable[[str, Prior], GaussianModel], bound: float) -> Factory:
    return lambda tested, _: GaussianSearch(model(tested, prior_without(tested)), prior_without(tested), bound=bound)


STRATEGIES: dict[str, Factory] = {
    "random": lambda _, __: random_search,
    "local_search": _on_shape(local_search),
    "regularised_evolution": _on_shape(regularised_evolution),
    "freerea": _on_shape(freerea),
    "mean_device": _on_shape(mean_device),
    "lut": lambda _, __: lut,
    "lut_evolution": lambda _, __: lut_evolution,
    "linear_greedy": _gaussian(GaussianModel.linear, 0.0),
    "linear_bound": _gaussian(GaussianModel.linear, 1.0),
    "covariance_greedy": _gaussian(GaussianModel.covariance, 0.0),
    "covariance_bound": _gaussian(GaussianModel.covariance, 1.0),
    "paper": lambda _, __: follow(policies.load("paper")),
    "trpo": lambda _, __: follow(ablations.load("trpo")),
    "a2c": lambda _, __: follow(ablations.load("a2c")),
    "no_history": lambda _, __: follow(ablations.load("no_history")),
    "target_only": lambda tested, _: follow(ablations.load(f"target/{tested}")),
    "controller": lambda tested, _: _learned(tested),
    "expected_improvement": expected_improvement,
}
"""Name → factory of (name of the tested device, latency limit in ms or None)."""

BEST = "expected_improvement"


def make(name: str, tested: str, limit_ms: float | None = None) -> Strategy:
    """A strategy by its name, for a device of this name.

    Raises
    ------
    ValueError
        For a name that is not in `STRATEGIES`, with those that are.
    """
    if name not in STRATEGIES:
        raise ValueError(f"no strategy {name!r}: choose one of {', '.join(STRATEGIES)}")
    return STRATEGIES[name](tested, limit_ms)
