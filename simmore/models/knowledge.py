"""Knowledge of other devices that a search may use: priors over the latencies of a new device."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

import numpy as np
from numpy.typing import NDArray

from simmore import devices
from simmore.models.known import known_devices, tables
from simmore.models.prior import Prior, from_tables, gaussian_prior
from simmore.models.simulated import SOURCE, simulated_prior

_OPERATIONS_NOISE, _COVARIANCE_NOISE = 0.08, 0.07  # noise scales of the two plain Gaussians
_DRAWN = 1_000  # devices sampled from Ξ to compute its Gaussian


class Knowledge:
    """Priors from other devices.

    Parameters
    ----------
    without
        Names of devices that are left out with their whole family, such as all batch sizes of one board. An evaluation
        on a known device names it here. Nothing is left out by default.
    tables
        False: no table of another device is used, even if it is on this machine.

    Attributes
    ----------
    without
        The families that are left out.
    uses_tables
        Whether tables may be used.
    """

    def __init__(self, without: Iterable[str] = (), *, tables: bool = True) -> None:
        self.without = tuple(sorted({devices.family(name) for name in without}))
        self.uses_tables = tables

    @property
    def xi(self) -> devices.SyntheticDevices:
        """Ξ, the distribution of synthetic devices, fitted to the paper's devices without those that are left out."""
        return devices.SyntheticDevices.fit(devices.without_family(devices.PAPER_DEVICES, self.without))

    @property
    def operations(self) -> Prior:
        """One Gaussian, fitted to devices sampled from Ξ. No table is used."""
        return _operations(self.without)

    @property
    def simulated(self) -> Prior:
        """The prior of simulated devices. No table is used."""
        return simulated_prior()

    @property
    def tables(self) -> Prior:
        """The prior of simulated devices and other devices' tables; of simulated devices alone if there are none."""
        return _tables(self.without) if self.uses_tables else simulated_prior()

    @property
    def covariance(self) -> Prior:
        """One Gaussian, fitted to other devices' tables; to the paper's lookup tables if there are none."""
        return _covariance(self.without, self.uses_tables)

    @property
    def mean_device(self) -> NDArray[np.float64]:
        """Mean relative latencies of other devices, ``(cells,)``; a typical simulated device if there are no tables."""
        known = known_devices(self.without) if self.uses_tables else ()
        if not known:
            return simulated_prior().shape
        latency = tables(known)
        return np.asarray((latency / latency.mean(axis=1, keepdims=True)).mean(axis=0))


# priors are large and the same for all searches: each is made once


@cache
def _operations(without: tuple[str, ...]) -> Prior:
    drawn = Knowledge(without).xi.sample(_DRAWN, np.random.default_rng(0))  # (devices, operations)
    latency = drawn @ devices.all_operation_counts().T
    return gaussian_prior(latency, "operation latencies of other devices (Ξ)", noise=_OPERATIONS_NOISE)


@cache
def _tables(without: tuple[str, ...]) -> Prior:
    known = known_devices(without)
    if not known:
        return simulated_prior()
    return from_tables(simulated_prior(), tables(known), f"{SOURCE} and tables of other devices")


@cache
def _covariance(without: tuple[str, ...], uses_tables: bool) -> Prior:
    known = known_devices(without) if uses_tables else ()
    if known:
        return gaussian_prior(tables(known), "tables of other devices", noise=_COVARIANCE_NOISE)
    sums = [devices.load(f"{name}_lut") for name in devices.without_family(devices.PAPER_DEVICES, without)]
    return gaussian_prior(tables(sums), "lookup tables of other devices", noise=_COVARIANCE_NOISE)
