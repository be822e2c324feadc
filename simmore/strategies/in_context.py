"""The strategy `controller`: a network trained on simulated devices chooses the next cell (`rl.context`)."""

from __future__ import annotations

import copy
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simmore import space
from simmore.models.simulated import SOURCE
from simmore.rl import context
from simmore.rl.context import ContextNetwork, Situation
from simmore.strategies.problem import History, Problem

_EVERY = np.arange(space.N_ARCHS)


class _Seen(NamedTuple):
    """A situation on all cells, the measured cells, and the log latency (ms) that all latencies are relative to."""

    situation: Situation
    archs: NDArray[np.int64]
    centre: float


def _see(network: ContextNetwork, problem: Problem, history: History, remaining: int = 0) -> _Seen | None:
    """The situation after a history, with the network's belief; None if no measurement can be used.

    The cells are sorted, so that the order of the measurements has no effect. The network reads at most
    `context.MOST_TOKENS` cells; of more, it reads that many, evenly spaced from the fastest to the slowest.
    """
    usable = np.isfinite(history.latency_ms) & ~history.implausible(network.prior_shape)
    order = np.argsort(history.archs[usable], kind="stable")
    archs, latency = history.archs[usable][order], history.latency_ms[usable][order]
    if not len(archs):
        return None
    read = np.arange(len(archs))
    if len(archs) > context.MOST_TOKENS:
        places = np.round(np.linspace(0, len(archs) - 1, context.MOST_TOKENS)).astype(np.int64)
        read = np.sort(np.lexsort((archs, latency))[places])
    log_latency = np.log(latency)
    centre = float(log_latency[read].mean())
    belief = network.believe(archs[read], log_latency[read] - centre)
    measured = belief.mean[archs] if network.blind else log_latency - centre
    log_limit = np.nan
    if problem.max_latency_ms is not None:
        log_limit = float(np.median(belief.mean)) if network.blind else np.log(problem.max_latency_ms) - centre
    situation = Situation(
        belief=belief,
        score=problem.score,
        measured_score=problem.score[archs],
        measured_log_latency=measured,
        present=np.array([problem.may_recommend(int(arch)) for arch in archs], dtype=bool),
        weight=np.asarray(problem.weight),
        remaining=np.asarray(remaining),
        log_limit=np.asarray(log_limit),
    )
    return _Seen(situation, archs, centre)


class InContext:
    """Measure the cell with the largest logit.

    The network reads at most 20 measured cells, and gives a logit to every cell of the space. Under a latency limit the
    search ends when no cell scores higher than the best measured cell within it.

    Parameters
    ----------
    problem
        What is searched for.
    network
        The trained controller.
    """

    def __init__(self, problem: Problem, network: ContextNetwork) -> None:
        self.problem, self.network = problem, network

    def ask(self, history: History, rng: np.random.Generator, remaining: int) -> int | None:
        found = self._choose(history, remaining)
        return None if found is None else found[0]

    def ask_batch(self, history: History, rng: np.random.Generator, remaining: int, n: int) -> list[int]:
        """Cells to measure together: each is chosen as if those before it had their predicted latencies."""
        assumed, found = copy.deepcopy(history), list[int]()
        while len(found) < n and (choice := self._choose(assumed, remaining - len(found))) is not None:
            found.append(choice[0])
            assumed.add(*choice)
        return found

    def _choose(self, history: History, remaining: int) -> tuple[int, float] | None:
        """The next cell and its predicted latency in ms."""
        problem = self.problem
        left = ~np.isin(_EVERY, history.archs)
        if problem.measurable is not None:
            left &= problem.measurable
        if problem.allowed is not None and (left & problem.allowed).any():
            left &= problem.allowed
        seen = _see(self.network, problem, history, remaining)
        if problem.max_latency_ms is not None:
            archs, latency = history.compiled
            kept = [arch for arch in archs[latency <= problem.max_latency_ms] if problem.may_recommend(int(arch))]
            left &= problem.score > max(problem.score[kept], default=-np.inf)
        if remaining <= 0 or not left.any():
            return None
        if seen is None:  # nothing compiled yet
            shape = self.network.prior_shape
            value = problem.score - problem.weight * shape / np.ptp(shape)
            return int(np.where(left, value, -np.inf).argmax()), 1.0
        logits = self.network.logits(context.decision_features(seen.situation))
        best = int(np.where(left, logits, -np.inf).argmax())
        return best, float(np.exp(seen.centre + seen.situation.belief.mean[best]))


class LearnedRecommendation:
    """Ranks the measured cells, and predicts range and regret, by heads of the network.

    Parameters
    ----------
    network
        The controller that searches.
    """

    uses = SOURCE

    def __init__(self, network: ContextNetwork) -> None:
        self.network = network

    def estimated_range_ms(self, history: History) -> tuple[float, float]:
        seen = _see(self.network, self._any_problem(), history)
        if seen is None:
            return 1.0, 2.0  # nothing compiled: there is nothing to rank
        belief = seen.situation.belief
        fastest = min(float(np.exp(belief.fastest_mean + seen.centre)), float(history.compiled[1].min()))
        return fastest, fastest + float(np.exp(belief.range_mean + seen.centre))

    @staticmethod
    def _any_problem() -> Problem:
        return Problem(np.zeros(len(_EVERY)))

    def implausible(self, history: History) -> NDArray[np.bool_]:
        return history.implausible(self.network.prior_shape)

    def value(self, problem: Problem, history: History, archs: NDArray[np.int64]) -> NDArray[np.floating]:
        """Logits of measured cells that may be recommended, ``(n,)``; only for problems without a latency limit."""
        seen = _see(self.network, problem, history)
        assert seen is not None
        logits = self.network.recommendation_logits(context.recommendation_features(seen.situation))
        return logits[np.searchsorted(seen.archs, archs)]

    def expected_regret(self, problem: Problem, history: History, arch: int) -> float | None:
        """From the network; under a latency limit, from each cell's probability to be within it, as if independent."""
        seen = _see(self.network, problem, history)
        if seen is None:
            return None
        situation = seen.situation
        decision = context.decision_features(situation)
        if problem.max_latency_ms is None:
            return float(self.network.expected_regret(context.summary_features(situation, decision)))
        lost = problem.score - problem.score[arch]
        candidates = (lost > 0) & ~np.isin(_EVERY, history.archs)
        if problem.measurable is not None:
            candidates &= problem.measurable
        if problem.allowed is not None:
            candidates &= problem.allowed
        order = np.argsort(-lost[candidates], kind="stable")
        chance = decision[candidates, 2][order].astype(np.float64)  # of being within the limit
        none_better = np.concatenate([[1.0], np.cumprod(1 - chance)[:-1]])
        return float((none_better * chance * lost[candidates][order]).sum())
