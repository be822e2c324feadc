"""What the explorer shows, as arrays: the cells of a device, and a search with what it believes at each step."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from simmore import data, devices, proxies, space
from simmore.errors import DataError
from simmore.strategies import History, Problem, Search, Session, recommendation, run


@dataclass(frozen=True)
class Profile:
    """All cells on one device.

    Attributes
    ----------
    score
        Score of all cells, ``(cells,)``.
    label
        What texts call the score.

    Raises
    ------
    ValueError
        If all cells have the same latency, so that ℓ̄ is not defined.
    """

    device: devices.Device
    score: NDArray[np.float64] = field(repr=False)
    label: str = proxies.SCORES[proxies.DEFAULT].label

    def __post_init__(self) -> None:
        fastest, slowest = self.range_ms
        if not fastest < slowest:
            raise ValueError(
                f"{self.device.name}: every cell takes {fastest:.4g} ms, so none is better than another: "
                "make the operations differ in latency"
            )

    @cached_property
    def latency_ms(self) -> NDArray[np.float64]:
        """``(cells,)``; inf for a cell that does not compile, NaN for one that the table lacks."""
        return devices.whole_table(self.device)

    @property
    def operation_ms(self) -> NDArray[np.float64]:
        """Latency of each operation on one edge, ``(operations,)``; NaN where the table lacks its cell."""
        return self.latency_ms[space.single_operation_archs()] / space.N_EDGES

    @cached_property
    def range_ms(self) -> tuple[float, float]:
        """Latency of the fastest and of the slowest cell."""
        return devices.bounds(self.latency_ms)

    @cached_property
    def inverse_latency(self) -> NDArray[np.float64]:
        """ℓ̄, ``(cells,)``."""
        return devices.inverse_latency(self.latency_ms)

    @cached_property
    def reward(self) -> NDArray[np.float64]:
        """Reward r, the score plus ℓ̄, ``(cells,)``."""
        return devices.reward(self.score, self.latency_ms)

    @cached_property
    def optimum(self) -> int:
        """h*, the cell with the highest reward."""
        return int(np.nanargmax(self.reward))

    def percentile(self, arch: int) -> float:
        """Share of the cells that are slower than this one, in %: 100 is the fastest."""
        cells = devices.measured_cells(self.device)
        return float(100 * (self.latency_ms[cells] > self.latency_ms[arch]).mean())


@dataclass(frozen=True)
class Belief:
    """What the recommendation rule believes after one step.

    Attributes
    ----------
    cells
        The distinct measured cells, in order: ``arch, latency_ms, score``, and ``inverse_latency`` and ``reward``
        under the estimated range.
    recommended
        NATS index of the cell that it recommends; None if no measured cell compiles and keeps the limit.
    range_ms
        Estimated latency of the device's fastest and slowest cell; None if no measured cell compiles.
    operation_ms
        Posterior mean of each operation's latency, ``(operations,)``; None for a rule without a model of the device.
    """

    cells: pd.DataFrame
    recommended: int | None
    range_ms: tuple[float, float] | None = None
    operation_ms: NDArray[np.float64] | None = None

    @classmethod
    def of(cls, rule: recommendation.Rule, problem: Problem, history: History) -> Belief:
        """What a rule believes after the steps of a history."""
        archs, latency_ms = history.archs, history.latency_ms
        score = problem.score[archs]
        cells = pd.DataFrame({"arch": archs, "latency_ms": latency_ms, "score": score})
        if not np.isfinite(latency_ms).any():
            return cls(cells.assign(inverse_latency=-np.inf, reward=-np.inf), None)
        range_ms = rule.estimated_range_ms(history)
        cells["inverse_latency"] = devices.inverse_latency(latency_ms, range_ms)
        cells["reward"] = devices.reward(score, latency_ms, bounds_ms=range_ms)
        ranked = recommendation.ranked(rule, problem, history)
        operation_ms = None
        if isinstance(rule, recommendation.ExpectedRange):
            operation_ms = rule.predicted_ms(history)[space.single_operation_archs()] / space.N_EDGES
        return cls(cells, ranked[0] if ranked else None, range_ms, operation_ms)


@dataclass(frozen=True)
class Trace:
    """A search on a device, a step per measured cell: what a strategy visits again changes nothing.

    Attributes
    ----------
    archs
        The measured cells, in order.
    beliefs
        One per step.
    inference_regret, simple_regret
        Normalised regret of the recommendation at each step, NaN if there is none, and of the best cell measured until
        then, ``(steps,)``.
    """

    profile: Profile
    found: Search
    archs: list[int]
    beliefs: list[Belief]
    inference_regret: NDArray[np.float64]
    simple_regret: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.beliefs)


def trace(
    profile: Profile,
    strategy: str,
    *,
    start: int,
    budget: int,
    seed: int,
    without: Iterable[str] = (),
    max_latency_ms: float | None = None,
) -> Trace:
    """Search a device, and record the belief after each step.

    Parameters
    ----------
    strategy
        Name of a strategy (`simmore.strategies.STRATEGIES`).
    start, budget, seed, without
        As of `simmore.strategies.Session`.
    max_latency_ms
        A latency limit.
    """
    problem = Problem(profile.score, max_latency_ms=max_latency_ms, label=profile.label).on(profile.device)
    session = Session(strategy, problem, without=without, budget=budget, start=start, seed=seed)
    found = run(session, profile.device)
    measured = found.trajectory.drop_duplicates("arch")
    archs = measured["arch"].tolist()
    beliefs = [Belief.of(session.rule, problem, History(session.history.steps[: k + 1])) for k in measured["step"]]
    regret = devices.normalised_regret(profile.reward, np.arange(space.N_ARCHS))
    inference = [np.nan if each.recommended is None else regret[each.recommended] for each in beliefs]
    simple = np.minimum.accumulate(regret[archs])
    return Trace(profile, found, archs, beliefs, np.array(inference), simple)


def uploaded(name: str, content: bytes) -> devices.TableDevice:
    """The device of an uploaded CSV with the columns ``arch,latency_ms``.

    Raises
    ------
    simmore.errors.DataError
        If it is not such a table, or lacks cells. The message names the uploaded file and the row.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "upload.csv"
        file.write_bytes(content)
        try:
            latency_ms = data.latency_csv(file)
        except DataError as error:
            raise DataError(str(error).replace(str(file), name)) from None
    if n_missing := int(np.isnan(latency_ms).sum()):
        raise DataError(
            f"{name} lacks {n_missing:,} of the {space.N_ARCHS:,} cells, and the explorer shows all: search a table of "
            "some cells with `simmore search --latency-table`."
        )
    return devices.TableDevice(Path(name).stem[:40] or "own table", latency_ms)
