"""Devices that are known by name."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from simmore import data, space
from simmore.devices.device import AdditiveDevice, Device, TableDevice
from simmore.devices.groups import PAPER_DEVICES, TEST_DEVICES
from simmore.devices.synthetic import SyntheticDevices
from simmore.errors import TableMissing

NAMES = (*data.MEASURED, *data.BENCHMARKED, "nats_gpu", "mean", *(f"{name}_lut" for name in PAPER_DEVICES))
"""Every name that `load` knows."""


def load(name: str) -> Device:
    """A device by its name.

    Parameters
    ----------
    name
        One of `NAMES`, or the path of a CSV with the columns ``arch,latency_ms`` (`data.latency_csv`). Only the
        tables of `data.MEASURED` are read from the mirror or the cache. The others are installed with the project: a
        benchmarked runtime (`data.BENCHMARKED`); ``nats_gpu``, NATS-Bench's GPU; ``mean``, the mean synthetic device;
        ``<device>_lut``, one of the paper's devices as the sum of its operations.

    Raises
    ------
    ValueError
        For an unknown name, with the known ones.
    simmore.errors.TableMissing
        If the table of a measured device is neither here nor downloadable.
    """
    if name in data.MEASURED or name in data.BENCHMARKED:
        return TableDevice(name, data.latency_table(name))
    if name == "nats_gpu":
        return TableDevice(name, data.nats_gpu_latency_ms())
    if name == "mean":
        return SyntheticDevices.fit().mean_device()
    if name in NAMES:
        operations = data.device_operations().loc[name.removesuffix("_lut"), list(space.OPERATIONS)]
        return AdditiveDevice(name, operations.to_numpy(dtype=np.float64))
    if name.endswith(".csv"):
        return TableDevice(Path(name).stem, data.latency_csv(name))
    raise ValueError(
        f"no device {name!r}: choose one of {', '.join(NAMES)}, or a CSV file with the columns arch,latency_ms"
    )


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
