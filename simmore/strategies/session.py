"""The search loop: ask for a cell, measure it, tell the result."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from threadpoolctl import threadpool_limits

from simmore import data, space
from simmore.devices import Device
from simmore.strategies import catalogue, recommendation
from simmore.strategies.problem import History, Problem
from simmore.strategies.recommendation import Recommendation, Rule
from simmore.strategies.strategy import MOST_REVISITS, Strategy, ask_batch

# Threads of NumPy's OpenBLAS wait for one another in a loop. Beside busy programs a search of a second takes up to 30 s
# with them, and matrices of this size gain nothing from them.
_on_one_thread = threadpool_limits.wrap(limits=1, user_api="blas")

BUDGET = 10  # distinct cells measured, the start included (paper, section 4)


class MeasurementFailed(RuntimeError):
    """The device failed in the middle of a search; `trajectory` holds what was measured until then."""

    def __init__(self, message: str, trajectory: pd.DataFrame) -> None:
        super().__init__(message)
        self.trajectory = trajectory


class Session:
    """A search whose measurements the caller makes.

    Parameters
    ----------
    strategy
        Name of a strategy (`simmore.strategies.STRATEGIES`), or any object with `ask`.
    problem
        What is searched for; CIFAR-10 with the paper's reward if None.
    rule
        Recommendation rule. None: that of the named strategy; for an object, `MeasuredRange`.
    without
        Devices whose families are unknown to a named strategy.
    measured
        Cells measured before, ``(arch, latency_ms)`` each; infinite where a cell failed.
    budget
        Distinct cells that may be measured, the start included.
    start
        First cell: NATS index, six digits or string; drawn if None.
    seed
        A seed or a generator.

    Raises
    ------
    ValueError
        For an unknown strategy, a start that is not a cell or may not be measured, or a budget outside 1 … 15,625.

    Examples
    --------
    >>> from simmore.strategies import Session
    >>> session = Session("random", start=0, budget=2)
    >>> session.ask()
    0
    >>> session.tell(0, 12.5)
    >>> session.recommend().arch
    0
    """

    @_on_one_thread
    def __init__(
        self,
        strategy: str | Strategy = catalogue.BEST,
        problem: Problem | None = None,
        *,
        rule: Rule | None = None,
        without: Iterable[str] = (),
        measured: Iterable[tuple[int, float]] = (),
        budget: int = BUDGET,
        start: int | str | None = None,
        seed: int | np.random.Generator = 0,
    ) -> None:
        if not 1 <= budget <= space.N_ARCHS:
            raise ValueError(f"the budget is a number of distinct cells from 1 to {space.N_ARCHS}, got {budget}")
        self.problem = problem or Problem.of()
        if isinstance(strategy, str):
            strategy, own_rule = catalogue.make(strategy, self.problem, catalogue.Knowledge(without))
            rule = rule or own_rule
        self.strategy, self.rule = strategy, rule or recommendation.MeasuredRange()
        self.budget = budget
        self._rng = np.random.default_rng(seed)
        cells = self.problem.cells
        self.start = int(cells[self._rng.integers(len(cells))]) if start is None else _cell(start)
        if self.start not in cells:
            raise ValueError(
                f"cell {self.start} cannot be the start, because it is not among the {len(cells):,} cells that may be "
                "measured: choose one of these, or none"
            )
        self.history = History(measured)
        self._ended = False

    @property
    def remaining(self) -> int:
        """How many more distinct cells may be measured."""
        left = self.budget - len(self.history)
        if self.problem.measurable is not None:
            left = min(left, len(np.setdiff1d(self.problem.cells, self.history.archs)))
        return max(left, 0)

    @_on_one_thread
    def ask(self) -> int | None:
        """NATS index of the next cell to measure; None when the search has ended."""
        if not self.history.steps:
            return self.start
        for _ in range(MOST_REVISITS):
            arch = None if self._ended else self.strategy.ask(self.history, self._rng, self.remaining)
            if arch is None or (arch not in self.history and not self.remaining):
                break
            if arch not in self.history:
                return self._measurable([arch])[0]
            self.history.revisit(arch)  # a cell that is known costs nothing
        self._ended = True
        return None

    @_on_one_thread
    def ask_batch(self, n: int) -> list[int]:
        """Cells to measure together, at most n, chosen together; empty when the search has ended."""
        if n < 1:
            raise ValueError(f"a batch has at least one cell, got {n}")
        if n == 1 or not self.history.steps:
            first = self.ask()
            if first is None or n == 1:
                return [] if first is None else [first]
            # nothing is measured yet: assume an arbitrary latency of the start, one that shows no step of a timer
            assumed = History([(first, 1 / 3)])
            others = ask_batch(self.strategy, assumed, self._rng, self.remaining - 1, n - 1)
            return self._measurable([first, *others])
        return self._measurable(ask_batch(self.strategy, self.history, self._rng, self.remaining, n))

    def _measurable(self, archs: list[int]) -> list[int]:
        """Proposed cells; each one that may not be measured is replaced by the nearest cell that may.

        The nearest cell has the fewest changed edges. Among equals, first come cells with the same operations on edges
        that lead to the output, because latency depends on these, and then the highest score.
        """
        if self.problem.measurable is None:
            return archs
        proposed = [arch for arch in archs if self.problem.measurable[arch]]
        left = np.setdiff1d(self.problem.cells, [*self.history.archs, *proposed])
        ops, live = space.all_ops(), space.all_ops() * space.live_edges(np.arange(space.N_ARCHS))
        found: list[int] = []
        for arch in archs:
            if not self.problem.measurable[arch]:
                changed = (ops[left] != ops[arch]).sum(axis=1)
                another_latency = (live[left] != live[arch]).any(axis=1)
                nearest = np.lexsort((-self.problem.score[left], another_latency, changed))[0]
                arch, left = int(left[nearest]), np.delete(left, nearest)
            found.append(arch)
        return found

    def tell(self, arch: int | str, latency_ms: float | None) -> None:
        """Add a measurement: any cell and its latency in ms; None or infinite if it did not compile or run.

        Raises
        ------
        ValueError
            For an argument that is not a cell, or not a latency.
        """
        self.history.add(_cell(arch), np.inf if latency_ms is None else float(latency_ms))

    def revise(self, latency_ms: Mapping[int, float]) -> None:
        """Replace latencies of measured cells, in ms by NATS index; later measurements may correct earlier ones."""
        self.history = self.history.revised(latency_ms)

    @_on_one_thread
    def recommend(self) -> Recommendation | None:
        """The best measured cell and its expected regret; None if none can be recommended."""
        return recommendation.recommend(self.rule, self.problem, self.history)

    def trajectory(self) -> pd.DataFrame:
        """A row per step: ``step, arch, latency_ms, score, val_accuracy, n_measured`` (distinct cells so far).

        The latency combines all readings of the cell.
        """
        archs = np.array([arch for arch, _ in self.history.steps], dtype=np.int64)
        first = ~pd.Series(archs).duplicated().to_numpy()
        return pd.DataFrame(
            {
                "step": np.arange(len(archs)),
                "arch": archs,
                "latency_ms": np.array([self.history[int(arch)] for arch in archs], dtype=np.float64),
                "score": self.problem.score[archs],
                "val_accuracy": data.accuracy(self.problem.dataset)[archs],
                "n_measured": np.cumsum(first),
            }
        )


def _cell(arch: int | str) -> int:
    """NATS index of a cell that a caller names.

    Raises
    ------
    ValueError
        If it is not a cell.
    """
    if isinstance(arch, int | np.integer):
        if not 0 <= arch < space.N_ARCHS:
            raise ValueError(f"a cell is a NATS index from 0 to {space.N_ARCHS - 1}, got {arch}")
        return int(arch)
    return space.to_arch(arch)


@dataclass(frozen=True)
class Search:
    """The result of a search.

    Attributes
    ----------
    arch
        The recommendation, one of the measured cells; None if no measured cell is within the limits.
    expected_regret
        See `Recommendation`.
    trajectory
        See `Session.trajectory`.
    ranked
        Measured cells that may be recommended, the best first.
    rule_uses
        The information that the recommendation uses besides the measurements.
    implausible
        Measured cells with an implausible latency. They are not recommended; measure them again.
    """

    arch: int | None
    expected_regret: float | None
    trajectory: pd.DataFrame
    ranked: list[int] = field(repr=False)
    rule_uses: str = ""
    implausible: list[int] = field(default_factory=list)

    @classmethod
    def of(cls, session: Session) -> Search:
        """The result of a session as it stands."""
        cells = recommendation.ranked(session.rule, session.problem, session.history)
        found = session.recommend()
        arch, regret = (None, None) if found is None else found
        doubtful = session.history.archs[session.rule.implausible(session.history)].tolist()
        return cls(arch, regret, session.trajectory(), cells, session.rule.uses, doubtful)

    @property
    def arch_str(self) -> str:
        """The recommendation in NATS-Bench's notation.

        Raises
        ------
        ValueError
            If there is none.
        """
        return space.to_string(self._found())

    @property
    def latency_ms(self) -> float:
        """The recommendation's measured latency in ms.

        Raises
        ------
        ValueError
            If there is no recommendation.
        """
        arch = self._found()
        return float(self.trajectory.loc[self.trajectory["arch"] == arch, "latency_ms"].iloc[0])

    @property
    def n_measured(self) -> int:
        """Distinct cells measured."""
        return int(self.trajectory["n_measured"].max())

    @property
    def front(self) -> pd.DataFrame:
        """Measured cells that no other dominates, the fastest first.

        Columns ``arch, arch_str, latency_ms, score, val_accuracy``.
        """
        cells = self.trajectory.drop_duplicates("arch")
        cells = cells.iloc[pareto_front(cells["latency_ms"], cells["score"])]
        front = cells[["arch", "latency_ms", "score", "val_accuracy"]].reset_index(drop=True)
        front.insert(1, "arch_str", [space.to_string(arch) for arch in front["arch"]])
        return front

    def _found(self) -> int:
        if self.arch is None:
            raise ValueError("there is no recommendation: no measured cell keeps the limits")
        return self.arch


def pareto_front(cost: ArrayLike, gain: ArrayLike) -> NDArray[np.int64]:
    """Positions of the points that no other point dominates, by rising cost; cost and gain are ``(n,)``.

    >>> pareto_front([3.0, 1.0, 2.0], [5.0, 1.0, 0.0])
    array([1, 0])
    """
    cost, gain = np.asarray(cost, dtype=np.float64), np.asarray(gain, dtype=np.float64)
    order = np.lexsort((-gain, cost))  # by cost; the highest gain first among equals
    gains = gain[order]
    best_before = np.maximum.accumulate(np.concatenate([[-np.inf], gains[:-1]]))
    return order[(gains > best_before) & np.isfinite(cost[order])]


def measure(session: Session, device: Device) -> None:
    """Measure on a device what a session asks for, until the search ends.

    Parameters
    ----------
    device
        Its `latency_ms` is called for one cell at a time, and never twice for the same.

    Raises
    ------
    MeasurementFailed
        If the device raises an error, or returns something that is not a latency. It holds the trajectory so far.
    """
    while (arch := session.ask()) is not None:
        try:
            session.tell(arch, float(device.latency_ms(np.asarray(arch))))
        except Exception as error:
            if isinstance(error.__context__, KeyboardInterrupt):  # `threading` may fail on it
                raise KeyboardInterrupt from error
            message = f"measuring on {device.name} failed after {len(session.history.steps)} steps: {error}"
            raise MeasurementFailed(message, session.trajectory()) from error


def run(session: Session, device: Device) -> Search:
    """Search with `measure`, and return the result."""
    measure(session, device)
    return Search.of(session)
