"""The problem of a search, and the history of its measurements."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simmore import data, devices, proxies, space
from simmore.models.readings import agree, implausible

_FORBIDDEN = 10.0  # subtracted from the score of a cell that is not allowed: no latency compensates for it
_UNMEASURABLE = 2 * _FORBIDDEN  # a cell that is not allowed may still be measured


@dataclass(frozen=True)
class Problem:
    """Find the cell with the highest reward ``p + weight · ℓ̄``, or the highest score p within a latency limit.

    Attributes
    ----------
    score
        p of all cells, ``(cells,)``.
    weight
        Weight of the inverse latency ℓ̄ in the reward; 1 in the paper.
    max_latency_ms
        A latency limit. The goal is then the highest score within it, and the weight has no effect.
    allowed
        Which cells may be recommended, ``(cells,)``; all of them if None.
    dataset
        Data set of the validation accuracy in results.
    measurable
        Which cells may be measured, ``(cells,)``; all of them if None. A `Session` asks for no other.
    label
        Name of the score in messages.

    Raises
    ------
    ValueError
        For scores that are not one finite number per cell, a weight that is not a positive number, a limit that is
        not a positive number of ms, or a problem that allows no cell that may be measured.
    """

    score: NDArray[np.float64] = field(repr=False)
    weight: float = 1.0
    max_latency_ms: float | None = None
    allowed: NDArray[np.bool_] | None = field(default=None, repr=False)
    dataset: str = "cifar10"
    measurable: NDArray[np.bool_] | None = field(default=None, repr=False)
    label: str = "p"

    def __post_init__(self) -> None:
        score = np.asarray(self.score, dtype=np.float64)
        if score.shape != (space.N_ARCHS,) or not np.isfinite(score).all():
            raise ValueError(f"scores are {space.N_ARCHS} finite numbers, got an array of shape {score.shape}")
        object.__setattr__(self, "score", score)
        if not (np.isfinite(self.weight) and self.weight > 0):
            raise ValueError(f"the weight of latency is a positive number, got {self.weight}")
        if self.max_latency_ms is not None and not self.max_latency_ms > 0:
            raise ValueError(f"a latency limit is a positive number of ms, got {self.max_latency_ms}")
        merit = score
        if self.allowed is not None:
            allowed = np.asarray(self.allowed, dtype=bool)
            if allowed.shape != score.shape or not allowed.any():
                raise ValueError("no cell is allowed: relax the limit on parameters")
            merit = np.where(allowed, merit, merit - _FORBIDDEN * (1 + self.weight))
        if self.measurable is not None:
            measurable = np.asarray(self.measurable, dtype=bool)
            if measurable.shape != score.shape or not (measurable & (merit == score)).any():
                raise ValueError("no cell that can be measured is allowed: measure more cells, or relax the limit")
            merit = np.where(measurable, merit, merit - _UNMEASURABLE * (1 + self.weight))
        object.__setattr__(self, "_merit", merit)

    @classmethod
    def of(
        cls,
        dataset: str = "cifar10",
        *,
        score: str | ArrayLike | None = None,
        weight: float = 1.0,
        max_latency_ms: float | None = None,
        max_params: float | None = None,
        measurable: NDArray[np.bool_] | None = None,
    ) -> Problem:
        """The problem on one data set, with a stored score or a user's own.

        Parameters
        ----------
        dataset
            ``cifar10``, ``cifar100`` or ``ImageNet16-120``.
        score
            A named score (``freerea``, ``az``, ``combined``, ``params``; see `proxies.SCORES`), or an array
            ``(cells,)``; ``freerea``, the paper's p, if None. All named scores have the distribution of p, so that a
            weight means the same for each. An array keeps its own scale.
        max_params
            Largest number of parameters of a recommended cell, in millions.
        measurable
            Which cells may be measured, ``(cells,)``; all of them if None.

        Raises
        ------
        ValueError
            For an unknown name, or an array that has the wrong length, holds NaN or infinite values, or is constant.
        TableMissing
            If a table of the score is missing; the message names the command that computes it.
        """
        allowed = None if max_params is None else data.parameters(dataset) <= max_params
        if score is None or isinstance(score, str):
            name = score or proxies.DEFAULT
            values, label = proxies.stored_score(dataset, name), proxies.SCORES[name].label
        else:
            values, label = proxies.checked(score), "score"
        return cls(values, weight, max_latency_ms, allowed, dataset, measurable, label)

    def on(self, device: devices.Device) -> Problem:
        """The same problem on a device. If its table lacks cells, only those in the table may be measured."""
        cells = devices.measured_cells(device)
        if len(cells) == space.N_ARCHS:
            return self
        within = np.isin(self.cells, cells)
        return replace(self, measurable=np.isin(np.arange(space.N_ARCHS), self.cells[within]))

    @property
    def cells(self) -> NDArray[np.int64]:
        """NATS indices of the cells that may be measured, ``(n,)``."""
        return np.arange(space.N_ARCHS) if self.measurable is None else np.flatnonzero(self.measurable)

    @property
    def merit(self) -> NDArray[np.float64]:
        """The score that strategies rank cells by: p, far lower for cells that are not allowed or not measurable."""
        merit: NDArray[np.float64] = self.__dict__["_merit"]
        return merit

    def may_recommend(self, arch: int) -> bool:
        """Whether the problem allows this cell."""
        return self.allowed is None or bool(self.allowed[arch])


class History:
    """The steps of a search: cells and their latencies in ms, in order. A cell may appear more than once.

    Attributes
    ----------
    steps
        ``(arch, latency_ms)`` in the order in which they were added.
    confirmed
        Cells with two readings that agree. Their latency is used even if it is implausible.
    """

    def __init__(self, steps: Iterable[tuple[int, float]] = ()) -> None:
        self.steps: list[tuple[int, float]] = []
        self.confirmed: set[int] = set()
        self._known: dict[int, float] = {}
        self._readings: dict[int, list[float]] = {}
        for arch, latency in steps:
            self.add(arch, latency)

    def add(self, arch: int, latency_ms: float) -> None:
        """Append a step; the latency is infinite where the cell did not compile or run.

        Several readings of a cell are combined by the median of those that are finite.

        Raises
        ------
        ValueError
            For a latency that is not positive, or NaN.
        """
        if not latency_ms > 0:
            raise ValueError(f"cell {arch}: {latency_ms} ms is not a latency")
        self.steps.append((int(arch), float(latency_ms)))
        readings = self._readings.setdefault(int(arch), [])
        if np.isfinite(latency_ms):
            if any(agree(latency_ms, one) for one in readings):
                self.confirmed.add(int(arch))
            readings.append(float(latency_ms))
        self._known[int(arch)] = float(np.median(readings)) if readings else np.inf

    def revisit(self, arch: int) -> None:
        """Append a step to a cell that is known, without measuring it again."""
        self.steps.append((arch, self._known[arch]))

    def revised(self, latency_ms: Mapping[int, float]) -> History:
        """A copy in which cells have other latencies, in ms by NATS index."""
        found = History()
        found.steps = [(arch, latency_ms.get(arch, before)) for arch, before in self.steps]
        found.confirmed = set(self.confirmed)
        found._known = {arch: latency_ms.get(arch, before) for arch, before in self._known.items()}
        found._readings = {arch: [one] if np.isfinite(one) else [] for arch, one in found._known.items()}
        return found

    def __contains__(self, arch: int) -> bool:
        return arch in self._known

    def __getitem__(self, arch: int) -> float:
        """Latency of a measured cell in ms."""
        return self._known[arch]

    def __len__(self) -> int:
        """Distinct cells measured."""
        return len(self._known)

    @property
    def archs(self) -> NDArray[np.int64]:
        """Distinct cells in the order of their first measurement, ``(n,)``."""
        return np.fromiter(self._known, dtype=np.int64, count=len(self._known))

    @property
    def latency_ms(self) -> NDArray[np.float64]:
        """Latency of the distinct cells, ``(n,)`` in ms, infinite where a cell failed."""
        return np.fromiter(self._known.values(), dtype=np.float64, count=len(self._known))

    @property
    def compiled(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The distinct cells that did not fail, and their latencies in ms, ``(m,)`` each."""
        works = np.isfinite(self.latency_ms)
        return self.archs[works], self.latency_ms[works]

    def implausible(self, shape: NDArray[np.floating]) -> NDArray[np.bool_]:
        """Which of the distinct cells have an implausible latency (`models.implausible`), ``(n,)``.

        Parameters
        ----------
        shape
            Latencies of a typical device in any unit, ``(cells,)``.
        """
        archs = self.archs
        return implausible(shape, archs, self.latency_ms) & ~np.isin(archs, list(self.confirmed))

    def usable(self, shape: NDArray[np.floating]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The distinct cells that a model can learn from, and their latencies in ms: finite and not implausible."""
        archs, latency = self.archs, self.latency_ms
        usable = np.isfinite(latency) & ~self.implausible(shape)
        return archs[usable], latency[usable]
