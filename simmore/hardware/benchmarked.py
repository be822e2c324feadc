"""The project's own measured devices: runtimes on the kind of machine that the project is tested on, all cells.

A device is a runtime and a precision, with one thread and one image at a time. `measure_all` makes its table and
card, in `simmore/tables`; `data.own_latency_table` reads them.
"""

from __future__ import annotations

import contextlib
import datetime
import io
import json
import queue
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from simmore import paths, space
from simmore.data.benchmark import OWN
from simmore.experiments import record
from simmore.files import replace
from simmore.hardware import drift, measure, repeatability, timing
from simmore.hardware.measure import Configuration, Measurement

CHUNK = 25  # cells that take turns
REFERENCE = 4317  # 1×1 convolutions alone take turns with every chunk: how fast was the machine just then?
MEASURED = ("latency_ms", "spread", "runs", "steady", "seconds")  # columns that come from the measurements
COLUMNS = (*MEASURED, "reference_ms")


def configuration(name: str) -> Configuration:
    """What a device of `data.OWN` is.

    >>> configuration("onnxruntime_int8")
    Configuration(runtime='onnxruntime', precision='int8', threads=1, batch=1)
    """
    if name not in OWN:
        raise ValueError(f"no device of this project {name!r}: choose one of {', '.join(OWN)}")
    runtime, precision = name.rsplit("_", 1)
    return Configuration(runtime, precision)


def measure_all(
    name: str,
    *,
    archs: Sequence[int] | None = None,
    n_jobs: int = -1,
    progress: bool = True,
    folder: Path | None = None,
    out: Path | None = None,
) -> Path:
    """Measure all cells in one runtime, and write the table and its card.

    Stopped at any moment, it goes on where it was when it is called again: a part is whole or is not there.

    Parameters
    ----------
    name
        One of `data.OWN`.
    archs
        NATS indices to measure instead of all; the table then has NaN elsewhere, and needs an `out`.
    n_jobs
        Measuring processes, each with a core of its own; −1 for as many as there are cores.
    progress
        Show a bar, on a terminal and in notebooks.
    folder
        Where the parts are kept; ``build/own_devices`` if not given.
    out
        The table, ``….npz``; the package's own if not given. Its card lies beside it, ``….json``.

    Returns
    -------
    Path
        The table: `COLUMNS`, ``(15625,)`` each, in NATS order; an infinite latency where a cell failed. The machine's
        drift is taken out of the latencies as `drift` says, by the reference in the same chunk, ``reference_ms``.
    """
    wanted = configuration(name)
    wanted.check()
    if archs is not None and out is None:
        raise ValueError("a table of some cells alone needs an `out`: the package's own has all")
    cells = np.arange(space.N_ARCHS) if archs is None else np.asarray(archs)
    shuffled = np.random.default_rng(0).permutation(cells)  # whatever drifts, drifts alike for all kinds of cells
    chunks = [shuffled[first : first + CHUNK] for first in range(0, len(shuffled), CHUNK)]
    folder = (folder or paths.BUILD / "own_devices") / name
    missing = [chunk for chunk in chunks if not _part(folder, chunk).exists()]
    shown = tqdm(total=len(cells), desc=name, unit=" cells", disable=None if progress else True)
    shown.update(len(cells) - sum(map(len, missing)))
    for measured in _measure_parts(missing, wanted, folder, n_jobs):
        shown.update(measured)
    shown.close()
    out = out or paths.TABLES / f"latency_{name}.npz"
    columns, failures = _gathered(folder, chunks)
    raw, reference = columns["latency_ms"].astype(np.float64), columns["reference_ms"].astype(np.float64)
    beta = drift.exponent(raw, reference)
    columns["latency_ms"] = drift.corrected(raw, reference, beta).astype(np.float32)
    twice = repeatability.agreement(repeatability.measured_twice(wanted, cells))
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **columns)  # type: ignore[arg-type]
    card = _card(name, wanted, columns, failures, cells, twice, raw, beta)
    replace(out, buffer.getvalue())
    replace(out.with_suffix(".json"), (json.dumps(card, indent=2, ensure_ascii=False) + "\n").encode())
    return out


def _part(folder: Path, chunk: NDArray[np.int64]) -> Path:
    """File of a chunk; its name says which cells are in it."""
    return folder / f"{space.N_ARCHS}-{chunk[0]:05}-{len(chunk)}-{int(chunk.sum())}.json"


def _measure_parts(chunks: list[NDArray[np.int64]], wanted: Configuration, folder: Path, n_jobs: int) -> Iterator[int]:
    """Measure chunks, each with the reference, and write them down; gives the number of cells as each is done.

    Threads are enough here: the measuring is done by processes of their own, which end with this one.
    """
    n_workers = min(joblib.effective_n_jobs(n_jobs), len(measure.usable_cores()))
    with contextlib.ExitStack() as stack:
        idle: queue.SimpleQueue[measure.Worker] = queue.SimpleQueue()
        for _ in range(n_workers):
            idle.put(stack.enter_context(measure.Worker(wanted)))

        def measure_part(chunk: NDArray[np.int64]) -> int:
            worker = idle.get()
            try:
                found = worker.measure(list(dict.fromkeys([*chunk.tolist(), REFERENCE])))
            finally:
                idle.put(worker)
            replace(_part(folder, chunk), json.dumps([measure.as_row(one) for one in found]).encode())
            return len(chunk)

        parallel = joblib.Parallel(
            n_jobs=n_workers,
            backend="threading",
            return_as="generator_unordered",
            pre_dispatch="2*n_jobs",
            batch_size=1,
        )
        yield from parallel(joblib.delayed(measure_part)(chunk) for chunk in chunks)


def _gathered(folder: Path, chunks: list[NDArray[np.int64]]) -> tuple[dict[str, NDArray[np.float32]], dict[str, str]]:
    """Columns of the table, and why cells failed."""
    columns = {name: np.full(space.N_ARCHS, np.nan, dtype=np.float32) for name in COLUMNS}
    failures = {}
    for chunk in chunks:
        rows = {row["arch"]: Measurement(**row) for row in json.loads(_part(folder, chunk).read_text())}
        columns["reference_ms"][chunk] = rows[REFERENCE].latency_ms
        for arch in chunk.tolist():
            for column in MEASURED:
                columns[column][arch] = getattr(rows[arch], column)
            if rows[arch].reason:
                failures[str(arch)] = rows[arch].reason
    if not np.isfinite(columns["reference_ms"][np.concatenate(chunks)]).all():
        raise RuntimeError(f"the reference could not be measured with every chunk: delete {folder}, and start again")
    return columns, failures


def _card(
    name: str,
    wanted: Configuration,
    columns: dict[str, Any],
    failures: dict[str, str],
    cells: NDArray[np.int64],
    repeated: dict[str, float],
    raw: NDArray[np.float64],
    beta: float,
) -> dict[str, Any]:
    """What a reader must know about a table."""
    spread, reference = columns["spread"][cells], columns["reference_ms"][cells]
    return {
        "device": name,
        "runtime": wanted.runtime,
        "precision": wanted.precision,
        "threads": wanted.threads,
        "batch": wanted.batch,
        "image": "3×32×32, noise; ten classes; weights at initialisation",
        "machine": measure.machine(),
        "versions": wanted.versions(),
        "date": datetime.date.today().isoformat(),
        "commit": record.commit(),
        "method": (
            f"in each of {timing.ROUNDS} rounds, {CHUNK} cells and a reference take turns, in random order; a round "
            f"is at least {timing.RUNS} runs and {timing.ROUND_MS:g} ms, after one that is not counted; the latency "
            f"is the median over rounds of a round's median; where the relative spread is above {timing.WIDEST:g}, "
            f"as many rounds follow, up to {timing.REPEATS} times; one core a measuring process; latencies are scaled "
            "by the reference's median over its latency in their chunk, to the power of an exponent: simmore/drift.py"
        ),
        "columns": {
            "latency_ms": "ms, scaled by the reference; infinite: failed",
            "reference_ms": "ms, of the reference in the cell's chunk",
            "spread": "relative: 1.48 median absolute deviations of the rounds over the latency",
            "runs": "timed",
            "steady": f"1 if the spread is at most {timing.WIDEST:g}",
            "seconds": "that the cell took, compiling included",
        },
        "cells": len(cells),
        "failed": failures,
        "not_steady": int((columns["steady"][cells] == 0).sum()),
        "spread_quantiles": {q: round(float(np.quantile(spread, float(q))), 4) for q in ("0.5", "0.9", "0.99")},
        "core_seconds": round(float(columns["seconds"][cells].sum()), 1),
        "reference": {
            "arch": REFERENCE,
            "median_ms": round(float(np.median(reference)), 4),
            "relative_quantiles": {
                q: round(float(np.quantile(reference, float(q)) / np.median(reference)), 4) for q in ("0.05", "0.95")
            },
            "exponent": round(beta, 4),
        },
        "same_network": {
            "pairs": len(drift.same_network(cells)),
            "median_difference": round(drift.median_difference(columns["latency_ms"].astype(np.float64)), 4),
            "uncorrected": round(drift.median_difference(raw), 4),
        },
        "repeatability": repeated,
    }
