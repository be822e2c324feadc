"""Measuring cells on this machine, or on any other machine that runs a Dask worker.

>>> from simmore.hardware import measure
>>> measure.measure(12, "onnxruntime", "fp32", threads=1, batch=1)  # doctest: +SKIP
Measurement(arch=12, latency_ms=1.9, ...)

`LiveDevice` is a device like any other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simmore import parallel, space
from simmore.hardware.cores import CannotMeasure
from simmore.hardware.runtimes import RUNTIMES, Configuration
from simmore.hardware.worker import LIMIT_SECONDS, Measurement, Worker

__all__ = [
    "LIMIT_SECONDS",
    "RUNTIMES",
    "CannotMeasure",
    "Configuration",
    "LiveDevice",
    "Measurement",
    "Worker",
    "measure",
    "measure_many",
]


def measure(
    arch: int | str,
    runtime: str = "onnxruntime",
    precision: str = "fp32",
    threads: int = 1,
    batch: int = 1,
    **settings: Any,
) -> Measurement:
    """Measure one cell in a `Configuration`; everything else is as in `measure_many`."""
    return measure_many([arch], Configuration(runtime, precision, threads, batch), **settings)[0]


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
        Runtime, precision, threads and batch.
    seed
        Of the input and of the order of rounds.
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
        If no core becomes free there, or on Windows.
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

    Parameters
    ----------
    wanted
        Runtime, precision, threads and batch.
    known
        Earlier measurements, which are not made again.
    on_measurement
        Called with each new measurement.
    settings
        ``limit_seconds``, ``dask`` and ``resource``, see `measure_many`.
    """

    def __init__(
        self,
        wanted: Configuration,
        *,
        known: Iterable[Measurement] = (),
        on_measurement: Callable[[Measurement], None] = lambda measured: None,
        **settings: Any,
    ) -> None:
        self.measurements = {one.arch: one for one in known}
        label = settings.get("resource")
        self.name = f"{label}_{wanted.name}" if label else wanted.name
        self._wanted, self._on_measurement, self._settings = wanted, on_measurement, settings

    def latency_ms(self, archs: ArrayLike) -> NDArray[np.float64]:
        """Latency in ms; same shape, inf where a cell fails. Cells that are not known yet are measured now."""
        archs = np.asarray(archs)
        for arch in dict.fromkeys(archs.ravel().tolist()):
            if arch not in self.measurements:
                self.measurements[arch] = measure_many([arch], self._wanted, **self._settings)[0]
                self._on_measurement(self.measurements[arch])
        found = [self.measurements[arch].latency_ms for arch in archs.ravel().tolist()]
        return np.array(found, dtype=np.float64).reshape(archs.shape)
