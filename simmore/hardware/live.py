"""A search on hardware that is measured while it goes on: every measurement is kept as soon as it is made.

The journal lies beside the trajectory that the search will write. A search that was interrupted and is started
again with the same settings reads its measurements from there and goes on; one that ended leaves no journal.
"""

from __future__ import annotations

import dataclasses
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from simmore import space
from simmore.files import replace
from simmore.hardware import measure
from simmore.hardware.measure import Configuration, LiveDevice, Measurement
from simmore.strategies import loop


@dataclass(frozen=True)
class LiveSearch:
    """A search's end, and what it took.

    Attributes
    ----------
    found
        The answer and the trajectory.
    device
        With all measurements.
    resumed
        Cells that an earlier, interrupted search had measured.
    seconds
        That the search took this time.
    """

    found: loop.Search
    device: LiveDevice
    resumed: int
    seconds: float

    @property
    def answer(self) -> Measurement | None:
        """The answer's measurement."""
        return None if self.found.arch is None else self.device.measurements[self.found.arch]

    def seconds_for_everything(self) -> float:
        """What measuring all cells would have taken, one after the other, each like the mean of those measured."""
        took = [one.seconds for one in self.device.measurements.values()]
        return float(np.mean(took)) * space.N_ARCHS


def journal_of(trajectory: Path) -> Path:
    """Where the measurements of a search are kept while it goes on."""
    return trajectory.with_name(f"{trajectory.name}.measurements.json")


def search_live(
    wanted: Configuration,
    strategy: loop.Strategy,
    *,
    strategy_name: str,
    out: Path,
    start: int | None = None,
    budget: int = loop.BUDGET,
    seed: int = 0,
    max_latency_ms: float | None = None,
    progress: bool = True,
    limit_seconds: float = measure.LIMIT_SECONDS,
    dask: str | None = None,
    resource: str | None = None,
) -> LiveSearch:
    """Search a cell for the hardware at hand, or for that behind a Dask worker, and write the trajectory.

    Parameters
    ----------
    wanted
        Runtime, precision, threads and batch.
    strategy, strategy_name
        The search strategy, and its name for the journal.
    out
        CSV of the trajectory; `loop.Search.trajectory` with the columns ``spread`` (relative) and ``steady``.
    start, budget, seed, max_latency_ms
        See `loop.search`.
    progress
        Print a line a measurement.
    limit_seconds, dask, resource
        See `measure.measure`.

    Raises
    ------
    ValueError, MissingPackage, OSError
        Before anything is measured: a bad setting, a runtime that is not installed, an `out` that can't be written.
    loop.MeasurementFailed
        If measuring itself breaks down (a scheduler that goes away, say); the journal stays.
    """
    check_writable(out)
    if dask is None:
        wanted.check()
    journal = journal_of(out)
    settings: dict[str, Any] = {
        **dataclasses.asdict(wanted),
        "resource": resource,
        "strategy": strategy_name,
        "start": start,
        "seed": seed,
        "max_latency_ms": max_latency_ms,
        **({} if dask else {"machine": measure.machine(), "versions": wanted.versions()}),
    }
    known = _read(journal, settings)
    measurements = list(known)

    def keep(one: Measurement) -> None:
        measurements.append(one)
        content = {"settings": settings, "measurements": [measure.as_row(each) for each in measurements]}
        replace(journal, json.dumps(content, indent=1).encode())
        if progress:
            print(line(one, len(measurements), budget), flush=True)

    device = LiveDevice(
        wanted, known=known, on_measurement=keep, limit_seconds=limit_seconds, dask=dask, resource=resource
    )
    started = time.perf_counter()
    found = loop.search(device, strategy, start=start, budget=budget, seed=seed, max_latency_ms=max_latency_ms)
    seconds = time.perf_counter() - started
    steps = found.trajectory.assign(
        spread=[device.measurements[arch].spread for arch in found.trajectory.arch],
        steady=[device.measurements[arch].steady for arch in found.trajectory.arch],
    )
    replace(out, steps.to_csv(index=False).encode())
    journal.unlink(missing_ok=True)
    return LiveSearch(dataclasses.replace(found, trajectory=steps), device, len(known), seconds)


def line(one: Measurement, number: int, budget: int) -> str:
    """A measurement as a line of progress."""
    result = f"failed: {one.reason}"
    if not one.reason:
        doubt = "" if one.steady else ", not steady: the machine is busy"
        result = f"{one.latency_ms:8.3f} ms ± {100 * one.spread:.1f} %{doubt}"
    return f"{number:3} of {budget}  {result}  in {one.seconds:.1f} s  {space.to_string(one.arch)}"


def check_writable(path: Path) -> None:
    """See whether a file can be written, before anything is measured for it.

    Raises
    ------
    OSError
        If it can't be: no such folder, no right to, a folder of that name.
    """
    if path.is_dir():
        raise OSError(f"{path} is a folder: name a file")
    if not path.parent.is_dir():
        raise OSError(f"the folder of {path} does not exist: create it, or name another")
    probe = path.with_name(f".{path.name}.probe")
    try:
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise OSError(f"{path} can't be written ({error.strerror}): name a file that can") from error


def _read(journal: Path, settings: dict[str, Any]) -> list[Measurement]:
    """Measurements of an interrupted search with the same settings; none if there is none."""
    try:
        content = json.loads(journal.read_text(encoding="utf-8"))
        if content["settings"] != json.loads(json.dumps(settings)):
            return []
        return [Measurement(**row) for row in content["measurements"]]
    except (OSError, ValueError, KeyError, TypeError):
        return []  # not there, or not ours: it is written anew
