"""Devices: anything that knows the latency of cells in ms, and the distribution that synthetic ones come from.

Sources: the paper's section 3.2; measured tables of HELP (Lee et al., 2021) and HW-NAS-Bench (Li et al., 2021).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simmore import data, space
from simmore.errors import TableMissing

if TYPE_CHECKING:
    import pandas as pd

# The devices of the paper's section 3.2 whose operations the Gaussians are fitted to, by their tables' names.
PAPER_DEVICES = (
    *("edgegpu", "raspi4", "pixel3", "eyeriss", "fpga", "silver_4114", "silver_4210r", "gold_6226", "gold_6240"),
    *("essential_ph_1", "samsung_s7", "samsung_a50", "pixel2"),
    *("1080ti_1", "2080ti_1", "titan_rtx_1", "titanx_1", "titanxp_1"),
)
# HELP's test split: the shipped controller never saw these, nor their variants.
TEST_DEVICES = ("titan_rtx_1", "gold_6226", "pixel2", "raspi4", "eyeriss", "fpga")


class Device(Protocol):
    """The one thing a search needs of a device."""

    @property
    def name(self) -> str: ...

    def latency_ms(self, archs: ArrayLike) -> NDArray[np.float64]:
        """Latency in ms of NATS indices, same shape; inf for a cell that does not compile."""


@dataclass(frozen=True)
class TableDevice:
    """A device whose latencies were measured for all cells.

    Attributes
    ----------
    table
        Latency in ms, ``(15625,)``, NATS order; NaN where a cell did not compile.
    """

    name: str
    table: NDArray[np.float64] = field(repr=False)

    def __post_init__(self) -> None:
        table = np.asarray(self.table, dtype=np.float64)
        if table.shape != (space.N_ARCHS,):
            raise ValueError(f"{self.name}: a latency table has shape ({space.N_ARCHS},), got {table.shape}")
        if not np.isfinite(table).any() or np.nanmin(table) <= 0:
            raise ValueError(f"{self.name}: latencies are positive numbers of ms")
        object.__setattr__(self, "table", np.where(np.isfinite(table), table, np.inf))

    def latency_ms(self, archs: ArrayLike) -> NDArray[np.float64]:
        return self.table[np.asarray(archs)]


@dataclass(frozen=True)
class AdditiveDevice:
    """A device whose latency is the sum of its operations': a lookup table (LUT), or a synthetic device.

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


@cache
def all_operation_counts() -> NDArray[np.float64]:
    """How often each operation stands in each cell, ``(15625, 5)`` (read-only)."""
    counts = space.operation_counts(np.arange(space.N_ARCHS)).astype(np.float64)
    counts.setflags(write=False)
    return counts


def operation_latencies(device: Device) -> NDArray[np.float64]:
    """Latency in ms of each operation on one edge, ``(5,)``: a sixth of the cell made of it alone.

    With them a measured device becomes its LUT: ``AdditiveDevice(name, operation_latencies(device))``.
    """
    return device.latency_ms(space.single_operation_archs()) / space.N_EDGES


def family(name: str) -> str:
    """The board behind a device's name, whatever the batch size: ``titan_rtx_256`` → ``titan_rtx``."""
    return re.sub(r"_(1|32|256)$", "", name)


def without_family(names: Iterable[str], tested: Iterable[str]) -> tuple[str, ...]:
    """The names that share no board with a tested device, in order."""
    out = {family(name) for name in tested}
    return tuple(name for name in names if family(name) not in out)


def load(name: str) -> Device:
    """A device by its name.

    Parameters
    ----------
    name
        A measured device (`data.MEASURED`, read from the cache or the mirror), one that this project measured
        (`data.OWN`, embedded), ``nats_gpu`` (NATS-Bench's own GPU, embedded), ``mean`` (the mean synthetic device),
        ``<device>_lut`` (one of the paper's 18 devices as the sum of its operations, embedded), or the path of a CSV
        with the columns ``arch,latency_ms``.

    Raises
    ------
    ValueError
        For an unknown name, with the names that there are.
    simmore.errors.TableMissing
        For a measured device that is neither there nor to be fetched.
    """
    if name == "nats_gpu":
        return TableDevice(name, data.nats_gpu_latency_ms())
    if name == "mean":
        from simmore.devices.synthetic import SyntheticDevices  # Ξ is made of devices

        return SyntheticDevices.fit().mean_device()
    if name in data.MEASURED or name in data.OWN:
        return TableDevice(name, data.latency_table(name))
    if name.endswith("_lut") and name.removesuffix("_lut") in PAPER_DEVICES:
        operations = data.device_operations().loc[name.removesuffix("_lut"), list(space.OPERATIONS)]
        return AdditiveDevice(name, operations.to_numpy(dtype=np.float64))
    if name.endswith(".csv"):
        return TableDevice(Path(name).stem, data.latency_csv(name))
    raise ValueError(
        f"no device {name!r}: choose one of {', '.join((*data.MEASURED, *data.OWN))}, nats_gpu, mean, "
        f"<device>_lut for one of the paper's devices, or a CSV file with the columns arch,latency_ms"
    )


def available(names: Iterable[str]) -> list[Device]:
    """Those of the named devices whose tables are to be had here, in order."""
    found: list[Device] = []
    for name in names:
        try:
            found.append(load(name))
        except TableMissing:
            continue
    return found


def test_devices() -> list[Device]:
    """`TEST_DEVICES` as they were measured where their tables are to be had, else the devices measured here."""
    return available(TEST_DEVICES) or own_devices()


def own_devices() -> list[Device]:
    """The devices that this project measured itself (`data.OWN`); always there."""
    return [load(name) for name in data.OWN]


def derive_operations() -> pd.DataFrame:
    """The embedded per-operation latencies, derived anew from the measured tables: 18 devices × 5 operations in ms.

    A sixth of the cell made of one operation alone (`operation_latencies`); edgegpu, whose table is only in
    HW-NAS-Bench's own file, as the paper's authors give it. Six significant digits.
    """
    import pandas as pd

    rows = [
        np.asarray(data.edgegpu_operations() if name == "edgegpu" else operation_latencies(load(name)))
        for name in PAPER_DEVICES
    ]
    table = pd.DataFrame(rows, index=list(PAPER_DEVICES), columns=list(space.OPERATIONS)).rename_axis("device")
    return table.map(lambda value: float(f"{value:.6g}"))
