"""The benchmarked runtimes: tables of all cells, measured on the machine that this project is tested on.

Each one is a runtime and a precision, with one thread and one image per run. `measure_all` writes the table and its
metadata to `simmore/tables`; `data.latency_table` and `data.benchmark_metadata` read them.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import io
import json
import queue
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from numpy.typing import ArrayLike, NDArray
from tqdm.auto import tqdm

from simmore import paths, provenance, space
from simmore.data import BENCHMARKED
from simmore.files import replace
from simmore.hardware import cores, drift, repeatability, timing
from simmore.hardware.layers import N_CLASSES, SIZE
from simmore.hardware.repeatability import CHUNK
from simmore.hardware.runtimes import Configuration
from simmore.hardware.worker import Measurement, Worker

REFERENCE = 4317  # the cell of 1×1 convolutions alone is timed with every chunk, as a reference of the machine's speed
COLUMNS = ("latency_ms", "spread", "runs", "stable", "seconds", "reference_ms")


def configuration(name: str) -> Configuration:
    """Runtime and precision of a name of `data.BENCHMARKED`.

    >>> configuration("onnxruntime_int8")
    Configuration(runtime='onnxruntime', precision='int8', threads=1, batch=1)
    """
    if name not in BENCHMARKED:
        raise ValueError(f"no benchmarked runtime {name!r}: choose one of {', '.join(BENCHMARKED)}")
    runtime, precision = name.rsplit("_", 1)
    return Configuration(runtime, precision)


def measure_all(
    name: str,
    *,
    archs: ArrayLike | None = None,
    n_jobs: int = -1,
    progress: bool = True,
    folder: Path | None = None,
    out: Path | None = None,
) -> Path:
    """Measure all cells in one runtime, and write the table and its metadata; an interrupted run continues.

    Parameters
    ----------
    name
        One of `data.BENCHMARKED`.
    archs
        NATS indices to measure instead of all. The table then has NaN elsewhere, and needs an `out`.
    n_jobs
        Measuring processes, each with a core of its own; −1 for as many as there are cores.
    progress
        Show a progress bar, on a terminal and in notebooks.
    folder
        Where finished chunks are kept; ``build/benchmarked`` if not given.
    out
        The table, ``….npz``; the package's own if not given. The metadata is in ``….json`` beside it.

    Returns
    -------
    Path
        The table: `COLUMNS`, ``(15625,)`` each, in NATS order; an infinite latency where a cell failed. Latencies are
        corrected for the machine's drift (see `drift`) with the reference of the same chunk, ``reference_ms``.
    """
    wanted = configuration(name)
    wanted.check()
    if archs is not None and out is None:
        raise ValueError("a table of some cells needs an `out`: the package's own table has all cells")
    cells = np.arange(space.N_ARCHS) if archs is None else np.asarray(archs)
    shuffled = np.random.default_rng(0).permutation(cells)  # drift then affects all kinds of cells alike
    folder = (folder or paths.BUILD / "benchmarked") / name
    chunks = {_file(folder, chunk): chunk for chunk in np.split(shuffled, range(CHUNK, len(shuffled), CHUNK))}
    missing = {file: chunk for file, chunk in chunks.items() if not file.exists()}
    with tqdm(total=len(cells), desc=name, unit=" cells", disable=None if progress else True) as shown:
        shown.update(len(cells) - sum(map(len, missing.values())))
        for measured in _measure_chunks(missing, wanted, n_jobs):
            shown.update(measured)
    columns, failures = _collected(chunks)
    raw, reference = columns["latency_ms"].astype(np.float64), columns["reference_ms"].astype(np.float64)
    beta = drift.exponent(raw, reference)
    columns["latency_ms"] = drift.corrected(raw, reference, beta).astype(np.float32)
    metadata = _metadata(name, wanted, columns, cells) | {
        "failed": failures,
        "reference": _reference(columns["reference_ms"][cells], beta),
        "same_network": {
            "pairs": len(drift.same_network(cells)),
            "median_difference": round(drift.median_difference(columns["latency_ms"].astype(np.float64)), 4),
            "uncorrected": round(drift.median_difference(raw), 4),
        },
        "repeatability": repeatability.agreement(wanted, cells),
    }
    out = out or paths.TABLES / f"latency_{name}.npz"
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **columns)  # type: ignore[arg-type]
    replace(out, buffer.getvalue())
    replace(out.with_suffix(".json"), (json.dumps(metadata, indent=2, ensure_ascii=False) + "\n").encode())
    return out


def _file(folder: Path, chunk: NDArray[np.int64]) -> Path:
    """File of a chunk; its name tells which cells are in it."""
    return folder / f"{space.N_ARCHS}-{chunk[0]:05}-{len(chunk)}-{int(chunk.sum())}.json"


def _measure_chunks(chunks: dict[Path, NDArray[np.int64]], wanted: Configuration, n_jobs: int) -> Iterator[int]:
    """Measure chunks, each together with the reference, and write them; gives the number of cells of each.

    Threads are enough here: other processes do the measuring, and end with this one.
    """
    n_workers = min(joblib.effective_n_jobs(n_jobs), len(cores.usable_cores()))
    with contextlib.ExitStack() as stack:
        idle: queue.SimpleQueue[Worker] = queue.SimpleQueue()
        for _ in range(n_workers):
            idle.put(stack.enter_context(Worker(wanted)))

        def measure_chunk(file: Path, chunk: NDArray[np.int64]) -> int:
            worker = idle.get()
            try:
                found = worker.measure(list(dict.fromkeys([*chunk.tolist(), REFERENCE])))
            finally:
                idle.put(worker)
            replace(file, json.dumps([dataclasses.asdict(one) for one in found]).encode())
            return len(chunk)

        parallel = joblib.Parallel(
            n_jobs=n_workers,
            backend="threading",
            return_as="generator_unordered",
            pre_dispatch="2*n_jobs",
            batch_size=1,
        )
        yield from parallel(joblib.delayed(measure_chunk)(*item) for item in chunks.items())


def _collected(chunks: dict[Path, NDArray[np.int64]]) -> tuple[dict[str, NDArray[np.float32]], dict[str, str]]:
    """Columns of the table, with uncorrected latencies, and why cells failed."""
    columns = {name: np.full(space.N_ARCHS, np.nan, dtype=np.float32) for name in COLUMNS}
    failures = {}
    for file, chunk in chunks.items():
        rows = {row["arch"]: Measurement(**row) for row in json.loads(file.read_text())}
        reference = rows[REFERENCE].latency_ms
        if not np.isfinite(reference):
            raise RuntimeError(f"the reference could not be measured with every chunk: delete {file}, and start again")
        for arch in chunk.tolist():
            for column, value in (dataclasses.asdict(rows[arch]) | {"reference_ms": reference}).items():
                if column in columns:
                    columns[column][arch] = value
            if rows[arch].reason:
                failures[str(arch)] = rows[arch].reason
    return columns, failures


def _metadata(
    name: str, wanted: Configuration, columns: dict[str, NDArray[np.float32]], cells: NDArray[np.int64]
) -> dict[str, Any]:
    """How a table was measured."""
    return {
        "device": name,
        **dataclasses.asdict(wanted),
        "image": f"3×{SIZE}×{SIZE}, noise; {N_CLASSES} classes; weights at initialisation",
        "machine": provenance.machine(),
        "versions": wanted.versions(),
        "date": datetime.date.today().isoformat(),
        "commit": provenance.commit(),
        "method": (
            f"interleaved timing: each of {timing.ROUNDS} rounds times {CHUNK} cells and a reference in random order; "
            f"a round is at least {timing.RUNS} runs and {timing.ROUND_MS:g} ms, after one that is not timed; the "
            f"latency is the median over rounds of a round's median; where the relative spread is above "
            f"{timing.WIDEST:g}, as many rounds follow, up to {timing.REPEATS} times; one core for each measuring "
            "process; latencies are scaled by the reference's median over its latency in their chunk, to the power of "
            "an exponent: simmore/hardware/drift.py"
        ),
        "columns": {
            "latency_ms": "ms, scaled by the reference; infinite: failed",
            "reference_ms": "ms, of the reference in the cell's chunk",
            "spread": "relative: 1.48 median absolute deviations of the rounds over the latency",
            "runs": "timed",
            "stable": f"1 if the spread is at most {timing.WIDEST:g}",
            "seconds": "duration of the cell's measurement, compiling included",
        },
        "cells": len(cells),
        "unstable": int((columns["stable"][cells] == 0).sum()),
        "spread_quantiles": _quantiles(columns["spread"][cells], ("0.5", "0.9", "0.99")),
        "core_seconds": round(float(columns["seconds"][cells].sum()), 1),
    }


def _reference(reference_ms: NDArray[np.float32], beta: float) -> dict[str, Any]:
    """The reference's median, its range over the chunks, and the exponent β of the correction."""
    median = float(np.median(reference_ms))
    return {
        "arch": REFERENCE,
        "median_ms": round(median, 4),
        "relative_quantiles": _quantiles(reference_ms / median, ("0.05", "0.95")),
        "exponent": round(beta, 4),
    }


def _quantiles(values: NDArray[np.float32], which: tuple[str, ...]) -> dict[str, float]:
    return {q: round(float(np.quantile(values, float(q))), 4) for q in which}
