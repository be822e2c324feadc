"""A search on hardware that is measured meanwhile: every measurement is kept as soon as it is made.

The measurements are written to a journal. The same search, started again after an interruption, reads them from there
and continues. A search that ends deletes its journal.
"""

from __future__ import annotations

import contextlib
import dataclasses
import glob
import hashlib
import json
import signal
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from simmore import provenance, space
from simmore.data.registry import cache_folder
from simmore.files import replace
from simmore.hardware.measure import LIMIT_SECONDS, CannotMeasure, Configuration, LiveDevice, Measurement
from simmore.strategies import Search, Session, run


@dataclass(frozen=True)
class LiveSearch:
    """Result of a search on hardware, and what it took.

    Attributes
    ----------
    found
        The result; its trajectory has the columns ``spread`` (relative) and ``stable`` too.
    device
        The device, with all measurements.
    resumed
        Number of cells that an earlier, interrupted search had measured.
    seconds
        Duration of this search.
    """

    found: Search
    device: LiveDevice
    resumed: int
    seconds: float

    def seconds_for_everything(self) -> float:
        """Estimated duration of measuring all cells, from the mean over the measured ones."""
        return float(np.mean([one.seconds for one in self.device.measurements.values()])) * space.N_ARCHS


def search_live(
    wanted: Configuration,
    session: Session,
    *,
    strategy: str,
    seed: int,
    out: Path | None = None,
    progress: bool = True,
    limit_seconds: float = LIMIT_SECONDS,
    dask: str | None = None,
    resource: str | None = None,
) -> LiveSearch:
    """Search a cell for this machine, or for the machine of a Dask worker.

    Parameters
    ----------
    wanted
        Runtime, precision, threads and batch.
    session
        The search; nothing has been asked of it yet.
    strategy, seed
        Name of the session's strategy, and its seed. With all other settings they tell one search from another.
    out
        CSV of the trajectory, beside which the journal lies. If None, the journal is in the cache folder and no CSV is
        written.
    progress
        Print a line for each measurement.
    limit_seconds, dask, resource
        See `measure.measure_many`.

    Raises
    ------
    ValueError, MissingPackage
        For a wrong setting or a runtime that is not installed.
    strategies.MeasurementFailed
        If measuring itself fails, for example because a scheduler goes away. The journal is kept.
    CannotMeasure
        If none of the measured cells compiles and runs.
    KeyboardInterrupt
        After Ctrl-C or SIGTERM. The journal is kept.
    """
    if dask is None:
        wanted.check()
    settings = {
        **dataclasses.asdict(wanted),
        "limit_seconds": limit_seconds,
        "resource": resource,
        "machine": provenance.machine() if dask is None else "a Dask worker's",
        "versions": wanted.versions() if dask is None else {},
        "strategy": strategy,
        "seed": seed,
        "start": session.start,
        "budget": session.budget,
        "measured_before": session.history.steps,
        "weight": session.problem.weight,
        "max_latency_ms": session.problem.max_latency_ms,
        "merit": hashlib.sha256(session.problem.merit.tobytes()).hexdigest(),
    }
    journal = _journal(settings, out)
    known = _read(journal)

    def keep(one: Measurement) -> None:
        rows = [dataclasses.asdict(each) for each in device.measurements.values()]
        replace(journal, json.dumps({"settings": settings, "measurements": rows}, indent=1).encode())
        if progress:
            print(line(one, len(session.history) + 1, session.budget), flush=True)

    device = LiveDevice(
        wanted, known=known, on_measurement=keep, limit_seconds=limit_seconds, dask=dask, resource=resource
    )
    started = time.perf_counter()
    with _sigterm_interrupts():
        found = run(session, device)
    seconds = time.perf_counter() - started
    measured = [device.measurements[arch] for arch in found.trajectory["arch"]]
    steps = found.trajectory.assign(spread=[one.spread for one in measured], stable=[one.stable for one in measured])
    if out is not None:
        replace(out, steps.to_csv(index=False, lineterminator="\n").encode())
    journal.unlink(missing_ok=True)
    if not np.isfinite(steps["latency_ms"]).any():
        reasons = "; ".join(dict.fromkeys(one.reason for one in measured))
        raise CannotMeasure(f"none of the {found.n_measured} measured cells runs in {device.name}: {reasons}")
    return LiveSearch(dataclasses.replace(found, trajectory=steps), device, len(known), seconds)


def _journal(settings: dict[str, Any], beside: Path | None) -> Path:
    """The journal of a search. A digest of all settings is in its name: another search has another journal."""
    digest = hashlib.sha256(json.dumps(settings).encode()).hexdigest()[:16]
    if beside is None:
        return cache_folder() / "live" / f"{digest}.json"
    file = beside.with_name(f"{beside.name}.{digest}.journal.json")
    for other in sorted(beside.parent.glob(f"{glob.escape(beside.name)}.*.journal.json")):
        if other != file:
            print(f"{other} has measurements of an interrupted search with other settings", file=sys.stderr)
    return file


def _read(journal: Path) -> list[Measurement]:
    """Measurements of an interrupted search; none if there is no journal. An unreadable one is set aside."""
    try:
        return [Measurement(**row) for row in json.loads(journal.read_text(encoding="utf-8"))["measurements"]]
    except FileNotFoundError:
        return []
    except (ValueError, KeyError, TypeError):
        aside = journal.with_suffix(".unreadable")
        journal.replace(aside)
        print(f"the journal of this search cannot be read; it is now {aside}", file=sys.stderr)
        return []


@contextlib.contextmanager
def _sigterm_interrupts() -> Iterator[None]:
    """Handle SIGTERM like Ctrl-C. Python allows this in the main thread only."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def line(one: Measurement, number: int, budget: int) -> str:
    """A measurement as a line of progress."""
    result = f"failed: {one.reason}"
    if not one.reason:
        doubt = "" if one.stable else ", unstable: the machine is busy"
        result = f"{one.latency_ms:8.3f} ms ± {100 * one.spread:.1f} %{doubt}"
    return f"{number:3} of {budget}  {result}  in {one.seconds:.1f} s  {space.to_string(one.arch)}"
