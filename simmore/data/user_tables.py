"""Tables that come from outside, read without trusting them.

`latency_csv` reads any CSV with the columns ``arch,latency_ms``; `nats_archive` an official NATS-Bench
archive; `hw_nas_bench` HW-NAS-Bench's file. The latter two are pickles, and a pickle may run any code as it
loads: `restricted_loads` builds plain containers and numbers from one, and refuses everything else.
"""

from __future__ import annotations

import bz2
import csv
import gc
import io
import math
import pickle
import re
from collections import OrderedDict
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from simmore import space
from simmore.data.registry import DATASETS, bar
from simmore.errors import DataError, needs

if TYPE_CHECKING:
    import pandas as pd

MAX_CSV_BYTES = 50_000_000
MAX_PICKLE_BYTES = 64_000_000  # an architecture of the official archive takes 0.3 MB, its index 1.4 MB
MAX_HW_NAS_BYTES = 1_000_000_000

# pickles


class _NumberType:
    """Stands for a numpy dtype in an untrusted pickle: a number of known width, and its byte order."""

    def __init__(self, code: str, *_: object) -> None:
        if not isinstance(code, str) or not re.fullmatch(r"b1|[iu][1248]|f[248]", code):
            raise pickle.UnpicklingError(f"a number type {str(code)[:40]!r}")
        self.dtype = np.dtype(code)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.dtype = self.dtype.newbyteorder(state[1])


def _number(kind: _NumberType, raw: bytes) -> float | int | bool:
    """Give a numpy scalar of an untrusted pickle as a plain number."""
    return np.frombuffer(raw, kind.dtype, count=1).item()


class _Array:
    """Stands for a numpy array of numbers in an untrusted pickle."""

    def __init__(self, *_: object) -> None:
        self.values: NDArray[Any] = np.empty(0)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, kind, fortran, raw = state
        self.values = np.frombuffer(raw, kind.dtype).reshape(shape, order="F" if fortran else "C")

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return self.values.astype(dtype or self.values.dtype)


# What benchmark files hold beside plain containers. Each name leads to a stand-in of ours, so that none of
# numpy's own unpickling code ever sees an argument from the file.
NUMBERS: dict[tuple[str, str], Callable[..., Any]] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("numpy", "dtype"): _NumberType,
    ("numpy", "ndarray"): _Array,
}
for _module in ("numpy.core.multiarray", "numpy._core.multiarray"):
    NUMBERS[_module, "scalar"] = _number
    NUMBERS[_module, "_reconstruct"] = _Array


class _Restricted(pickle.Unpickler):
    """An unpickler that finds only the names it was given."""

    def __init__(self, file: io.BytesIO, allowed: dict[tuple[str, str], Callable[..., Any]]) -> None:
        super().__init__(file)
        self._allowed = allowed

    def find_class(self, module: str, name: str) -> Any:
        try:
            return self._allowed[module, name]
        except KeyError:
            raise _Refused(f"{module}.{name}") from None


class _Refused(Exception):
    """The name that a pickle asked for and does not get."""


def restricted_loads(
    content: bytes,
    file: str | Path = "the pickle",
    *,
    allowed: dict[tuple[str, str], Callable[..., Any]] | None = None,
) -> Any:
    """Unpickle plain containers, strings and numbers; nothing in `content` can be run.

    Parameters
    ----------
    content
        The pickle.
    file
        What error messages call it.
    allowed
        ``(module, name)`` to what stands for it; by default there are none.

    Raises
    ------
    DataError
        If the pickle asks for any other class or function, which is named, or if it is truncated or altered.
    """
    collecting = gc.isenabled()
    gc.disable()  # a table is many small lists and no rubbish: looking for some doubles the time
    try:
        return _Restricted(io.BytesIO(content), allowed or {}).load()
    except _Refused as refused:
        raise DataError(
            f"{file} asks for {refused}, which a table of numbers does not need: it may want to run code. "
            "Nothing was run; get the file again from its source, and do not open it with pickle."
        ) from None
    except Exception as error:  # damaged bytes make the unpickler raise almost anything
        raise DataError(
            f"{file} is truncated or altered ({type(error).__name__}: {error}): get it again from its source."
        ) from error
    finally:
        if collecting:
            gc.enable()


# NATS-Bench


def nats_archive(path: str | Path, *, progress: bool = True) -> pd.DataFrame:
    """Read what an official NATS-Bench archive holds of the topology space.

    `nats_bench` opens its files with plain pickle. Here each is read once, by `restricted_loads`, and only
    what that gives is handed to `nats_bench`, so that it never opens a file itself.

    Parameters
    ----------
    path
        The folder, ``NATS-tss-v1_0-3ffb9-simple``; it may hold any of the architectures.
    progress
        Show a progress bar on a terminal (all 15,625 architectures take minutes).

    Returns
    -------
    DataFrame
        One row an architecture present, by NATS index ``arch``. ``cifar10, cifar100, ImageNet16-120``:
        validation accuracy in % at 200 epochs, mean over seeds; ``params``: millions, for CIFAR-10.

    Raises
    ------
    DataError
        If there is no such folder, or a file in it is missing, damaged or asks for more than numbers.
    """
    folder = Path(path)
    if not folder.is_dir():
        what = "is a file; give the folder of the unpacked archive" if folder.exists() else "does not exist"
        raise DataError(f"{folder} {what}: a NATS-Bench archive is a folder like NATS-tss-v1_0-3ffb9-simple.")
    _check_index(folder)
    files = {int(file.name[:6]): file for file in sorted(folder.glob("[0-9]" * 6 + ".pickle.pbz2"))}
    if not files:
        raise DataError(f"{folder} holds no architecture, like 000000.pickle.pbz2: unpack it again.")
    with needs("pandas", "nats_bench"):
        import nats_bench
        import pandas as pd
    rows = [_archive_row(nats_bench.ArchResults, arch, files[arch]) for arch in bar(files, "architectures", progress)]
    return pd.DataFrame(rows, index=pd.Index(files, name="arch"), columns=[*DATASETS, "params"])


def _check_index(folder: Path) -> None:
    """Check that the archive's own numbering of the cells is the one used here."""
    file = folder / "meta.pickle.pbz2"
    if not file.is_file():
        raise DataError(f"{folder} holds no meta.pickle.pbz2: it is no NATS-Bench archive, or not all of it.")
    meta = _read_pbz2(file)
    archs = meta.get("meta_archs") if isinstance(meta, dict) else None
    if not isinstance(archs, list) or archs != list(_arch_of_string()):
        raise DataError(f"{file} does not list the {space.N_ARCHS} cells in NATS order: give a topology archive (tss).")


def _archive_row(results_class: Any, arch: int, file: Path) -> list[float]:
    """Accuracies (%) and parameters (millions) of one architecture, by nats_bench's own averaging."""
    content = _read_pbz2(file)
    try:
        results = results_class.create_from_state_dict(content["200"])
        same = _arch_of_string()[results.arch_str] == arch
        row = [results.get_metrics("cifar10-valid", "x-valid")["accuracy"]]
        row += [results.get_metrics(dataset, "x-valid")["accuracy"] for dataset in DATASETS[1:]]
        row.append(results.get_compute_costs("cifar10-valid")["params"])
        row = [float(value) for value in row]
    except Exception as error:  # nats_bench checks nothing: a wrong structure fails anywhere
        raise DataError(
            f"{file} does not hold a cell's results at 200 epochs ({type(error).__name__}: {error}): "
            "get the archive again."
        ) from error
    if not same or not all(0 <= value <= 100 for value in row):
        what = "impossible figures" if same else f"the results of another cell than {arch}"
        raise DataError(f"{file} holds {what}: get the archive again.")
    return row


def _read_pbz2(file: Path) -> Any:
    """Content of one file of an archive: bz2, of bounded size, then a pickle of numbers."""
    try:
        with bz2.open(file) as stream:
            content = stream.read(MAX_PICKLE_BYTES + 1)
    except (OSError, EOFError) as error:
        raise DataError(f"{file} is truncated or altered ({error}): get the archive again.") from error
    if len(content) > MAX_PICKLE_BYTES:
        raise DataError(f"{file} unpacks to more than {MAX_PICKLE_BYTES // 10**6} MB: get the archive again.")
    return restricted_loads(content, file, allowed=NUMBERS)


# HW-NAS-Bench


def hw_nas_bench(path: str | Path, dataset: str = "cifar10") -> dict[str, NDArray[np.float64]]:
    """Read the measured and estimated latencies of HW-NAS-Bench's file ``HW-NAS-Bench-v1_0.pickle``.

    Parameters
    ----------
    path
        The file.
    dataset
        One of `DATASETS`.

    Returns
    -------
    dict
        Device (``edgegpu, raspi4, edgetpu, pixel3, eyeriss, fpga``) to latencies ``(15625,)`` in ms, in NATS
        order; NaN where a network did not compile, which the file's EdgeTPU figures write as -1.

    Raises
    ------
    DataError
        If there is no such file, or it is damaged, of another structure, or asks for more than numbers.

    Notes
    -----
    Source: Li et al. (2021), *HW-NAS-Bench*.
    """
    file = Path(path)
    content = _read_file(file, MAX_HW_NAS_BYTES, "HW-NAS-Bench-v1_0.pickle")
    benchmark = restricted_loads(content, file, allowed=NUMBERS)
    try:
        metrics = benchmark["nasbench201"][dataset]
        columns = {str(name): values for name, values in metrics.items() if str(name).endswith("_latency")}
    except (KeyError, TypeError, AttributeError, IndexError):
        columns = {}
    if not columns:
        raise DataError(f"{file} holds no latencies under 'nasbench201', {dataset!r}: give HW-NAS-Bench's own file.")
    _check_configs(file, metrics.get("config"))
    return {name.removesuffix("_latency"): _hw_nas_column(file, name, values) for name, values in columns.items()}


def _hw_nas_column(file: Path, name: str, values: Any) -> NDArray[np.float64]:
    """Latencies ``(15625,)`` in ms of one device; EdgeTPU's -1 becomes NaN."""
    try:
        latency_ms = np.array(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"{file}: {name!r} does not hold numbers ({error}): get the file again.") from error
    if latency_ms.shape != (space.N_ARCHS,):
        raise DataError(f"{file}: {name!r} has the shape {latency_ms.shape} instead of ({space.N_ARCHS},).")
    not_compiled = (latency_ms == -1) & (name == "edgetpu_latency")
    wrong = ~(np.isfinite(latency_ms) & (latency_ms > 0) | not_compiled)
    if wrong.any():
        arch = int(wrong.argmax())
        raise DataError(f"{file}: {name!r} gives cell {arch} {latency_ms[arch]} ms: get the file again.")
    latency_ms[not_compiled] = np.nan
    return latency_ms


def _check_configs(file: Path, configs: Any) -> None:
    """Check, where the file says which cell each row is, that the rows are in NATS order."""
    if configs is None:
        return
    try:
        strings = [config["arch_str"] for config in configs]
    except (KeyError, TypeError):
        strings = []
    if strings != list(_arch_of_string()):
        raise DataError(f"{file} does not list the {space.N_ARCHS} cells in NATS order: get the file again.")


# CSV


def latency_csv(path: str | Path) -> NDArray[np.float64]:
    """Read the user's own latency table: a CSV with the columns ``arch,latency_ms``, one row a cell.

    Parameters
    ----------
    path
        The file, in UTF-8; further columns are ignored. ``arch`` is a NATS index, six digits, or a cell's
        string; ``latency_ms`` a positive number. All 15,625 cells, in any order.

    Returns
    -------
    (15625,) float64
        Latency in ms, in NATS order.

    Raises
    ------
    DataError
        If the file is missing or no such table, with the row (the line in the file, the header's being 1) and
        what to do.
    """
    file = Path(path)
    text = _csv_text(file)
    line_of_arch = np.zeros(space.N_ARCHS, dtype=np.int64)  # 0: not yet seen
    latency_ms = np.empty(space.N_ARCHS)
    for line, cell, latency in _csv_rows(file, text):
        try:
            arch = _to_arch(cell)
            latency_ms[arch] = _milliseconds(latency)
        except ValueError as error:
            raise DataError(f"{file}, row {line}: {error}.") from None
        if line_of_arch[arch]:
            first = line_of_arch[arch]
            raise DataError(f"{file}, row {line}: cell {arch} was given in row {first} already: keep one of them.")
        line_of_arch[arch] = line
    missing = np.flatnonzero(line_of_arch == 0)
    if missing.size:
        first = ", ".join(map(str, missing[:5])) + (", …" if missing.size > 5 else "")
        raise DataError(
            f"{file} lacks {missing.size:,} of the {space.N_ARCHS:,} cells (NATS indices {first}): "
            "measure or predict them, and add their rows."
        )
    return latency_ms


def _csv_text(file: Path) -> str:
    """Content of a CSV file as text."""
    content = _read_file(file, MAX_CSV_BYTES, "a CSV with the columns arch,latency_ms")
    if b"\0" in content:
        row = content.count(b"\n", 0, content.index(b"\0")) + 1
        raise DataError(f"{file}, row {row}: a NUL byte, so this is no text in UTF-8: save it as CSV UTF-8.")
    try:
        return content.decode("utf-8-sig")  # spreadsheets put a byte order mark first
    except UnicodeDecodeError as error:
        row = content.count(b"\n", 0, error.start) + 1
        raise DataError(f"{file}, row {row}: this is no text in UTF-8: save it as CSV UTF-8.") from None


def _csv_rows(file: Path, text: str) -> Iterator[tuple[int, str, str]]:
    """``(line, arch, latency)`` of each row that is not blank, as text."""
    reader = csv.reader(io.StringIO(text, newline=""), skipinitialspace=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        for name in ("arch", "latency_ms"):
            if header.count(name) != 1:
                how = "no column" if name not in header else "more than one column"
                raise DataError(
                    f"{file}, row 1: {how} {name!r} among {', '.join(header)[:200]!r}: the first row must "
                    "name the columns arch,latency_ms, with a comma between."
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


def _milliseconds(text: str) -> float:
    """Latency in ms from a CSV's field; ValueError says what is wrong with it."""
    if not text:
        raise ValueError("no latency: give milliseconds, or leave the whole row out")
    try:
        value = float(text) if "_" not in text else math.nan  # Python's own 1_000 is no notation for a table
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"the latency {text[:40]!r} is no finite number: give milliseconds, such as 12.5")
    if value <= 0:
        raise ValueError(f"the latency {text[:40]} is not positive: give milliseconds, such as 12.5")
    return value


def _to_arch(cell: str) -> int:
    """NATS index of a CSV's field; ValueError as `simmore.space.to_arch` words it."""
    arch = _arch_of_string().get(cell)
    if arch is not None:
        return arch
    return space.to_arch(cell)


@cache
def _arch_of_string() -> dict[str, int]:
    """NATS index of every cell's string, in NATS order: a table of strings is looked up in it, not parsed."""
    edges = [[f"{name}~{source}" for name in space.OPERATIONS] for source, _ in space.EDGES]
    strings = {}
    for arch, ops in enumerate(space.all_ops().tolist()):
        a, b, c, d, e, f = (names[op] for names, op in zip(edges, ops, strict=True))
        strings[f"|{a}|+|{b}|{c}|+|{d}|{e}|{f}|"] = arch
    return strings


def _read_file(file: Path, max_bytes: int, expected: str) -> bytes:
    """Content of a regular file that is neither empty nor too big."""
    try:
        if not file.is_file():  # a folder, a pipe, a device: reading one might never end
            what = "is no regular file" if file.exists() else "does not exist"
            raise DataError(f"{file} {what}: give the path of {expected}.")
        with file.open("rb") as stream:
            content = stream.read(max_bytes + 1)
    except (OSError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{str(file)!r} cannot be read ({error}): give the path of {expected}.") from error
    if not content or content.isspace():
        raise DataError(f"{file} is empty: give the path of {expected}.")
    if len(content) > max_bytes:
        raise DataError(f"{file} is larger than {max_bytes // 10**6} MB: give the path of {expected}.")
    return content
