"""Latencies that users bring as a CSV with the columns ``arch,latency_ms``, one row per measurement.

``arch`` is a NATS index, six digits, or a cell's string. ``latency_ms`` is a positive number of milliseconds, or
``failed`` for a cell that did not compile or run. Further columns are ignored.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from simmore import files, space
from simmore.errors import DataError

MAX_CSV_BYTES = 50_000_000


def latency_csv(path: str | Path) -> NDArray[np.float64]:
    """Read the latencies of all cells, one row per cell, in any order.

    Parameters
    ----------
    path
        The file, in UTF-8.

    Returns
    -------
    (cells,) float64
        Latency in ms, in NATS order; inf for a cell that failed.

    Raises
    ------
    DataError
        If the file is missing, is not such a table, or lacks a cell. The message names the row (the line in the
        file, starting with 1 for the header) and what to do.
    """
    file = Path(path)
    line_of_arch = np.zeros(space.N_ARCHS, dtype=np.int64)  # 0: not yet read
    table = np.empty(space.N_ARCHS)
    for line, arch, latency_ms in _measurements(file):
        if first := line_of_arch[arch]:
            raise DataError(f"{file}, row {line}: cell {arch} was given in row {first} already: keep one of them.")
        line_of_arch[arch] = line
        table[arch] = latency_ms
    missing = np.flatnonzero(line_of_arch == 0)
    if missing.size:
        first_missing = ", ".join(map(str, missing[:5])) + (", …" if missing.size > 5 else "")
        raise DataError(
            f"{file} lacks {missing.size:,} of the {space.N_ARCHS:,} cells (NATS indices {first_missing}): "
            "measure or predict them, and add their rows."
        )
    return table


def measured_csv(path: str | Path) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Read measurements that were taken by hand, of any number of cells (none: a header only).

    Parameters
    ----------
    path
        The file, in UTF-8. A cell may have several rows.

    Returns
    -------
    archs : (n,) int64
        NATS indices of the measured cells, in the order of their first rows.
    latency_ms : (n,) float64
        Latency in ms: the median of the cell's numbers, or inf if it only failed.

    Raises
    ------
    DataError
        If the file is missing or is not such a table, as in `latency_csv`.
    """
    rows: dict[int, list[float]] = {}
    for _, arch, latency_ms in _measurements(Path(path)):
        rows.setdefault(arch, []).append(latency_ms)
    medians = [np.median([value for value in each if value < np.inf] or np.inf) for each in rows.values()]
    return np.array(list(rows), dtype=np.int64), np.array(medians, dtype=np.float64)


def _measurements(file: Path) -> Iterator[tuple[int, int, float]]:
    """``(line, arch, latency_ms)`` of each row that is not blank; inf: the cell failed."""
    for line, cell, latency in _rows(file):
        try:
            yield line, space.to_arch(cell), _milliseconds(latency)
        except ValueError as error:
            raise DataError(f"{file}, row {line}: {error}.") from None


def _rows(file: Path) -> Iterator[tuple[int, str, str]]:
    """``(line, arch, latency)`` of each row that is not blank, as text."""
    reader = csv.reader(io.StringIO(_text(file), newline=""), skipinitialspace=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        for name in ("arch", "latency_ms"):
            if header.count(name) != 1:
                how = "no column" if name not in header else "more than one column"
                raise DataError(
                    f"{file}, row 1: {how} {name!r} among {', '.join(header)[:200]!r}: the first row must "
                    "name the columns arch,latency_ms, separated by a comma."
                )
        arch, latency = header.index("arch"), header.index("latency_ms")
        for row in reader:
            if not any(map(str.strip, row)):
                continue
            if len(row) != len(header):
                raise DataError(
                    f"{file}, row {reader.line_num}: {len(row)} fields, but {len(header)} in the first row: "
                    "separate them by one comma, and write decimals with a point."
                )
            yield reader.line_num, row[arch].strip(), row[latency].strip()
    except csv.Error as error:
        raise DataError(f"{file}, row {reader.line_num}: {error}: save it again as CSV UTF-8.") from None


def _text(file: Path) -> str:
    """Content of a CSV file as text."""
    content = files.read(file, MAX_CSV_BYTES, "a CSV with the columns arch,latency_ms")
    if b"\0" in content:
        row = content.count(b"\n", 0, content.index(b"\0")) + 1
        raise DataError(f"{file}, row {row}: a NUL byte, so this is not text in UTF-8: save it as CSV UTF-8.")
    try:
        return content.decode("utf-8-sig")  # spreadsheets start a file with a byte order mark
    except UnicodeDecodeError as error:
        row = content.count(b"\n", 0, error.start) + 1
        raise DataError(f"{file}, row {row}: this is not text in UTF-8: save it as CSV UTF-8.") from None


def _milliseconds(text: str) -> float:
    """Latency in ms from a field, inf for `failed`; a ValueError says what is wrong with it."""
    if text.lower() == "failed":
        return math.inf
    if not text:
        raise ValueError("no latency: give milliseconds or failed, or leave the whole row out")
    try:
        value = float(text) if "_" not in text else math.nan  # Python reads 1_000, but a table does not mean it
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(
            f"the latency {text[:40]!r} is not a finite number: give milliseconds, such as 12.5, or failed"
        )
    if value <= 0:
        raise ValueError(f"the latency {text[:40]} is not positive: give milliseconds, such as 12.5")
    return value
