"""Benchmark files that users have: NATS-Bench's archive and HW-NAS-Bench's pickle. Their content is not trusted."""

from __future__ import annotations

import bz2
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from simmore import files, space
from simmore.data.datasets import DATASETS, task
from simmore.data.pickles import untrusted_loads
from simmore.errors import DataError, InputWarning, needs

if TYPE_CHECKING:
    import pandas as pd

MAX_PICKLE_BYTES = 4_000_000  # an architecture of the official archive has 0.3 MB, its index 1.4 MB
MAX_HW_NAS_BYTES = 110_000_000  # the official file is below GitHub's limit of 100 MiB


def nats_archive(path: str | Path, *, progress: bool = True) -> pd.DataFrame:
    """Read the results of topology cells from an official NATS-Bench archive.

    `nats_bench` opens files with plain pickle. Here `untrusted_loads` reads each file, and `nats_bench` receives only
    the result.

    Parameters
    ----------
    path
        The folder ``NATS-tss-v1_0-3ffb9-simple``; it may hold only some of the architectures.
    progress
        Show a progress bar on a terminal and in notebooks (all 15,625 architectures take minutes).

    Returns
    -------
    DataFrame
        One row per architecture in the folder, by NATS index ``arch``. ``cifar10, cifar100, ImageNet16-120``:
        validation accuracy in % after 200 epochs, mean over seeds; ``params``: millions, for CIFAR-10.

    Raises
    ------
    DataError
        If there is no such folder, or a file in it is damaged or asks for more than numbers.

    Warns
    -----
    InputWarning
        If the archive does not list its cells, so that only the string in each file says which cell it is.
    """
    folder = Path(path)
    if not folder.is_dir():
        what = "is a file: give the folder of the unpacked archive" if folder.exists() else "does not exist"
        raise DataError(f"{folder} {what}; a NATS-Bench archive is a folder like NATS-tss-v1_0-3ffb9-simple.")
    found = {int(file.name[:6]): file for file in sorted(folder.glob("[0-9]" * 6 + ".pickle.pbz2")) if file.is_file()}
    if not found:
        raise DataError(f"{folder} holds no architecture, like 000000.pickle.pbz2: unpack it again.")
    _check_index(folder)
    with needs("nats_bench"):
        import nats_bench
    import pandas as pd
    from tqdm.auto import tqdm

    bar = tqdm(found, "architectures", unit="file", delay=2, leave=False, disable=None if progress else True)
    rows = [_archive_row(nats_bench.ArchResults, arch, found[arch]) for arch in bar]
    return pd.DataFrame(rows, index=pd.Index(found, name="arch"), columns=[*DATASETS, "params"])


def _check_index(folder: Path) -> None:
    """Check that the archive numbers the cells in NATS order, if it lists them."""
    file = folder / "meta.pickle.pbz2"
    meta = _read_pbz2(file) if file.is_file() else None
    _check_order(file, meta.get("meta_archs") if isinstance(meta, dict) else None, "give a topology archive (tss)")


def _check_order(file: Path, strings: Any, remedy: str) -> None:
    """Check that a file lists the cells in NATS order; a warning says if it lists none."""
    if strings is None:
        warnings.warn(
            f"{file} does not list the cells, so that their order cannot be checked: NATS order is assumed.",
            InputWarning,
            stacklevel=4,
        )
    elif strings != list(space.all_strings()):
        raise DataError(f"{file} does not list the {space.N_ARCHS} cells in NATS order: {remedy}.")


def _archive_row(results_class: Any, arch: int, file: Path) -> list[float]:
    """Accuracies (%) and parameters (millions) of one architecture, averaged by nats_bench."""
    content = _read_pbz2(file)
    try:
        results = results_class.create_from_state_dict(content["200"])
        same = arch < space.N_ARCHS and results.arch_str == space.to_string(arch)
        names = ["cifar10-valid" if dataset == "cifar10" else dataset for dataset in DATASETS]
        row = [float(results.get_metrics(name, "x-valid")["accuracy"]) for name in names]
        row.append(float(results.get_compute_costs("cifar10-valid")["params"]))
    except Exception as error:  # nats_bench checks nothing: a wrong structure fails anywhere
        raise DataError(
            f"{file} does not hold a cell's results after 200 epochs ({type(error).__name__}: {error}): "
            "get the archive again."
        ) from error
    if not same or not all(0 <= value <= 100 for value in row):
        what = "impossible values" if same else f"the results of another cell than {arch}"
        raise DataError(f"{file} holds {what}: get the archive again.")
    return row


def _read_pbz2(file: Path) -> Any:
    """Content of one file of an archive: bz2, of bounded size, with a pickle of numbers."""
    try:
        with bz2.open(file) as stream:
            content = stream.read(MAX_PICKLE_BYTES + 1)
    except (OSError, EOFError) as error:
        raise DataError(f"{file} is truncated or altered ({error}): get the archive again.") from error
    if len(content) > MAX_PICKLE_BYTES:
        raise DataError(f"{file} unpacks to more than {MAX_PICKLE_BYTES // 10**6} MB: get the archive again.")
    return untrusted_loads(content, file)


def hw_nas_bench(path: str | Path, dataset: str = "cifar10") -> dict[str, NDArray[np.float64]]:
    """Read the measured and estimated latencies from HW-NAS-Bench's file ``HW-NAS-Bench-v1_0.pickle``.

    Parameters
    ----------
    path
        The file.
    dataset
        One of `DATASETS`.

    Returns
    -------
    dict
        Latencies ``(cells,)`` in ms, in NATS order, of each device (``edgegpu, raspi4, edgetpu, pixel3, eyeriss,
        fpga``); inf where a network did not compile, which the file marks with -1 for the EdgeTPU.

    Raises
    ------
    DataError
        If the file is missing, damaged, of another structure, or asks for more than numbers.

    Warns
    -----
    InputWarning
        If the file does not say which cell each row is (its list ``config``), so that NATS order is assumed.

    Notes
    -----
    Source: Li et al. (2021), *HW-NAS-Bench*.

    Examples
    --------
    The table of one device as a CSV for ``simmore search --latency-table edgegpu.csv``:

    >>> import pandas as pd
    >>> tables = hw_nas_bench("HW-NAS-Bench-v1_0.pickle")  # doctest: +SKIP
    >>> pd.Series(tables["edgegpu"], name="latency_ms").to_csv("edgegpu.csv", index_label="arch")  # doctest: +SKIP
    """
    task(dataset)
    file = Path(path)
    content = files.read(file, MAX_HW_NAS_BYTES, "HW-NAS-Bench-v1_0.pickle")
    benchmark = untrusted_loads(content, file)
    try:
        metrics = benchmark["nasbench201"][dataset]
        columns = {name: metrics[name] for name in metrics if isinstance(name, str) and name.endswith("_latency")}
    except (KeyError, TypeError, AttributeError, IndexError):
        columns = {}
    if not columns:
        raise DataError(f"{file} holds no latencies under 'nasbench201', {dataset!r}: give HW-NAS-Bench's own file.")
    _check_order(file, _config_strings(metrics.get("config")), "get the file again")
    return {name.removesuffix("_latency"): _hw_nas_column(file, name, values) for name, values in columns.items()}


def _config_strings(configs: Any) -> Any:
    """Which cell each row is, as strings; None if the file does not say."""
    if configs is None:
        return None
    try:
        return [config["arch_str"] for config in configs]
    except (KeyError, TypeError, IndexError):
        return []


def _hw_nas_column(file: Path, name: str, values: Any) -> NDArray[np.float64]:
    """Latencies ``(cells,)`` in ms of one device; EdgeTPU's -1 becomes inf."""
    try:
        numbers = values if isinstance(values, np.ndarray) else np.array([float(value) for value in values])
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(f"{file}: {name!r} does not hold numbers ({error}): get the file again.") from error
    if numbers.shape != (space.N_ARCHS,):
        raise DataError(f"{file}: {name!r} has the shape {numbers.shape} instead of ({space.N_ARCHS},).")
    latency_ms = numbers.astype(np.float64)
    not_compiled = (latency_ms == -1) & (name == "edgetpu_latency")
    wrong = ~(np.isfinite(latency_ms) & (latency_ms > 0) | not_compiled)
    if wrong.any():
        arch = int(wrong.argmax())
        raise DataError(f"{file}: {name!r} gives cell {arch} {latency_ms[arch]} ms: get the file again.")
    latency_ms[not_compiled] = np.inf
    return latency_ms
