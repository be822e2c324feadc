"""A search on hardware. Every measurement is saved at once.

The measurements are written to a journal. The same search, started again on the same machine after an interruption,
reads them from there and continues. A search that ends deletes its journal.
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
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from simmore import space
from simmore.data.registry import cache_folder
from simmore.files import read_kept, replace
from simmore.hardware.measure import LIMIT_SECONDS, CannotMeasure, Configuration, LiveDevice, Measurement
from simmore.models.knowledge import Knowledge
from simmore.models.readings import implausible
from simmore.strategies import Search, Session, measure

COLUMNS = ("spread", "stable", "disturbed", "reference_ms", "host", "cores")  # of a measurement, in the trajectory
NOTABLE = 0.1  # change of the machine's speed that a line of progress names


@dataclass(frozen=True)
class LiveSearch:
    """Result of a search on hardware, with its measurements and its duration.

    Attributes
    ----------
    found
        The result; its trajectory has the columns `COLUMNS` too.
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

    @property
    def doubt(self) -> str:
        """Why the latency of the recommendation is doubtful; empty if it is not, or if there is none."""
        one = None if self.found.arch is None else self.device.measurements[self.found.arch]
        return doubt_of(one) if one is not None and one.doubtful else ""

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
    """Search for a cell on this machine, or on the machine of a Dask worker.

    Parameters
    ----------
    wanted
        Runtime, precision, threads and batch.
    session
        The search; nothing has been asked of it yet.
    strategy, seed
        Name of the session's strategy, and its seed. With all other settings, they identify the search.
    out
        CSV of the trajectory; the journal is beside it. If None, the journal is in the cache folder and no CSV is
        written.
    progress
        Print a line for each measurement.
    limit_seconds, dask, resource
        See `measure.measure_many`.

    Raises
    ------
    ValueError, MissingPackage
        For a wrong setting or a runtime that is not installed.
    CannotMeasure
        If the reference network fails, before anything else is measured; or if none of the measured cells runs.
    strategies.MeasurementFailed
        If measuring itself fails, for example because a scheduler goes away. The journal is kept.
    KeyboardInterrupt
        After Ctrl-C, SIGTERM, or when the terminal is closed. The journal is kept.
    """
    device = LiveDevice(
        wanted,
        implausible=partial(implausible, Knowledge().simulated.shape),
        limit_seconds=limit_seconds,
        dask=dask,
        resource=resource,
    )
    started = time.perf_counter()
    with _signals_interrupt():
        checked = device.check()
        settings = {
            **dataclasses.asdict(wanted),
            "limit_seconds": limit_seconds,
            "resource": resource,
            "host": checked.host,
            "processor": checked.processor,
            "versions": checked.versions,
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
        known, device.confirmed = read_kept(journal, partial(_measurements, checked)) or ([], set())
        device.measurements |= {one.arch: one for one in known}
        session.history.confirmed |= device.confirmed

        def keep(one: Measurement) -> None:
            rows = [dataclasses.asdict(each) for each in device.measurements.values()]
            content = {"settings": settings, "confirmed": sorted(device.confirmed), "measurements": rows}
            replace(journal, json.dumps(content, indent=1).encode())
            session.history.confirmed |= device.confirmed
            session.revise({arch: float(device.latency_ms(arch)) for arch in device.measurements})
            if progress:
                print(line(one, len(session.history) + 1, session.budget, device.slowdown(one.arch)), flush=True)

        device.on_measurement = keep
        measure(session, device)
    seconds = time.perf_counter() - started
    found = Search.of(session)
    measured = [device.measurements[arch] for arch in found.trajectory["arch"]]
    if all(one.reason for one in measured):
        journal.unlink(missing_ok=True)
        reasons = "; ".join(dict.fromkeys(one.reason for one in measured))
        raise CannotMeasure(f"none of the {found.n_measured} measured cells runs in {device.name}: {reasons}")
    columns = {name: [getattr(one, name) for one in measured] for name in COLUMNS}
    steps = found.trajectory.assign(**columns)
    if out is not None:
        replace(out, steps.to_csv(index=False, lineterminator="\n").encode())
    journal.unlink(missing_ok=True)  # not before its measurements are in their file
    return LiveSearch(dataclasses.replace(found, trajectory=steps), device, len(known), seconds)


def _journal(settings: dict[str, Any], beside: Path | None) -> Path:
    """The journal of a search. A digest of all settings is in its name: another search has another journal."""
    digest = hashlib.sha256(json.dumps(settings).encode()).hexdigest()[:16]
    if beside is None:
        return cache_folder() / "live" / f"{digest}.json"
    file = beside.with_name(f"{beside.name}.{digest}.journal.json")
    for other in sorted(beside.parent.glob(f"{glob.escape(beside.name)}.*.journal.json")):
        if other != file:
            print(
                f"{other} has measurements of an interrupted search with other settings, or on another machine",
                file=sys.stderr,
            )
    return file


def _measurements(checked: Measurement, content: bytes) -> tuple[list[Measurement], set[int]]:
    """Measurements of an interrupted search on the checked machine, from its journal, and the cells that are confirmed.

    Raises
    ------
    ValueError
        If a measurement is of another machine, or a confirmed cell is not measured.
    """
    journal = json.loads(content)
    found, confirmed = [Measurement(**row) for row in journal["measurements"]], set(journal["confirmed"])
    if not confirmed <= {one.arch for one in found} or any(one.machine != checked.machine for one in found):
        raise ValueError("it has measurements of another machine, or confirmed cells without a measurement")
    return found, confirmed


@contextlib.contextmanager
def _signals_interrupt() -> Iterator[None]:
    """Handle SIGTERM and a closed terminal like Ctrl-C. Python allows this in the main thread only."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    with contextlib.ExitStack() as restored:
        for name in ("SIGTERM", "SIGHUP"):
            number = getattr(signal, name, None)  # Windows has no SIGHUP
            if number is not None and signal.getsignal(number) is not signal.SIG_IGN:  # by nohup
                restored.callback(signal.signal, number, signal.signal(number, signal.default_int_handler))
        yield


def line(one: Measurement, number: int, budget: int, slowdown: float = 1.0) -> str:
    """A measurement as a line of progress."""
    result = f"failed: {one.reason}"
    if not one.reason:
        doubt = f", {doubt_of(one)}" if one.doubtful else ""
        if abs(slowdown - 1) > NOTABLE:
            doubt += f", corrected: the machine takes {slowdown:.2f} of its usual time"
        result = f"{one.latency_ms / slowdown:8.3f} ms ± {100 * one.spread:.1f} %{doubt}"
    return f"{number:3} of {budget}  {result}  in {one.seconds:.1f} s  {space.to_string(one.arch)}"


def doubt_of(one: Measurement) -> str:
    """Why a latency is doubtful, in words."""
    if one.disturbed:
        return f"disturbed: other programs took the core in {100 * one.preempted:.0f} % of the runs"
    return "unstable: the machine is busy"
