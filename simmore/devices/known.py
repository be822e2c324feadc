"""Devices that are known by name."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from simmore import data, space
from simmore.devices.device import AdditiveDevice, Device, TableDevice
from simmore.devices.groups import PAPER_DEVICES, TEST_DEVICES
from simmore.devices.synthetic import SyntheticDevices
from simmore.errors import DataError, TableMissing

NAMES = (
    *(*data.MEASURED, *data.BENCHMARKED, *data.BLIND, "nats_gpu", "mean"),
    *(f"{name}_lut" for name in PAPER_DEVICES),
)
"""Every name that `load` knows."""

MIN_CELLS = 20  # of a table that is searched: with fewer, two searches hardly differ
_SUFFIXES = (".csv", ".tsv", ".txt", ".gz")  # of a path that does not exist: a missing file, not an unknown name


def load(name: str) -> Device:
    """A device by its name.

    Parameters
    ----------
    name
        One of `NAMES`, or the path of a CSV (`from_csv`). Only the tables of `data.MEASURED` are read from the mirror
        or the cache. The others are installed with the project: a benchmarked runtime (`data.BENCHMARKED`, and samples
        of cells in `data.BLIND`); ``nats_gpu``, NATS-Bench's GPU; ``mean``, the mean synthetic device;
        ``<device>_lut``, one of the paper's devices as the sum of its operations.

    Raises
    ------
    ValueError
        For an unknown name, with the known ones; for a file that is no table, as in `from_csv`.
    simmore.errors.TableMissing
        If the table of a measured device is neither here nor downloadable.
    """
    if name in (*data.MEASURED, *data.BENCHMARKED, *data.BLIND):
        return TableDevice(name, data.latency_table(name))
    if name == "nats_gpu":
        return TableDevice(name, data.nats_gpu_latency_ms())
    if name == "mean":
        return SyntheticDevices.fit().mean_device()
    if name in NAMES:
        operations = data.device_operations().loc[name.removesuffix("_lut"), list(space.OPERATIONS)]
        return AdditiveDevice(name, operations.to_numpy(dtype=np.float64))
    if name.lower().endswith(_SUFFIXES) or Path(name).is_file():
        return from_csv(name)
    raise ValueError(
        f"no device {name!r}: choose one of {', '.join(NAMES)}, or a CSV file with the columns arch,latency_ms"
    )


def from_csv(path: str | Path) -> TableDevice:
    """A device from a CSV of its measured cells, all of them or some (`data.latency_csv`).

    Parameters
    ----------
    path
        The file. Its name without the ending is the name of the device.

    Raises
    ------
    simmore.errors.DataError
        If the file is not such a table, or if fewer than `MIN_CELLS` of its cells work.
    """
    file = Path(path)
    table = data.latency_csv(file)
    n_cells = int(np.isfinite(table).sum())
    if n_cells < MIN_CELLS:
        cells = f"{n_cells} cell{'s' * (n_cells != 1)}"
        raise DataError(
            f"{file} has the latency of {cells}, and a table to search has {MIN_CELLS} or more: to continue from a few "
            f"measurements, use `simmore suggest {file}`."
        )
    return TableDevice(file.stem if file.suffix.lower() != ".gz" else Path(file.stem).stem, table)


def available(names: Iterable[str]) -> list[Device]:
    """Those of the named devices, in order, whose tables are here or downloadable."""
    found: list[Device] = []
    for name in names:
        try:
            found.append(load(name))
        except TableMissing:
            continue
    return found


def test_devices() -> list[Device]:
    """The measured devices of `TEST_DEVICES`; the benchmarked runtimes if none of their tables is available."""
    return available(TEST_DEVICES) or benchmarked_devices()


def benchmarked_devices() -> list[Device]:
    """The benchmarked runtimes (`data.BENCHMARKED`), whose tables are installed with the project."""
    return [load(name) for name in data.BENCHMARKED]
