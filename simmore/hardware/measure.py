"""Measuring cells on real hardware: this machine, or any other that runs a Dask worker.

>>> from simmore.hardware import measure
>>> measure.measure(12, "onnxruntime", "fp32", threads=1, batch=1)  # doctest: +SKIP
Measurement(arch=12, latency_ms=1.9, ...)

`LiveDevice` is a device like any other, for `search.search`.
"""

from __future__ import annotations

import dataclasses
import platform
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simmore import parallel, space
from simmore.hardware.cores import CannotMeasure, usable_cores
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
    "machine",
    "measure",
    "measure_many",
    "usable_cores",
]


def measure(
    arch: int | str,
    runtime: str = "onnxruntime",
    precision: str = "fp32",
    threads: int = 1,
    batch: int = 1,
    *,
    limit_seconds: float = LIMIT_SECONDS,
    dask: str | None = None,
    resource: str | None = None,
) -> Measurement:
    """Measure the latency of one cell's network (CIFAR-10: 3×32×32, ten classes).

    Parameters
    ----------
    arch
        NATS index, six digits or NATS-Bench string.
    runtime, precision, threads, batch
        See `Configuration`.
    limit_seconds
        After which the measuring process is ended.
    dask, resource
        Address of a Dask scheduler, and the label of the workers that may measure
        (``dask worker … --resources "raspi5=1"``); this machine if None.

    Returns
    -------
    Measurement
        With an infinite latency and its reason where the network fails to compile or to run.

    Raises
    ------
    ValueError, MissingPackage, CannotMeasure, ConnectionError
        See `measure_many`.
    """
    wanted = Configuration(runtime, precision, threads, batch)
    return measure_many([arch], wanted, limit_seconds=limit_seconds, dask=dask, resource=resource)[0]


def measure_many(
    archs: Sequence[int | str],
    wanted: Configuration,
    *,
    seed: int = 0,
    limit_seconds: float = LIMIT_SECONDS,
    dask: str | None = None,
    resource: str | None = None,
) -> list[Measurement]:
    """Measure cells against one another: they take turns, so that what disturbs the machine disturbs all alike.

    Raises
    ------
    ValueError
        For no cell of the search space, a limit that is none, or more threads than the measuring machine has cores.
    MissingPackage
        For a runtime that is not installed there.
    CannotMeasure
        If no core becomes free there.
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
    """Measure on this machine; runs on Dask workers too, each of which then has a measuring process of its own."""
    return _worker(wanted, limit_seconds).measure(cells, seed)


@lru_cache(maxsize=1)
def _worker(wanted: Configuration, limit_seconds: float) -> Worker:
    """The measuring process of this process; another configuration replaces it."""
    return Worker(wanted, limit_seconds)


class LiveDevice:
    """A real device that is measured when it is asked; what it measured it remembers.

    Parameters
    ----------
    wanted
        Runtime, precision, threads and batch.
    known
        Measurements from before, which are not made again.
    on_measurement
        Called with each new measurement as soon as it is there.
    limit_seconds, dask, resource
        See `measure`.
    """

    def __init__(
        self,
        wanted: Configuration | None = None,
        *,
        known: Sequence[Measurement] = (),
        on_measurement: Callable[[Measurement], None] | None = None,
        limit_seconds: float = LIMIT_SECONDS,
        dask: str | None = None,
        resource: str | None = None,
    ) -> None:
        self.wanted = wanted or Configuration()
        self.measurements: dict[int, Measurement] = {one.arch: one for one in known}
        self._on_measurement = on_measurement
        self._where: dict[str, Any] = {"limit_seconds": limit_seconds, "dask": dask, "resource": resource}
        self._label = resource
        if dask is None:
            self.wanted.check()

    @property
    def name(self) -> str:
        return f"{self._label}_{self.wanted.name}" if self._label else self.wanted.name

    def latency_ms(self, archs: ArrayLike) -> NDArray[np.float64]:
        """Latency in ms, measured now where it is not known yet; same shape, inf where a cell fails."""
        archs = np.asarray(archs)
        for arch in dict.fromkeys(archs.ravel().tolist()):
            if arch not in self.measurements:
                measured = measure_many([arch], self.wanted, **self._where)[0]
                self.measurements[arch] = measured
                if self._on_measurement:
                    self._on_measurement(measured)
        found = [self.measurements[arch].latency_ms for arch in archs.ravel().tolist()]
        return np.array(found, dtype=np.float64).reshape(archs.shape)


def machine() -> dict[str, str]:
    """What this machine is, for a table's card: processor, cores, memory, system, Python."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").is_file() else []
    facts = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    features = [
        name
        for name in ("avx2", "avx512f", "avx512_vnni", "amx_tile", "asimd")
        if name in facts.get("flags", facts.get("Features", "")).split()
    ]
    return {
        "processor": facts.get("model name") or platform.processor() or platform.machine(),
        "model": "family {}, model {}, stepping {}".format(
            *(facts.get(k, "?") for k in ("cpu family", "model", "stepping"))
        ),
        "instructions": ", ".join(features),
        "cores": str(len(usable_cores())),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }


def as_row(measured: Measurement) -> dict[str, Any]:
    """A measurement as a row of a table."""
    return dataclasses.asdict(measured)
