"""Does measuring twice give the same order? The same cells, twice, in every runtime."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from simmore import paths, space
from simmore.files import replace
from simmore.hardware.measure import Worker
from simmore.hardware.runtimes import RUNTIMES, Configuration

CELLS = 50
TOGETHER = 25  # cells that take turns
TABLE = paths.TABLES / "repeatability.csv"


def measured_twice(wanted: Configuration, cells: NDArray[np.int64] | None = None, n: int = CELLS) -> pd.DataFrame:
    """Measure random cells twice, by two measuring processes, one after the other, in another order.

    Parameters
    ----------
    wanted
        Runtime, precision, threads and batch.
    cells
        NATS indices to draw from; all if None.
    n
        How many are drawn.

    Returns
    -------
    DataFrame
        By ``arch``: ``first_ms``, ``second_ms``; infinite where a cell failed.
    """
    rng = np.random.default_rng(1)
    drawn = rng.permutation(np.arange(space.N_ARCHS) if cells is None else cells)[:n]
    columns = {name: _measured_anew(wanted, rng.permutation(drawn)) for name in ("first_ms", "second_ms")}
    return pd.DataFrame(columns, index=pd.Index(drawn, name="arch"))


def agreement(twice: pd.DataFrame) -> dict[str, float]:
    """How alike two measurements of the same cells are.

    Returns
    -------
    dict
        ``cells`` that were measured both times, ``kendall`` between the two, and the ``median_difference``, relative.
    """
    both = twice[np.isfinite(twice).all(axis=1)]
    first, second = both["first_ms"].to_numpy(), both["second_ms"].to_numpy()
    return {
        "cells": len(both),
        "kendall": round(float(stats.kendalltau(first, second).statistic), 4),
        "median_difference": round(float(np.median(np.abs(first - second) / np.minimum(first, second))), 4),
    }


def measure_all(table: Path = TABLE) -> Iterator[Configuration]:
    """Measure twice in every runtime and precision that is not in the table yet; gives each as it is done.

    The table has ``runtime, precision`` and what `agreement` gives; it is written after each runtime.
    """
    rows = [pd.read_csv(table)] if table.exists() else []
    done = {(row.runtime, row.precision) for frame in rows for row in frame.itertuples()}
    for name, runtime in RUNTIMES.items():
        for precision in runtime.precisions:
            if (name, precision) in done:
                continue
            wanted = Configuration(name, precision)
            rows.append(pd.DataFrame([{"runtime": name, "precision": precision, **agreement(measured_twice(wanted))}]))
            replace(table, pd.concat(rows).to_csv(index=False, lineterminator="\n").encode())
            yield wanted


def _measured_anew(wanted: Configuration, cells: NDArray[np.int64]) -> dict[int, float]:
    """Latencies by cell, from a measuring process of its own."""
    with Worker(wanted) as worker:
        found = [
            one
            for first in range(0, len(cells), TOGETHER)
            for one in worker.measure(cells[first : first + TOGETHER].tolist())
        ]
    return {one.arch: one.latency_ms for one in found}
