"""What the explorer shows, as arrays: a device's cells, the Pareto front, a search with what it knew at each step."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from simmore import data, devices, space
from simmore.devices import rewards
from simmore.errors import DataError
from simmore.models.linear import BayesianLinear
from simmore.strategies import loop, recommendation

EVERYTHING = np.arange(space.N_ARCHS)


@dataclass(frozen=True)
class Profile:
    """All cells on one device.

    Attributes
    ----------
    score
        p of all cells, ``(15625,)``.
    """

    device: devices.Device
    score: NDArray[np.float64] = field(repr=False)

    def __post_init__(self) -> None:
        latency = self.latency_ms[np.isfinite(self.latency_ms)]
        if not latency.min() < latency.max():
            raise ValueError(
                f"{self.device.name}: every cell takes {latency.min():.4g} ms, so none is better than another: "
                "make the operations differ in latency"
            )

    @cached_property
    def latency_ms(self) -> NDArray[np.float64]:
        """``(15625,)``; inf for a cell that does not compile."""
        return self.device.latency_ms(EVERYTHING)

    @cached_property
    def inverse_latency(self) -> NDArray[np.float64]:
        """ℓ̄, ``(15625,)``."""
        return rewards.inverse_latency(self.latency_ms)

    @cached_property
    def reward(self) -> NDArray[np.float64]:
        """Reward r = p + ℓ̄, ``(15625,)``."""
        return self.score + self.inverse_latency

    @cached_property
    def optimum(self) -> int:
        """h*, the cell with the highest reward."""
        return int(self.reward.argmax())

    def percentile(self, arch: int) -> float:
        """Share of the cells that are slower than this one, in %: 100 is the fastest."""
        return float(100 * (self.latency_ms > self.latency_ms[arch]).mean())

    def best_within(self, limit_ms: float, height: NDArray[np.float64]) -> int:
        """The highest cell, by ``height (15625,)``, among those no slower than a limit; −1 if there is none."""
        allowed = self.latency_ms <= limit_ms
        return int(np.where(allowed, height, -np.inf).argmax()) if allowed.any() else -1


def pareto_front(cost: ArrayLike, gain: ArrayLike) -> NDArray[np.int64]:
    """Indices of the cells that no other beats in both, by rising cost; cost and gain ``(n,)``.

    >>> pareto_front([3.0, 1.0, 2.0], [5.0, 1.0, 0.0])
    array([1, 0])
    """
    cost, gain = np.asarray(cost, dtype=np.float64), np.asarray(gain, dtype=np.float64)
    order = np.lexsort((-gain, cost))  # by cost; the highest gain first among equals
    gains = gain[order]
    best_before = np.maximum.accumulate(np.concatenate([[-np.inf], gains[:-1]]))
    return order[(gains > best_before) & np.isfinite(cost[order])]


@dataclass(frozen=True)
class Knowledge:
    """What a searcher knew after one step, and what it would have answered then.

    Attributes
    ----------
    cells
        The distinct cells measured, in order: ``arch, latency_ms, score``, and with the searcher's own guess of the
        device's range ``inverse_latency`` and ``reward``.
    answer
        NATS index of the cell that it would choose of them.
    bounds_ms
        Fastest and slowest latency that it expects of the device.
    operation_ms
        Latency of each operation that it expects, ``(5,)``.
    """

    cells: pd.DataFrame
    answer: int
    bounds_ms: tuple[float, float]
    operation_ms: NDArray[np.float64]


@dataclass(frozen=True)
class Trace:
    """A search on a device, step by step.

    Attributes
    ----------
    knowledge
        One a step.
    regret, regret_best
        Normalised regret of the answer at each step and of the best cell measured by then, ``(steps,)``.
    """

    profile: Profile
    found: loop.Search
    knowledge: list[Knowledge]
    regret: NDArray[np.float64]
    regret_best: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.knowledge)

    @property
    def archs(self) -> list[int]:
        """The cell of each step."""
        return self.found.trajectory["arch"].tolist()


def trace(profile: Profile, strategy: loop.Strategy, *, start: int, budget: int, seed: int) -> Trace:
    """Search a cell on a device, and work out what was known at each step.

    Raises
    ------
    simmore.search.MeasurementFailed
        If the device fails.
    """
    device = profile.device
    found = loop.search(device, strategy, start=start, budget=budget, seed=seed, score=profile.score)
    pool = devices.without_family(devices.PAPER_DEVICES, [device.name])
    model = BayesianLinear.from_devices(devices.SyntheticDevices.fit(pool))
    expected = recommendation.expected_range(device.name)
    steps = found.trajectory
    by_count = {n: known(steps[steps["measured"] <= n], model, expected) for n in steps["measured"].unique()}
    knowledge = [by_count[n] for n in steps["measured"]]
    regret = rewards.normalised_regret(profile.reward, [each.answer for each in knowledge])
    each_step = rewards.normalised_regret(profile.reward, steps["arch"].to_numpy())
    return Trace(profile, found, knowledge, regret, np.minimum.accumulate(each_step))


def known(steps: pd.DataFrame, model: BayesianLinear, expected: recommendation.RangeModel) -> Knowledge:
    """What these steps, rows of a trajectory, tell a searcher: operations by the model, the range as expected."""
    cells = steps.drop_duplicates("arch")[["arch", "latency_ms", "score"]].reset_index(drop=True)
    compiled = cells[np.isfinite(cells["latency_ms"])]
    if compiled.empty:
        return Knowledge(
            cells.assign(inverse_latency=-np.inf, reward=-np.inf), int(cells["arch"][0]), (0, 0), np.zeros(5)
        )
    fastest, slowest = expected.bounds_ms(compiled["arch"], compiled["latency_ms"])
    inverse = 1 - (cells["latency_ms"] - fastest) / max(slowest - fastest, 1e-12)
    cells = cells.assign(inverse_latency=inverse, reward=cells["score"] + inverse)
    operation_ms = model.operation_ms(compiled["arch"], compiled["latency_ms"])
    return Knowledge(cells, loop.choose(steps, expected), (fastest, slowest), operation_ms)


def uploaded(name: str, content: bytes) -> devices.TableDevice:
    """The device of an uploaded CSV with the columns ``arch,latency_ms``.

    Raises
    ------
    simmore.errors.DataError
        If it is no such table; the message names the uploaded file and the row.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "upload.csv"
        file.write_bytes(content)
        try:
            latency_ms = data.latency_csv(file)
        except DataError as error:
            raise DataError(str(error).replace(str(file), name)) from None
    return devices.TableDevice(Path(name).stem[:40] or "own table", latency_ms)
