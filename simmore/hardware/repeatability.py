"""Repeatability: the same cells, measured twice by different processes, in every runtime."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from simmore import paths, space
from simmore.files import replace
from simmore.hardware.runtimes import RUNTIMES, Configuration
from simmore.hardware.worker import Worker

CELLS = 50
CHUNK = 25  # cells that are timed together, here and in `benchmarked`
TABLE = paths.TABLES / "repeatability.csv"


def agreement(wanted: Configuration, cells: NDArray[np.int64]) -> dict[str, float]:
    """Measure random cells twice, by two processes, one after the other and in another order, and compare.

    Parameters
    ----------
    wanted
        Runtime, precision, threads and batch.
    cells
        NATS indices; `CELLS` of them are drawn.

    Returns
    -------
    dict
        See `compared`.
    """
    rng = np.random.default_rng(1)
    drawn = rng.permutation(cells)[:CELLS]
    first, second = (_measured(wanted, rng.permutation(drawn)) for _ in range(2))
    return compared(*(np.array([one[arch] for arch in drawn.tolist()]) for one in (first, second)))


def compared(first_ms: NDArray[np.float64], second_ms: NDArray[np.float64]) -> dict[str, float]:
    """Agreement of two measurements of the same cells, ``(n,)`` each in ms, infinite where a cell failed.

    Returns
    -------
    dict
        ``cells``: number measured both times; ``kendall``: rank correlation; ``median_difference``: relative.
    """
    both = np.isfinite(first_ms) & np.isfinite(second_ms)
    first, second = first_ms[both], second_ms[both]
    return {
        "cells": int(both.sum()),
        "kendall": round(float(stats.kendalltau(first, second).statistic), 4),
        "median_difference": round(float(np.median(np.abs(first - second) / np.minimum(first, second))), 4),
    }


def measure_all(table: Path = TABLE) -> Iterator[Configuration]:
    """Measure every runtime and precision that is not in the table yet; gives each one when it is done.

    The table has ``runtime, precision`` and the columns of `compared`. It is written after each runtime.
    """
    rows = [pd.read_csv(table)] if table.exists() else []
    done = {(row.runtime, row.precision) for frame in rows for row in frame.itertuples()}
    for runtime, precision in [(name, kind) for name, one in RUNTIMES.items() for kind in one.precisions]:
        if (runtime, precision) not in done:
            wanted = Configuration(runtime, precision)
            found = agreement(wanted, np.arange(space.N_ARCHS))
            rows.append(pd.DataFrame([{"runtime": runtime, "precision": precision, **found}]))
            replace(table, pd.concat(rows).to_csv(index=False, lineterminator="\n").encode())
            yield wanted


def _measured(wanted: Configuration, cells: NDArray[np.int64]) -> dict[int, float]:
    """Latencies in ms by cell, from a measuring process of its own."""
    with Worker(wanted) as worker:
        chunks = [cells[first : first + CHUNK].tolist() for first in range(0, len(cells), CHUNK)]
        return {one.arch: one.latency_ms for chunk in chunks for one in worker.measure(chunk)}
