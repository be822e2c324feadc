"""Latencies that users bring as a CSV, one row per measurement.

- The first row names the columns. ``arch`` is a NATS index, NATS-Bench's string, or six digits (`space.to_arch`).
  ``latency_ms``, ``latency_s``, ``latency_us`` or ``latency_ns`` is the latency in that unit; ``latency`` is taken as
  ms. Other columns are ignored.
- A cell that did not compile or run has the latency ``failed``, an empty field, ``-1``, ``inf`` or ``nan``. They all
  mean the same.
- The file need not hold all cells. Several rows of a cell are combined by the median of their finite latencies.
- Columns are separated by commas, semicolons or tabs. Decimals have a point, or a comma where that is not the
  separator. A file whose commas may all separate thousands, as in ``1,000``, is refused. The text is UTF-8, plain or
  compressed by gzip.

An `InputWarning` says what was ignored, combined or assumed. Anything else is refused with the row and what to do.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import math
import re
import warnings
import zlib
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simmore import files, space
from simmore.errors import DataError, InputWarning

MAX_CSV_BYTES = 50_000_000  # also when it is decompressed
MAX_ROWS = 1_000_000
MIN_MS, MAX_MS = 1e-9, 1e9  # a latency outside has a wrong unit; 1e9 ms are 11 days

_MS_PER_UNIT = {"latency_ms": 1.0, "latency_s": 1e3, "latency_us": 1e-3, "latency_ns": 1e-6, "latency": 1.0}
_FAILED = ("failed", "", "-1", "inf", "+inf", "infinity", "nan")
_CONVERT = "save its latencies as a CSV with the columns arch,latency_ms"
_OTHER_FORMATS = (  # first bytes of files that are no CSV, what they are, and what to do
    (
        (b"\x80", b"(dp", b"(lp", b"}q\0", b"]q\0"),
        "a pickle",
        "read HW-NAS-Bench's file with simmore.hw_nas_bench, whose help shows how to save a device as a CSV; from any "
        f"other pickle, {_CONVERT}",
    ),
    ((b"BZh",), "compressed by bzip2", "read a NATS-Bench archive with simmore.nats_archive, and decompress a CSV"),
    ((b"\xfd7zXZ", b"\x28\xb5\x2f\xfd"), "compressed by another program than gzip", "decompress it, or use gzip"),
    ((b"PK\3\4",), "a zip archive, such as .xlsx or .npz", _CONVERT),
    ((b"\xd0\xcf\x11\xe0",), "an Excel file", _CONVERT),
    ((b"\x93NUMPY",), "a numpy array", _CONVERT),
    ((b"\x89HDF", b"PAR1"), "HDF5 or Parquet", _CONVERT),
    ((b"{", b"["), "JSON", _CONVERT),
)


def latency_csv(path: str | Path) -> NDArray[np.float64]:
    """Read a CSV as a table of all cells; the module's text describes the file.

    Returns
    -------
    (cells,) float64
        Latency in ms, in NATS order; NaN for a cell that is not in the file, inf for one that failed.

    Raises
    ------
    DataError
        As in `measured_csv`.
    """
    readings: dict[int, list[float]] = {}
    for arch, latency in zip(*measured_csv(path), strict=True):
        readings.setdefault(int(arch), []).append(float(latency))
    table = np.full(space.N_ARCHS, np.nan)
    for arch, each in readings.items():
        table[arch] = np.median([value for value in each if value < math.inf] or math.inf)
    return table


def measured_csv(path: str | Path) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Read a CSV as measurements in order (none: a header only); the module's text describes the file.

    Returns
    -------
    archs : (n,) int64
        NATS indices of the measured cells, one per row; a cell may appear more than once.
    latency_ms : (n,) float64
        Latency in ms; inf for a cell that failed.

    Raises
    ------
    DataError
        If the file is missing or is not such a table. The message names the row (the line in the file, starting with
        1 for the header), the value and what to do.

    Warns
    -----
    InputWarning
        For each thing in the file that was ignored, combined or assumed.
    """
    file = Path(path)
    notes: list[str] = []
    table = _table(file, notes)
    archs, latency_ms = _archs(file, table.rows), _milliseconds(file, table, notes)
    if repeated := sum(n > 1 for n in Counter(archs).values()):
        notes.append(
            f"{_count(repeated, 'cell has', 'cells have')} several rows, combined by the median of the finite latencies"
        )
    for note in notes:
        warnings.warn(f"{file}: {note}.", InputWarning, stacklevel=2)
    return np.array(archs, dtype=np.int64), np.array(latency_ms, dtype=np.float64)


class _Row(NamedTuple):
    """A row that is not blank: its first line in the file, and its text."""

    line: int
    arch: str
    latency: str


class _Table(NamedTuple):
    """The rows of a file, the name of the column of latencies, and what separates columns."""

    rows: list[_Row]
    unit: str
    separator: str


def _table(file: Path, notes: list[str]) -> _Table:
    """The rows of a file as text; notes what the header says."""
    text = _text(file)
    first = next(io.StringIO(text[:10_000], newline=None), "")
    separator = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True)
    rows, line = [], 1
    try:
        header = [name.strip().lower() for name in next(reader, [])]
        arch, latency = _columns(file, header, notes)
        line = reader.line_num + 1
        for row in reader:
            if line > MAX_ROWS:
                raise DataError(f"{file} has more than {MAX_ROWS:,} rows: give one row per cell.")
            if any(map(str.strip, row)):
                if reader.line_num > line:
                    raise DataError(f"{file}, row {line}: a quoted field has several lines: close its quote.")
                if len(row) != len(header):
                    raise DataError(
                        f"{file}, row {line}: {len(row)} fields, but {len(header)} in the first row: separate columns "
                        "as in the first row, and write decimals with a point."
                    )
                rows.append(_Row(line, row[arch].strip(), row[latency].strip()))
            line = reader.line_num + 1
    except csv.Error as error:
        raise DataError(f"{file}, row {line}: {error}: save it again as CSV UTF-8.") from None
    return _Table(rows, header[latency], separator)


def _columns(file: Path, header: list[str], notes: list[str]) -> tuple[int, int]:
    """Places of the two columns that are read; notes the others, except pandas's unnamed index."""
    for what, names in (("arch", ["arch"]), ("latency_ms", list(_MS_PER_UNIT))):
        found = [name for name in header if name in names]
        if len(found) != 1:
            raise DataError(
                f"{file}, row 1: {f'more than one column {what!r}' if found else f'no column {what!r}'} among "
                f"{', '.join(header)[:200]!r}: name one column arch, and one latency_ms, latency_s, latency_us or "
                "latency_ns, such as arch,latency_ms."
            )
        if what == "latency_ms":
            unit = found[0]
    if unit == "latency":
        notes.append("the column 'latency' is taken as milliseconds; name it latency_ms, or latency_s for seconds")
    ignored = [name for name in header if name not in ("arch", unit) and not re.fullmatch(r"|unnamed: \d+", name)]
    if ignored:
        notes.append(f"ignored {_count(len(ignored), 'column', 'columns')} {', '.join(ignored)[:200]}")
    return header.index("arch"), header.index(unit)


def _text(file: Path) -> str:
    """Content of a CSV file as text."""
    content = files.read(file, MAX_CSV_BYTES, "a CSV with the columns arch,latency_ms")
    if content.startswith(b"\x1f\x8b"):
        try:
            with gzip.open(io.BytesIO(content)) as stream:
                content = stream.read(MAX_CSV_BYTES + 1)
        except (OSError, EOFError, zlib.error) as error:
            raise DataError(f"{file} is truncated or altered ({error}): compress the CSV again.") from None
        if len(content) > MAX_CSV_BYTES:
            raise DataError(f"{file} unpacks to more than {MAX_CSV_BYTES // 10**6} MB: give a CSV of one device.")
    start = content[:64].removeprefix(codecs.BOM_UTF8).lstrip()
    for magic, what, remedy in _OTHER_FORMATS:
        if start.startswith(magic):
            raise DataError(f"{file} is not a CSV but {what}: {remedy}.")
    if b"\0" in content:
        row = content.count(b"\n", 0, content.index(b"\0")) + 1
        raise DataError(f"{file}, row {row}: a NUL byte, so this is not text in UTF-8: save it as CSV UTF-8.")
    try:
        return content.decode("utf-8-sig")  # spreadsheets start a file with a byte order mark
    except UnicodeDecodeError as error:
        row = content.count(b"\n", 0, error.start) + 1
        raise DataError(f"{file}, row {row}: this is not text in UTF-8: save it as CSV UTF-8.") from None


def _archs(file: Path, rows: list[_Row]) -> list[int]:
    """NATS index of each row. The file as a whole says whether its numbers are indices or six digits."""
    texts = [re.sub(r"^([0-9]+)\.0*$", r"\1", row.arch) for row in rows]  # spreadsheets write an index as 12.0
    six = [place for place, text in enumerate(texts) if re.fullmatch("[0-4]{6}", text)]
    shorter = [place for place, text in enumerate(texts) if re.fullmatch("[0-9]{1,5}", text)]
    if six and shorter:
        raise DataError(
            f"{file}, row {rows[shorter[0]].line}: {texts[shorter[0]]!r} is an index, or six digits that lost their "
            f"leading zeros, because row {rows[six[0]].line} has the six digits {texts[six[0]]!r}: write all cells as "
            "indices, or all as NATS-Bench's strings."
        )
    if any(int(texts[place]) >= space.N_ARCHS for place in six):  # then those with leading zeros are digits too
        for place in six:
            texts[place] = f"({','.join(texts[place])})"
    archs = []
    for row, text in zip(rows, texts, strict=True):
        try:
            archs.append(space.to_arch(text))
        except ValueError as error:
            raise DataError(f"{file}, row {row.line}: {error}.") from None
    return archs


def _milliseconds(file: Path, table: _Table, notes: list[str]) -> list[float]:
    """Latency of each row in ms; inf where the cell failed."""
    rows = table.rows
    commas = [row for row in rows if "," in row.latency and table.separator != ","]
    points = [row for row in rows if "." in row.latency]
    if commas and points:
        raise DataError(
            f"{file}, rows {commas[0].line} and {points[0].line}: the latencies {commas[0].latency[:40]!r} and "
            f"{points[0].latency[:40]!r} have a comma and a point: write all decimals with a point, and no separator "
            "of thousands."
        )
    thousands = [row for row in commas if re.fullmatch(r"[1-9][0-9]{0,2},[0-9]{3}", row.latency)]
    if thousands:
        first = f"row {thousands[0].line}: the comma in the latency {thousands[0].latency!r}"
        if len(thousands) == len(commas):
            raise DataError(
                f"{file}, {first} may be a decimal comma or separate thousands: write decimals with a point, and no "
                "separator of thousands."
            )
        notes.append(f"{first} is read as a decimal point, because other rows have decimal commas")
    if empty := sum(not row.latency for row in rows):
        notes.append(
            f"{_count(empty, 'row has', 'rows have')} no latency, which means that the cell failed; leave out cells "
            "that were not measured"
        )
    found = []
    for row in rows:
        try:
            found.append(_latency(row.latency, _MS_PER_UNIT[table.unit], "," if commas else "."))
        except ValueError as error:
            raise DataError(f"{file}, row {row.line}: {error}.") from None
    return found


def _latency(text: str, ms_per_unit: float, point: str) -> float:
    """Latency in ms from a field, inf for a cell that failed; a ValueError says what is wrong with it."""
    if text.lower() in _FAILED:
        return math.inf
    try:
        value = (
            float(text.replace(point, ".")) if "_" not in text else math.nan
        )  # Python reads 1_000, but a table does not mean it
    except ValueError:
        value = math.nan
    if value == -1:
        return math.inf
    if not math.isfinite(value):
        raise ValueError(
            f"the latency {text[:40]!r} is not a finite number: give a number, such as 12.5, or failed for a cell "
            "that did not compile or run"
        )
    ms = value * ms_per_unit
    if ms <= 0:
        raise ValueError(f"the latency {text[:40]} is not positive: give a number, such as 12.5, or failed")
    if not MIN_MS <= ms <= MAX_MS:
        raise ValueError(
            f"the latency {text[:40]} is {ms:g} ms, which is impossible: check the unit in the column's name"
        )
    return ms


def _count(number: int, one: str, several: str) -> str:
    """A number of things in words."""
    return f"{number:,} {one if number == 1 else several}"
