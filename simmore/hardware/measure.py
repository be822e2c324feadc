"""Measuring cells on this machine, or on any other machine that runs a Dask worker.

>>> from simmore.hardware import measure
>>> measure.measure(12, "onnxruntime", "fp32", threads=1, batch=1)  # doctest: +SKIP
Measurement(arch=12, latency_ms=1.9, ...)

`LiveDevice` has the interface of all devices.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simmore import parallel, space
from simmore.hardware.cores import CannotMeasure
from simmore.hardware.runtimes import RUNTIMES, Configuration
from simmore.hardware.worker import LIMIT_SECONDS, REFERENCE, Measurement, Worker
from simmore.models.readings import agree

__all__ = [
    "LIMIT_SECONDS",
    "REFERENCE",
    "RUNTIMES",
    "CannotMeasure",
    "Configuration",
    "LiveDevice",
    "Measurement",
    "Worker",
    "measure",
    "measure_many",
]

WAIT_SECONDS = (0.5, 2.0)  # before a doubtful latency is measured again


def measure(
    arch: int | str,
    runtime: str = "onnxruntime",
    precision: str = "fp32",
    threads: int = 1,
    batch: int = 1,
    cores: tuple[int, ...] = (),
    **settings: Any,
) -> Measurement:
    """Measure one cell in a `Configuration`; everything else is as in `measure_many`."""
    return measure_many([arch], Configuration(runtime, precision, threads, batch, cores), **settings)[0]


def measure_many(
    archs: Sequence[int | str],
    wanted: Configuration,
    *,
    seed: int = 0,
    limit_seconds: float = LIMIT_SECONDS,
    dask: str | None = None,
    resource: str | None = None,
) -> list[Measurement]:
    """Measure the latency of cells' networks (CIFAR-10: 3×32×32, ten classes) by interleaved timing.

    Parameters
    ----------
    archs
        NATS indices, six digits or NATS-Bench strings.
    wanted
        Runtime, precision, threads, batch and cores.
    seed
        Seed of the input and of the order of rounds.
    limit_seconds
        Time limit for one cell, after which the measuring process is ended.
    dask, resource
        Address of a Dask scheduler, and the label of the workers that may measure
        (``dask worker … --resources "raspi5=1"``); this machine if None.

    Returns
    -------
    list of Measurement
        One for each cell; a network that fails to compile or to run has an infinite latency and a reason.

    Raises
    ------
    ValueError
        For what is no cell, a limit that is not a positive number, or more threads than the machine has cores.
    MissingPackage
        For a runtime that is not installed there.
    CannotMeasure
        If the reference network fails or no core becomes free there, or on Windows.
    ConnectionError
        If no scheduler answers, or none of its workers has the resource.
    """
    cells = [space.to_arch(arch) for arch in archs]
    if dask is None and resource is not None:
        raise ValueError("a resource is a label of Dask workers: name their scheduler's address too")
    if dask is None:
        return _measure_here(cells, wanted, seed, limit_seconds)
    return parallel.on_resource(_measure_here, cells, wanted, seed, limit_seconds, address=dask, resource=resource)


def _measure_here(cells: list[int], wanted: Configuration, seed: int, limit_seconds: float) -> list[Measurement]:
    """Measure on this machine; a Dask worker runs this too, and then has a measuring process of its own."""
    return _worker(wanted, limit_seconds).measure(cells, seed)


@lru_cache(maxsize=1)
def _worker(wanted: Configuration, limit_seconds: float) -> Worker:
    """The measuring process of this process; another configuration replaces it."""
    return Worker(wanted, limit_seconds)


class LiveDevice:
    """A device that measures a cell when its latency is first asked for.

    The reference network is timed beside every cell. Latencies are scaled to its median over all measurements, so that
    changes of the machine's speed have no effect. A doubtful or implausible latency is measured again.

    Parameters
    ----------
    wanted
        Runtime, precision, threads, batch and cores.
    known
        Earlier measurements on the same machine, which are not made again.
    on_measurement
        Called with each new measurement.
    implausible
        Function of NATS indices and latencies in ms, ``(n,)`` each, that says which latencies are implausible. None:
        no latency is.
    settings
        ``limit_seconds``, ``dask`` and ``resource``, see `measure_many`.

    Attributes
    ----------
    measurements
        By NATS index; latencies are not scaled.
    confirmed
        Cells with an implausible latency that a second measurement confirms.
    """

    def __init__(
        self,
        wanted: Configuration,
        *,
        known: Iterable[Measurement] = (),
        on_measurement: Callable[[Measurement], None] = lambda measured: None,
        implausible: Callable[[NDArray[np.int64], NDArray[np.float64]], NDArray[np.bool_]] | None = None,
        **settings: Any,
    ) -> None:
        self.measurements = {one.arch: one for one in known}
        self.confirmed: set[int] = set()
        label = settings.get("resource")
        self.name = f"{label}_{wanted.name}" if label else wanted.name
        self.on_measurement = on_measurement
        self._wanted, self._settings = wanted, settings
        self._implausible = implausible
        self._checked: Measurement | None = None
        self._repeated: set[int] = set()

    def check(self) -> Measurement:
        """Measure the reference network, once: the runtime works, and the machine is known.

        Raises
        ------
        CannotMeasure
            If it fails, with the reason.
        """
        if self._checked is None:
            found = measure_many([REFERENCE], self._wanted, **self._settings)[0]
            if found.reason:
                raise CannotMeasure(f"{self.name} does not work: the reference network fails with {found.reason}")
            self._checked = found
        return self._checked

    def latency_ms(self, archs: ArrayLike) -> NDArray[np.float64]:
        """Latency in ms; same shape, inf where a cell fails. Cells that are not known yet are measured now.

        Raises
        ------
        CannotMeasure
            If the machine cannot measure, or is another one than before.
        """
        archs = np.asarray(archs)
        for arch in dict.fromkeys(archs.ravel().tolist()):
            if arch not in self.measurements:
                self.measurements[arch] = self._measure(arch)
                self._repeat_implausible()
                self.on_measurement(self.measurements[arch])
        speed = self._reference_ms()
        found = [_scaled(self.measurements[arch], speed) for arch in archs.ravel().tolist()]
        return np.array(found, dtype=np.float64).reshape(archs.shape)

    def slowdown(self, arch: int) -> float:
        """How much slower than usual the machine was when it measured a cell: 1.4 means 1.4 times the time."""
        return self.measurements[arch].reference_ms / self._reference_ms()

    def _reference_ms(self) -> float:
        """Median latency of the reference network over all measurements; NaN if there are none."""
        every = [*self.measurements.values(), *([self._checked] if self._checked else [])]
        times = [one.reference_ms for one in every if np.isfinite(one.reference_ms)]
        return float(np.median(times)) if times else np.nan

    def _measure(self, arch: int) -> Measurement:
        """Measure a cell, and again if the latency is doubtful."""
        machine = self.check().machine
        best = self._once(arch, machine)
        for seconds in WAIT_SECONDS:
            if not best.doubtful:
                break
            time.sleep(seconds)  # the disturbance may end
            best = min(best, self._once(arch, machine), key=lambda one: (one.disturbed, one.spread))
        return best

    def _repeat_implausible(self) -> None:
        """Measure each cell once more that is implausible given the others, also if only later ones show it."""
        while pending := self._implausible_cells() - self._repeated - self.confirmed:
            arch = min(pending)
            self._repeated.add(arch)
            first = self.measurements[arch]
            second = self.measurements[arch] = self._once(arch, self.check().machine)
            if arch in self._implausible_cells():
                self.measurements[arch] = first
                if agree(second.latency_ms, first.latency_ms):
                    self.confirmed.add(arch)

    def _once(self, arch: int, machine: tuple[Any, ...]) -> Measurement:
        found = measure_many([arch], self._wanted, **self._settings)[0]
        if found.machine != machine:
            raise CannotMeasure(
                f"cell {arch} was measured by {_described(found.machine)}, but this search measures on "
                f"{_described(machine)}: two machines are never mixed. Give each machine a label of its own"
            )
        return found

    def _implausible_cells(self) -> set[int]:
        """Measured cells whose latencies are implausible given the others."""
        speed = self._reference_ms()
        finite = [(one.arch, _scaled(one, speed)) for one in self.measurements.values() if not one.reason]
        if self._implausible is None or not finite:
            return set()
        archs, latency = np.array([arch for arch, _ in finite]), np.array([one for _, one in finite])
        return set(archs[self._implausible(archs, latency)].tolist())


def _scaled(one: Measurement, reference_ms: float) -> float:
    """Latency in ms, scaled to the speed at which the reference network takes `reference_ms`."""
    if not np.isfinite(one.reference_ms):
        return one.latency_ms
    return one.latency_ms * reference_ms / one.reference_ms


def _described(machine: tuple[Any, ...]) -> str:
    host, processor, versions = machine
    return f"{host or 'an unnamed host'} ({', '.join([processor, *(' '.join(one) for one in versions)])})"
