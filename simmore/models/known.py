"""The devices that priors are fitted to: those whose tables are on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from simmore import data, devices, space


@cache
def known_devices(without: tuple[str, ...] = ()) -> tuple[devices.Device, ...]:
    """Measured devices whose tables are on this machine, without the families of the named devices."""
    return tuple(devices.available(devices.without_family(data.MEASURED, without)))


def tables(known: Sequence[devices.Device]) -> NDArray[np.float64]:
    """Latencies of devices, ``(D, cells)`` in ms; a cell that does not compile gets the slowest latency."""
    table = np.stack([device.latency_ms(np.arange(space.N_ARCHS)) for device in known])
    slowest = np.where(np.isfinite(table), table, 0).max(axis=1, keepdims=True)
    return np.where(np.isfinite(table), table, slowest)
