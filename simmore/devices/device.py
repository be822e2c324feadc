"""What a device is: anything that gives the latency of cells in ms."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simmore import space


class Device(Protocol):
    """What a search needs of a device."""

    @property
    def name(self) -> str: ...

    def latency_ms(self, archs: ArrayLike) -> NDArray[np.float64]:
        """Latency in ms of NATS indices, same shape; inf for a cell that does not compile."""


@dataclass(frozen=True)
class TableDevice:
    """A device with a measured latency for each cell.

    Attributes
    ----------
    table
        Latency in ms, ``(cells,)``, in NATS order: infinite for a cell that failed to compile or run, NaN for a cell
        that is not in the table because it was not measured.

    Raises
    ------
    ValueError
        For another shape, for latencies that are not positive, and for a table without a finite latency; from
        `latency_ms` for a cell that is not in the table.
    """

    name: str
    table: NDArray[np.float64] = field(repr=False)

    def __post_init__(self) -> None:
        table = np.asarray(self.table, dtype=np.float64)
        if table.shape != (space.N_ARCHS,):
            raise ValueError(f"{self.name}: a latency table has shape ({space.N_ARCHS},), got {table.shape}")
        if not np.isfinite(table).any() or not np.nanmin(table) > 0:
            raise ValueError(f"{self.name}: latencies are positive numbers of ms")
        object.__setattr__(self, "table", table)

    @property
    def measured(self) -> NDArray[np.bool_]:
        """Which cells are in the table, ``(cells,)``; failed ones are."""
        return ~np.isnan(self.table)

    def latency_ms(self, archs: ArrayLike) -> NDArray[np.float64]:
        latency = self.table[np.asarray(archs)]
        if np.isnan(latency).any():
            absent = np.asarray(archs).ravel()[np.isnan(latency).ravel()][0]
            raise ValueError(
                f"cell {absent} is not in the table of {self.name}, which has {self.measured.sum():,} of the "
                f"{space.N_ARCHS:,} cells: measure it, and add it to the table"
            )
        return latency


@dataclass(frozen=True)
class AdditiveDevice:
    """A device whose latency is the sum over a cell's operations: a lookup table (LUT), or a synthetic device.

    Attributes
    ----------
    operation_ms
        Latency in ms of one operation on one edge, ``(5,)``, in the order of `space.OPERATIONS`.
    """

    name: str
    operation_ms: NDArray[np.float64]

    def __post_init__(self) -> None:
        operation_ms = np.asarray(self.operation_ms, dtype=np.float64)
        if operation_ms.shape != (space.N_OPERATIONS,) or not (operation_ms > 0).all():
            raise ValueError(f"{self.name}: {space.N_OPERATIONS} positive latencies in ms, got {operation_ms}")
        object.__setattr__(self, "operation_ms", operation_ms)

    def latency_ms(self, archs: ArrayLike) -> NDArray[np.float64]:
        return all_operation_counts()[np.asarray(archs)] @ self.operation_ms


def measured_cells(device: Device) -> NDArray[np.int64]:
    """NATS indices of the cells that a device can be asked for, ``(n,)``: all but those that its table lacks."""
    measured: NDArray[np.bool_] | None = getattr(device, "measured", None)
    return np.arange(space.N_ARCHS) if measured is None else np.flatnonzero(measured)


def whole_table(device: Device) -> NDArray[np.float64]:
    """Latencies of all cells, ``(cells,)`` in ms: infinite for a failed cell, NaN for one that the table lacks."""
    cells, table = measured_cells(device), np.full(space.N_ARCHS, np.nan)
    table[cells] = device.latency_ms(cells)
    return table


@cache
def all_operation_counts() -> NDArray[np.float64]:
    """Number of edges with each operation, for all cells: ``(cells, 5)``, read-only."""
    counts = space.operation_counts(np.arange(space.N_ARCHS)).astype(np.float64)
    counts.setflags(write=False)
    return counts


def operation_latencies(device: Device) -> NDArray[np.float64]:
    """Latency in ms of each operation on one edge, ``(5,)``: one sixth of the cell with this operation on all edges.

    ``AdditiveDevice(name, operation_latencies(device))`` is the LUT of a measured device.
    """
    return device.latency_ms(space.single_operation_archs()) / space.N_EDGES
