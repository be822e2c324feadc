"""What a search may know of other devices before it measures anything."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

from simmore import devices
from simmore.models.known import known_devices, tables
from simmore.models.priors import SUMS, TABLES, Prior, covariance_prior, linear_prior, mixture_prior
from simmore.models.variances import stored_variances


class Knowledge:
    """Priors from other devices.

    Parameters
    ----------
    without
        Names of devices that are left out with their whole family: batch sizes of the same board count as one. Whoever
        evaluates on a known device names it here. Nothing is left out by default.

    Attributes
    ----------
    without
        The families that are left out.
    """

    def __init__(self, without: Iterable[str] = ()) -> None:
        self.without = tuple(sorted({devices.family(name) for name in without}))

    @property
    def xi(self) -> devices.SyntheticDevices:
        """Ξ, fitted to the paper's devices but those that are left out."""
        return devices.SyntheticDevices.fit(devices.without_family(devices.PAPER_DEVICES, self.without))

    @property
    def operations(self) -> Prior:
        """The prior that operation latencies of other devices give (`linear_prior`); no table is used."""
        return _operations(self.without)

    @property
    def tables(self) -> Prior:
        """The prior that other devices' tables give (`mixture_prior`); sums of operations where there are no tables."""
        return _tables(self.without)

    @property
    def covariance(self) -> Prior:
        """The plain Gaussian that other devices' tables give (`covariance_prior`)."""
        return _covariance(self.without)


# priors are large and the same for all searches: each is made once


@cache
def _operations(without: tuple[str, ...]) -> Prior:
    return linear_prior(Knowledge(without).xi)


@cache
def _tables(without: tuple[str, ...]) -> Prior:
    known = known_devices(without)
    source = TABLES if isinstance(known[0], devices.TableDevice) else SUMS
    return mixture_prior(tables(known), stored_variances(without), source)


@cache
def _covariance(without: tuple[str, ...]) -> Prior:
    return covariance_prior(tables(known_devices(without)))
