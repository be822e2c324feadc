"""The benchmarked runtimes: tables of all cells, or of a sample, measured on the machine that tests this project.

A table is measured in passes. The first pass measures all its cells. The other passes measure some of them again, at
another time and in other processes: the cells that the range of the table may depend on, those that a robust fit does
not explain, those with a doubtful latency, and random ones as a control. The table has the median of a cell's readings,
and all readings. `data.latency_table` and `data.benchmark_metadata` read it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import io
import json
import queue
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from simmore import paths, provenance, space
from simmore.data import BENCHMARKED
from simmore.files import read_kept, replace
from simmore.hardware import cores, drift, repeatability, timing
from simmore.hardware.layers import N_CLASSES, SIZE
from simmore.hardware.runtimes import RUNTIMES, Configuration
from simmore.hardware.worker import REFERENCE, Measurement, Worker

CHUNK = 25  # cells that are timed together; as many more as a runtime has more rounds
SLOWEST = 0.01  # share of the slowest cells that is measured again
UNEXPLAINED = 1.25  # ratio to a robust fit above which a cell is measured again
COLUMNS = ("latency_ms", "readings_ms", "reference_ms", "spread", "preempted", "runs", "stable", "seconds")

_EACH = {one.name: one for one in (
    Configuration("onnxruntime", "fp32"),
    Configuration("onnxruntime", "int8"),
    Configuration("openvino", "fp32"),
    Configuration("litert", "fp32"),
    Configuration("openvino", "int8"),
    Configuration("ncnn", "fp32"),
    Configuration("torch", "fp32"),
    Configuration("onnxruntime", "fp32", threads=2),
    Configuration("onnxruntime", "fp32", batch=8),
)}  # fmt: skip


def configuration(name: str) -> Configuration:
    """The configuration of a benchmarked runtime or of a blind sample.

    >>> configuration("onnxruntime_int8")
    Configuration(runtime='onnxruntime', precision='int8', threads=1, batch=1, cores=())
    """
    if name not in _EACH:
        raise ValueError(f"no benchmarked runtime {name!r}: choose one of {', '.join(_EACH)}")
    return _EACH[name]


@cache
def cells_of(name: str) -> NDArray[np.int64]:
    """NATS indices of the cells in a table: all, or a fifth of them for the blind samples.

    Every fifth cell is taken, in the order of the operations that its output needs: the sample has all kinds of cells
    in proportion. The five cells of one operation belong to it.
    """
    everything = np.arange(space.N_ARCHS)
    if name in BENCHMARKED:
        return everything
    live = np.array([np.bincount(space.live_ops(arch), minlength=space.N_OPERATIONS) for arch in everything.tolist()])
    shuffled = np.random.default_rng(5).permutation(everything)
    ordered = shuffled[np.lexsort(live[shuffled].T)]
    return np.unique(np.concatenate([ordered[::5], space.single_operation_archs()]))


@cache
def networks_of(name: str) -> NDArray[np.int64]:
    """The cell that is measured for each cell of a table, ``(cells of the table,)``.

    Cells whose outputs need the same layers are the same network in every compiled format, which is measured once.
    PyTorch runs all edges, so every cell is a network of its own there.
    """
    cells = cells_of(name)
    if configuration(name).runtime == "torch":
        return cells
    first: dict[tuple[int, ...], int] = {}
    return np.array([first.setdefault(space.live_ops(arch), arch) for arch in cells.tolist()])


def measure_pass(
    name: str, number: int, *, n_jobs: int = -1, progress: bool = True, folder: Path | None = None
) -> None:
    """Measure one pass of a table; an interrupted pass continues.

    Parameters
    ----------
    name
        One of `data.BENCHMARKED`, or the name of a blind sample.
    number
        0 for the first pass. The others need it to be complete.
    n_jobs
        Measuring processes, each with cores of its own; −1 for as many as there are cores.
    progress
        Show a progress bar, on a terminal and in notebooks.
    folder
        Where finished chunks are kept; ``build/benchmarked`` if not given.

    Raises
    ------
    CannotMeasure
        If the runtime does not work on this machine.
    """
    wanted = configuration(name)
    wanted.check()
    chunks = _chunks(name, number, folder)
    missing = {file: chunk for file, chunk in chunks.items() if _read(file, chunk) is None}
    total = sum(map(len, chunks.values()))
    with tqdm(total=total, desc=f"{name}, pass {number}", unit=" cells", disable=None if progress else True) as shown:
        shown.update(total - sum(map(len, missing.values())))
        for measured in _measure_chunks(missing, wanted, number, n_jobs):
            shown.update(measured)


def passes(name: str) -> int:
    """Number of passes: three for a table of all cells, two for a sample."""
    return 3 if name in BENCHMARKED else 2


def again(name: str, folder: Path | None = None) -> NDArray[np.int64]:
    """NATS indices of the cells that are measured in every pass, by the first pass."""
    rows = _rows(name, 0, folder)
    archs = np.array(sorted(rows))
    latency = np.array([rows[arch].latency_ms for arch in archs.tolist()])
    doubtful = np.array([rows[arch].doubtful or rows[arch].preempted > 0.5 for arch in archs.tolist()])
    works = np.isfinite(latency)
    slowest = latency >= np.quantile(latency[works], 1 - SLOWEST)
    unexplained = np.zeros(len(archs), dtype=bool)
    unexplained[works] = latency[works] > UNEXPLAINED * robust_fit(archs[works], latency[works])
    chosen = archs[works & (slowest | unexplained | doubtful)]
    single = networks_of(name)[np.isin(cells_of(name), space.single_operation_archs())]
    return np.unique(np.concatenate([chosen, single, control(name)]))


def control(name: str) -> NDArray[np.int64]:
    """NATS indices of the random cells that are measured in every pass: 500, in a sample 300."""
    return np.random.default_rng(1).permutation(np.unique(networks_of(name)))[: 500 if name in BENCHMARKED else 300]


def robust_fit(archs: NDArray[np.int64], latency_ms: NDArray[np.float64]) -> NDArray[np.float64]:
    """Latencies that a robust model of the operations predicts, ``(n,)`` in ms; single outliers do not change it.

    A linear model of the operations that the output needs, edge by edge, and of pairs of their counts, by least squares
    with Tukey's biweights.
    """
    live = np.array([space.live_ops(arch) for arch in archs.tolist()])
    one_hot = (live[:, :, None] == np.arange(space.N_OPERATIONS)).astype(np.float64)
    counts = one_hot.sum(axis=1)
    pairs = counts[:, :, None] * counts[:, None, :]
    design = np.column_stack([np.ones(len(live)), one_hot.reshape(len(live), -1), pairs.reshape(len(live), -1)])
    weights = np.ones(len(live))
    for _ in range(20):
        root = np.sqrt(weights)
        fit = design @ np.linalg.lstsq(design * root[:, None], latency_ms * root, rcond=None)[0]
        residual = latency_ms - fit
        scale = 4.685 * max(1.4826 * float(np.median(np.abs(residual))), 1e-6 * float(np.median(latency_ms)))
        weights = np.clip(1 - (residual / scale) ** 2, 0, None) ** 2
    return np.maximum(fit, latency_ms.min())


def write_table(name: str, *, folder: Path | None = None, out: Path | None = None) -> Path:
    """Write a table and its metadata from finished passes.

    Parameters
    ----------
    name, folder
        See `measure_pass`.
    out
        The table, ``….npz``; the package's own if not given. The metadata is in ``….json`` beside it.

    Returns
    -------
    Path
        The table. ``latency_ms``: ``(15625,)``, the median of a cell's readings, the lower one of two; infinite where
        it failed, NaN where it is not in the table. ``readings_ms, reference_ms``: ``(passes, 15625)``, readings
        corrected for the machine's drift (see `drift`), and the reference of their chunk. The others are ``(15625,)``,
        of the first pass; ``stable``: whether the latency is.

    Raises
    ------
    FileNotFoundError
        If a pass is not complete.
    """
    cells = cells_of(name)
    shape = (passes(name), space.N_ARCHS)
    raw, reference = np.full(shape, np.nan), np.full(shape, np.nan)
    doubtful = np.zeros(space.N_ARCHS, dtype=bool)
    columns = {key: np.full(space.N_ARCHS, np.nan) for key in ("spread", "preempted", "runs", "seconds")}
    failures, where = {}, set()
    seconds, dates = 0.0, []
    for number in range(passes(name)):
        for arch, row in _rows(name, number, folder).items():
            raw[number, arch], reference[number, arch] = row.latency_ms, row.reference_ms
            seconds += row.seconds
            where.add(row.machine)
            if number == 0:
                doubtful[arch] = row.doubtful
                for key, values in columns.items():
                    values[arch] = getattr(row, key)
            if row.reason:
                failures[str(arch)] = row.reason
        dates += [datetime.date.fromtimestamp(file.stat().st_mtime) for file in _chunks(name, number, folder)]
    if len(where) != 1:
        raise ValueError(f"{name} was measured on several machines, {sorted(where)}: delete the chunks of all but one")
    random = control(name)
    correction = drift.fit(raw[:, random], reference[:, random])
    readings = drift.corrected(raw, reference, correction.exponent)
    latency = _combined(readings)
    works = np.isfinite(latency)
    stable = np.where(np.isfinite(readings).sum(axis=0) > 1, _agree(readings), ~doubtful)
    table = {"latency_ms": latency, "readings_ms": readings, "reference_ms": reference, **columns, "stable": stable}
    measured = np.unique(networks_of(name))
    metadata = _metadata(name, sorted(where)[0]) | {
        "dates": sorted({date.isoformat() for date in dates}),
        "cells": len(cells),
        "networks": len(measured),
        "measured_again": int(np.isfinite(readings[1:]).any(axis=0).sum()),
        "changed_by_more_than_a_quarter": int((np.abs(readings[0, works] / latency[works] - 1) > 0.25).sum()),
        "failed": failures,
        "doubtful_in_the_first_pass": int(doubtful.sum()),
        "unstable": int((~stable[measured]).sum()),
        "core_seconds": round(seconds * configuration(name).threads, 1),
        "drift": dataclasses.asdict(correction),
        "repeatability": repeatability.agreement(readings[0, random], readings[1, random], random),
    }
    if name not in BENCHMARKED:
        metadata["blind"] = (
            "No search was run on this table, and no result on it was looked at, before the design of the controller "
            "that follows was fixed."
        )
    out = out or paths.TABLES / f"latency_{name}.npz"
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **{key: _spread_over(value, name) for key, value in table.items()})  # type: ignore[arg-type]
    replace(out, buffer.getvalue())
    replace(out.with_suffix(".json"), (json.dumps(metadata, indent=2, ensure_ascii=False) + "\n").encode())
    return out


def _spread_over(values: NDArray[np.generic], name: str) -> NDArray[np.float32]:
    """A column ``(…, 15625)`` with the values of each network for all its cells; NaN for cells outside of the table."""
    column = np.full(values.shape, np.nan, dtype=np.float32)
    column[..., cells_of(name)] = values[..., networks_of(name)]
    return column


def _combined(readings: NDArray[np.float64]) -> NDArray[np.float64]:
    """Median of a cell's finite readings, ``(cells,)``, the lower one of two; inf: all failed, NaN: none.

    Of two readings the lower one counts because disturbances make a network slower, not faster.
    """
    ordered = np.sort(np.where(np.isfinite(readings), readings, np.inf), axis=0)
    n = np.isfinite(readings).sum(axis=0)
    combined = ordered[np.maximum(n - 1, 0) // 2, np.arange(readings.shape[1])]
    return np.where(np.isnan(readings).all(axis=0), np.nan, combined)


def _agree(readings: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether the two closest readings of each cell are within `timing.WIDEST` of each other, ``(cells,)``."""
    ordered = np.sort(np.log(np.where(np.isfinite(readings), readings, np.nan)), axis=0)
    closest = np.nan_to_num(np.diff(ordered, axis=0), nan=np.inf).min(axis=0)
    return closest <= timing.WIDEST


def _chunks(name: str, number: int, folder: Path | None) -> dict[Path, NDArray[np.int64]]:
    """Files of the chunks of a pass, and their cells; the name of a file tells which cells are in it."""
    cells = np.unique(networks_of(name)) if number == 0 else again(name, folder)
    folder = (folder or paths.BUILD / "benchmarked") / name / f"pass-{number}"
    shuffled = np.random.default_rng(number).permutation(cells)  # drift then affects all kinds of cells alike
    length = _chunk(name)
    chunks = np.split(shuffled, range(length, len(shuffled), length))
    return {folder / f"{chunk[0]:05}-{len(chunk)}-{int(chunk.sum())}.json": chunk for chunk in chunks}


def _chunk(name: str) -> int:
    """Number of cells in a chunk."""
    return CHUNK * RUNTIMES[configuration(name).runtime].rounds // timing.ROUNDS


def _read(file: Path, chunk: NDArray[np.int64]) -> list[Measurement] | None:
    """Measurements of a finished chunk; None if it is missing or damaged."""

    def parse(content: bytes) -> list[Measurement]:
        found = [Measurement(**row) for row in json.loads(content)]
        if [one.arch for one in found] != chunk.tolist():
            raise ValueError("it has other cells")
        return found

    return read_kept(file, parse)


def _rows(name: str, number: int, folder: Path | None) -> dict[int, Measurement]:
    """Measurements of a finished pass, by cell."""
    rows: dict[int, Measurement] = {}
    for file, chunk in _chunks(name, number, folder).items():
        found = _read(file, chunk)
        if found is None:
            raise FileNotFoundError(f"pass {number} of {name} is not complete: run `make own-devices`")
        rows |= {one.arch: one for one in found}
    return rows


def _measure_chunks(
    chunks: dict[Path, NDArray[np.int64]], wanted: Configuration, seed: int, n_jobs: int
) -> Iterator[int]:
    """Measure chunks and write them; yields the number of cells of each.

    Threads are enough here, because the measuring processes are separate. They end with this process.
    """
    n_workers = max(1, min(joblib.effective_n_jobs(n_jobs), len(cores.usable_cores()) // wanted.threads))
    with contextlib.ExitStack() as stack:
        idle: queue.SimpleQueue[Worker] = queue.SimpleQueue()
        for _ in range(n_workers):
            idle.put(stack.enter_context(Worker(wanted)))

        def measure_chunk(file: Path, chunk: NDArray[np.int64]) -> int:
            worker = idle.get()
            try:
                found = worker.measure(chunk.tolist(), seed)
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


def _metadata(name: str, where: Sequence[Any]) -> dict[str, Any]:
    """How a table was measured."""
    rounds = RUNTIMES[configuration(name).runtime].rounds
    wanted = dataclasses.asdict(configuration(name))
    del wanted["cores"]
    return {
        "device": name,
        **wanted,
        "image": f"3×{SIZE}×{SIZE}, noise; {N_CLASSES} classes; weights at initialisation",
        "machine": provenance.machine() | {"processor": where[1]},
        "versions": dict(where[2]),
        "commit": provenance.commit(),
        "method": (
            f"interleaved timing: each of {rounds} rounds times {_chunk(name)} cells and the reference, cell "
            f"{REFERENCE}, in random order; a round is at least {timing.RUNS} runs and {timing.ROUND_MS:g} ms that are "
            "not preempted, after one run that is not timed; a reading is the median over rounds of a round's median; "
            f"where the relative spread is above {timing.WIDEST:g}, or rounds are disturbed, as many rounds follow, up "
            f"to {timing.REPEATS} times; one core for each thread. {passes(name)} passes at different times: the first "
            "measures all networks (cells with the same layers are one), the others again the slowest "
            f"{100 * SLOWEST:g} %, those above {UNEXPLAINED:g} times a robust fit, doubtful ones, the five of one "
            f"operation, and {len(control(name))} random ones. Readings are scaled by the reference's median over its "
            "latency in their chunk, to the power of an exponent (simmore/hardware/drift.py); latency_ms is a median."
        ),
        "columns": {
            "latency_ms": "ms, median of the readings, the lower one of two; infinite: failed; NaN: not in the table",
            "readings_ms": f"ms, of {passes(name)} passes, scaled by the reference; NaN: not measured in this pass",
            "reference_ms": "ms, of the reference beside each reading",
            "spread": "relative, in the first pass: 1.48 median absolute deviations of the rounds over the latency",
            "preempted": "share of preempted runs in the first pass",
            "runs": "timed in the first pass",
            "stable": f"1 if two readings are within {timing.WIDEST:g}, or a single one is stable and not disturbed",
            "seconds": "duration of the first measurement, compiling included",
        },
    }
