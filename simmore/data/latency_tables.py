"""Latencies: measured tables of all cells, and per-operation latencies of the paper's devices."""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from simmore import space
from simmore.data.arrays import load_columns, read_only
from simmore.data.pickles import torch_list
from simmore.data.registry import BENCHMARKED, BLIND, MEASURED, fetch
from simmore.errors import DataError, TableMissing

if TYPE_CHECKING:
    import pandas as pd


@cache
def latency_table(device: str) -> NDArray[np.float64]:
    """Measured latency of all cells on one device: ``(cells,)`` in ms, read-only.

    Parameters
    ----------
    device
        One of `MEASURED` (the number after the name of a GPU is the batch size; phones report whole milliseconds),
        or one of `BENCHMARKED`, the runtimes that this project measured (infinite for a cell that failed), or one of
        `BLIND`, of which this project measured a sample of the cells (NaN for the others).

    Raises
    ------
    TableMissing
        If the table is unknown, or neither here nor downloadable.
    DataError
        If the file is altered.

    Notes
    -----
    Source: Lee et al. (2021), *HELP*; raspi4, pixel3, eyeriss and fpga: Li et al. (2021), *HW-NAS-Bench*.
    """
    if device in MEASURED:
        return read_only(np.array(torch_list(fetch(f"latency/{device}")), dtype=np.float64))
    if device not in (*BENCHMARKED, *BLIND):
        known = ", ".join((*MEASURED, *BENCHMARKED, *BLIND))
        raise TableMissing(f"There is no measured table of {device!r}: choose one of {known}.")
    file = fetch(f"latency/{device}")
    remedy = "restore it with git, or measure it again with `make own-devices`"
    latency_ms = load_columns(file, remedy)["latency_ms"].astype(np.float64)
    absent = np.isnan(latency_ms) & (device in BLIND)  # not in the sample
    if not ((latency_ms > 0) | absent).all() or not np.isfinite(latency_ms).any():
        raise DataError(f"{file} does not hold {space.N_ARCHS} positive latencies: {remedy}.")
    return read_only(latency_ms)


def benchmark_metadata(device: str) -> dict[str, Any]:
    """How one of `BENCHMARKED` or `BLIND` was measured: machine, versions, date, method, repeatability.

    Raises
    ------
    DataError
        If the file beside the table is missing or damaged.
    """
    file = fetch(f"latency/{device}").with_suffix(".json")
    try:
        return dict(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise DataError(f"{file} does not hold a benchmark's metadata ({error}): restore it with git.") from error


def device_operations() -> pd.DataFrame:
    """Latency of each operation on the paper's 18 devices, ``(18, 5)`` in ms.

    Returns
    -------
    DataFrame
        Index ``device``; columns ``none, skip_connect, nor_conv_1x1, nor_conv_3x3, avg_pool_3x3``.

    Raises
    ------
    DataError
        If the file is damaged.

    Notes
    -----
    One sixth of the latency of the cell whose six operations are all the same, from the measured tables of Lee et
    al. (2021) and Li et al. (2021). The values of edgegpu are published by the paper's authors.
    """
    import pandas as pd

    file = fetch("device_operations")
    try:
        table = pd.read_csv(file, index_col="device")[list(space.OPERATIONS)].astype(np.float64)
    except (ValueError, KeyError) as error:
        raise DataError(f"{file} is not a table of operations ({error}): restore it with git.") from error
    values = table.to_numpy()
    wrong = ~(np.isfinite(values) & (values > 0)).all(axis=1) | table.index.duplicated()
    if wrong.any():
        rows = ", ".join(map(str, table.index[wrong]))
        raise DataError(f"{file}, {rows}: latencies must be positive, and devices unique: restore it with git.")
    return table
