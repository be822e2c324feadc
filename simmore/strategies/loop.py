"""Searching a cell for a device from a few measurements: one interface, one trajectory, many strategies.

A strategy gets the scores p of all cells, a `measure` function, a start cell, a budget and a generator, and sees
nothing of the device but what it measured (PROTOCOL: "Test on a device").
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from tqdm.auto import tqdm

from simmore import data, devices, proxies, space
from simmore.devices import rewards
from simmore.rl import mdp
from simmore.rl.policy import Controller
from simmore.strategies import recommendation

BUDGET = 10  # distinct cells measured, the start included (paper, section 4)


class BudgetSpent(Exception):
    """A strategy asked for one more cell than its budget allows; the search ends there."""


class MeasurementFailed(RuntimeError):
    """The device failed in the middle of a search; `trajectory` holds what was measured until then."""

    def __init__(self, message: str, trajectory: pd.DataFrame) -> None:
        super().__init__(message)
        self.trajectory = trajectory


class Measure(Protocol):
    """Latency in ms of one cell on the device; a cell seen before costs nothing.

    Raises `BudgetSpent` when the budget doesn't allow another cell.
    """

    def __call__(self, arch: int) -> float: ...


class Strategy(Protocol):
    """Measures cells, one after the other, until it has enough or the budget is spent.

    What it measures may depend on what it measured before, but not on the budget: with a larger one it goes on.
    """

    def __call__(
        self, score: NDArray[np.float64], measure: Measure, start: int, budget: int, rng: np.random.Generator
    ) -> None: ...


@dataclass(frozen=True)
class Search:
    """A search's end.

    Attributes
    ----------
    arch
        The answer: one of the cells that were measured. Under a latency limit, None if none of them keeps it.
    trajectory
        A row a step: ``step``, ``arch``, ``latency_ms``, ``score``, ``val_accuracy`` (%, CIFAR-10, unknown to the
        search), ``measured`` (distinct cells so far).
    """

    arch: int | None
    trajectory: pd.DataFrame

    @property
    def arch_str(self) -> str:
        """The answer in NATS-Bench's notation."""
        if self.arch is None:
            raise ValueError("there is no answer: no measured cell keeps the limit")
        return space.to_string(self.arch)

    @property
    def latency_ms(self) -> float:
        """The answer's measured latency."""
        if self.arch is None:
            raise ValueError("there is no answer: no measured cell keeps the limit")
        return float(self.trajectory.loc[self.trajectory.arch == self.arch, "latency_ms"].iloc[0])

    @property
    def measurements(self) -> int:
        """Distinct cells measured."""
        return int(self.trajectory.measured.max())


class _Recorder:
    """Counts distinct cells, and writes down every step."""

    def __init__(self, latency_ms: Callable[[ArrayLike], NDArray[np.float64]], budget: int) -> None:
        self._latency_ms = latency_ms
        self._budget = budget
        self._known: dict[int, float] = {}
        self.steps: list[tuple[int, float, int]] = []

    def __call__(self, arch: int) -> float:
        arch = int(arch)
        if arch not in self._known:
            if len(self._known) == self._budget:
                raise BudgetSpent
            latency = float(self._latency_ms(arch))
            if np.isnan(latency) or latency <= 0:
                raise ValueError(f"the device reported {latency} ms for cell {arch}, which is no latency")
            self._known[arch] = latency
        self.steps.append((arch, self._known[arch], len(self._known)))
        return self._known[arch]

    def trajectory(self, score: NDArray[np.float64]) -> pd.DataFrame:
        archs = np.array([arch for arch, _, _ in self.steps], dtype=np.int64)
        return pd.DataFrame(
            {
                "step": np.arange(len(archs)),
                "arch": archs,
                "latency_ms": np.array([latency for _, latency, _ in self.steps], dtype=np.float64),
                "score": score[archs],
                "val_accuracy": data.accuracy("cifar10")[archs],
                "measured": np.array([measured for _, _, measured in self.steps], dtype=np.int64),
            }
        )


def search(
    device: devices.Device,
    strategy: Strategy,
    *,
    start: int | None = None,
    budget: int = BUDGET,
    seed: int | np.random.Generator = 0,
    score: NDArray[np.float64] | None = None,
    model: recommendation.RangeModel | None = None,
    max_latency_ms: float | None = None,
) -> Search:
    """Search a cell that is fast on a device and scores well, from at most `budget` measured cells.

    Parameters
    ----------
    device
        Its `latency_ms` is called for one cell at a time, and never twice for the same.
    strategy
        Such as `random_search`, or ``follow(controller.load())``.
    start
        NATS index of the first cell; drawn if None.
    budget
        Distinct cells that may be measured, the start included, 1 … 15,625.
    seed
        A seed or a generator.
    score
        p of all cells, ``(15625,)``; this project's own for CIFAR-10 if None.
    model
        What turns ms into the ℓ̄ that the answer is chosen by; fitted without the device's family if None.
    max_latency_ms
        A limit: the answer is then the highest score among what was measured and keeps it (paper, section 3.1).

    Raises
    ------
    ValueError
        For a budget or a start outside the space, a score that is not one number a cell, or a limit that is no latency.
    MeasurementFailed
        If the device raises, or returns what is no latency; the trajectory so far comes with it.
    """
    if not 1 <= budget <= space.N_ARCHS:
        raise ValueError(f"the budget is a number of distinct cells from 1 to {space.N_ARCHS}, got {budget}")
    rng = np.random.default_rng(seed)
    start = int(rng.integers(space.N_ARCHS)) if start is None else int(start)
    if not 0 <= start < space.N_ARCHS:
        raise ValueError(f"the start is a NATS index from 0 to {space.N_ARCHS - 1}, got {start}")
    if max_latency_ms is not None and not max_latency_ms > 0:
        raise ValueError(f"a latency limit is a positive number of ms, got {max_latency_ms}")
    score = proxies.stored_score() if score is None else score
    if score.shape != (space.N_ARCHS,):
        raise ValueError(f"scores have shape ({space.N_ARCHS},), got {score.shape}")
    recorder = _Recorder(device.latency_ms, budget)
    try:
        recorder(start)
        strategy(score, recorder, start, budget, rng)
    except BudgetSpent:
        pass
    except Exception as error:
        message = f"measuring on {device.name} failed after {len(recorder.steps)} steps: {error}"
        raise MeasurementFailed(message, recorder.trajectory(score)) from error
    trajectory = recorder.trajectory(score)
    if max_latency_ms is not None:
        return Search(choose_within(trajectory, max_latency_ms), trajectory)
    return Search(choose(trajectory, model or recommendation.expected_range(device.name)), trajectory)


def choose(trajectory: pd.DataFrame, model: recommendation.RangeModel) -> int:
    """The measured cell with the highest p + ℓ̄, ℓ̄ by the range of latencies that the model expects of the device."""
    cells = trajectory.drop_duplicates("arch")
    cells = cells[np.isfinite(cells.latency_ms)]
    if cells.empty:
        return int(trajectory.arch.iloc[0])  # nothing compiled: the start is as good as any
    fastest, slowest = model.bounds_ms(cells.arch, cells.latency_ms)
    return int(cells.arch.iloc[recommendation.best_tradeoff(cells.score, cells.latency_ms, slowest - fastest)])


def choose_within(trajectory: pd.DataFrame, limit_ms: float) -> int | None:
    """The measured cell with the highest p within a latency limit, None if there is none."""
    best = recommendation.best_within(trajectory.score, trajectory.latency_ms, limit_ms)
    return None if best is None else int(trajectory.arch.iloc[best])


def random_search(
    score: NDArray[np.float64], measure: Measure, start: int, budget: int, rng: np.random.Generator
) -> None:
    """Measure distinct cells drawn uniformly."""
    for arch in rng.permutation(space.N_ARCHS)[:budget]:
        measure(int(arch))


def follow(controller: Controller, *, greedy: bool = False) -> Strategy:
    """The paper's way: take the controller's edits, one at a time, for an episode or until the budget is spent.

    Parameters
    ----------
    controller
        A trained policy.
    greedy
        Take the likeliest edit instead of drawing one: it stops moving sooner, with fewer cells measured.
    """

    def strategy(
        score: NDArray[np.float64], measure: Measure, start: int, budget: int, rng: np.random.Generator
    ) -> None:
        observer = mdp.Observer(1)
        cell = np.array([start], dtype=np.int32)
        observation = observer.begin(cell, np.array([measure(start)]))
        for _ in range(mdp.HORIZON):
            action = controller.act(observation, None if greedy else rng)
            cell = mdp.next_archs()[cell, action]
            observation = observer.observe(action, cell, np.array([measure(int(cell[0]))]))

    return strategy


def regrets(
    tested: Iterable[devices.Device],
    strategies: dict[str, Strategy],
    *,
    n_starts: int = 100,
    budget: int = BUDGET,
    seed: int = 0,
    score: NDArray[np.float64] | None = None,
) -> pd.DataFrame:
    """Search every device from the same random starts with every strategy, and score the ends against the full tables.

    Returns
    -------
    pandas.DataFrame
        A row a search: ``strategy``, ``device``, ``seed`` (number of the start; the draws are the same on
        every device), ``arch`` (the answer), ``measurements``, ``regret`` of the answer and ``regret_best`` of the
        best cell measured, both normalised (0 perfect, 1 random search).
    """
    score = proxies.stored_score() if score is None else score
    starts = np.random.default_rng(seed).integers(space.N_ARCHS, size=n_starts)
    tested, rows = list(tested), []
    bar = tqdm(total=len(tested) * len(strategies) * n_starts, desc="searching", unit=" searches", disable=None)
    for device in tested:
        values = rewards.reward(score, device.latency_ms(np.arange(space.N_ARCHS)))
        model = recommendation.expected_range(device.name)
        for name, strategy in strategies.items():
            for k, start in enumerate(starts):
                bar.update()
                rng = np.random.default_rng([seed, k])
                found = search(device, strategy, start=start, budget=budget, seed=rng, score=score, model=model)
                regret = rewards.normalised_regret(values, found.trajectory.arch)
                answer = rewards.normalised_regret(values, np.asarray(found.arch))
                rows.append((name, device.name, k, found.arch, found.measurements, float(answer), regret.min()))
    bar.close()
    columns = ["strategy", "device", "seed", "arch", "measurements", "regret", "regret_best"]
    return pd.DataFrame(rows, columns=columns)
