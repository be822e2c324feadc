"""Scores of the search space: any cells live, or all 15,625 in a job that can be stopped at any moment.

`score` scores the cells it is given; `score_all` scores every cell of a data set and writes the package's table
(`data.scores`), with a card that says how it was made. `simmore.supernetwork` says what the
initialisation of a cell is; all numbers agree with the plain definitions of `simmore.proxies` to rounding (`compare`).

What a table holds in the cases that have no finite score:

- NASWOT is −inf where the kernel is singular (all images have one code): the lowest finite value of the table;
- LogSynflow that overflows float64 (none of the search space does): the largest finite value of the table.
"""

from __future__ import annotations

import io
import json
import os
import platform
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simmore import data, paths, proxies, space
from simmore.errors import TableMissing, needs
from simmore.files import replace
from simmore.proxies import parts
from simmore.proxies.parts import BATCH, SCORES, Part, Score, Scored

if TYPE_CHECKING:
    import pandas as pd

    from simmore.proxies.supernetwork import Inputs

INPUTS = {"noise": "standard-normal noise", "natural": "noise with natural images' spectrum"}
_SMALLEST = (0, 0, 0, 1, 0, 0)  # the reduced cell whose output is its input


# size and work


def parameters(archs: ArrayLike, dataset: str = "cifar10") -> NDArray[np.float64]:
    """Trainable parameters of the cells' networks, ``(…)`` in millions."""
    conv_1x1, conv_3x3 = _convolutions(archs)
    total = np.full_like(conv_1x1, 3 * 16 * 9 + 2 * 16 + 2 * 64)  # stem, last norm
    total += (64 + 1) * parts.task_of(dataset).n_classes
    for channels in (16, 32, 64):
        cell = conv_1x1 * (channels**2 + 2 * channels) + conv_3x3 * (9 * channels**2 + 2 * channels)
        total += 5 * cell
        if channels > 16:  # the reduction before the stage: two convolutions with norms, one without
            total += 9 * channels**2 // 2 + 9 * channels**2 + channels**2 // 2 + 4 * channels
    return total / 1e6


def flops(archs: ArrayLike, dataset: str = "cifar10") -> NDArray[np.float64]:
    """Multiply–accumulates of convolutions and classifier for one image, ``(…)`` in millions."""
    conv_1x1, conv_3x3 = _convolutions(archs)
    task = parts.task_of(dataset)
    total = np.full_like(conv_1x1, 3 * 16 * 9 * task.size**2 + 64 * task.n_classes)
    for stage, channels in enumerate((16, 32, 64)):
        pixels = (task.size >> stage) ** 2
        total += 5 * pixels * channels**2 * (conv_1x1 + 9 * conv_3x3)
        if stage:  # 3×3 from half the channels, 3×3, and 1×1 from half the channels
            total += pixels * (9 * channels**2 // 2 + 9 * channels**2 + channels**2 // 2)
    return total / 1e6


def _convolutions(archs: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Numbers of 1×1 and 3×3 convolutions of each cell, ``(…)``."""
    counts = space.operation_counts(archs)
    return counts[..., 2], counts[..., 3]


# tables


def score_all(
    dataset: str = "cifar10",
    seeds: Sequence[int] = (0,),
    *,
    n_jobs: int = -1,
    progress: bool = True,
    dask: str | None = None,
    batch: int = BATCH,
    inputs: Inputs = "noise",
    folder: Path | None = None,
    out: Path | None = None,
) -> Path:
    """Score all cells of a data set and write the table and its card.

    Stopped at any moment, it goes on where it was when it is called again: what was scored is kept in parts, and
    a part is whole or is not there.

    Parameters
    ----------
    dataset
        ``cifar10``, ``cifar100`` or ``ImageNet16-120``.
    seeds
        One initialisation each, and one batch of noise. With several, the table holds means, and standard
        deviations beside them.
    n_jobs
        Processes on this machine, −1 for one a core; each has one thread.
    progress
        Show cells scored and the time left, on a terminal and in notebooks; never in a log file.
    dask
        Address of a Dask scheduler that shall do the work, see `parallel.unordered`.
    batch
        Images for NASWOT.
    inputs
        What they show: ``noise``, or ``natural``-like (see `supernetwork.images`), which needs an `out`.
    folder
        Where the parts are kept; ``build/scores`` if not given.
    out
        The table, ``….npz``; the package's own if not given. Its card lies beside it, ``….json``.

    Returns
    -------
    Path
        The table: columns ``naswot, logsynflow, skip, score, params, flops, seconds`` and, with several seeds,
        ``naswot_sd, logsynflow_sd``, ``(15625,)`` each, in NATS order, all finite.

    Raises
    ------
    ValueError
        For an unknown data set, no seed or one twice, or a batch of fewer than two images.
    OSError
        If a part cannot be written, as on a full disk. What was written before is kept.
    """
    seeds = _checked(dataset, seeds, batch)
    if inputs != "noise" and out is None:
        raise ValueError("the package's own tables are made from noise: name a file for others, out=…")
    folder = folder or paths.BUILD / "scores"
    out = out or paths.TABLES / f"scores_{dataset}.npz"
    begin = time.perf_counter()
    wanted = [part for seed in seeds for name in SCORES for part in parts.parts(name, dataset, seed, batch, inputs)]
    kept = parts.read_parts(wanted, folder)
    missing = [part for part in wanted if part not in kept]
    with needs("tqdm"):
        from tqdm.auto import tqdm
    with tqdm(
        total=len(seeds) * len(SCORES) * space.N_ARCHS,
        initial=sum(len(found.archs) for found in kept.values()),
        desc=f"scores of {dataset}",
        unit="cell",
        disable=None if progress else True,
        smoothing=0.02,
    ) as bar:
        for found in parts.score_parts(missing, folder, n_jobs=n_jobs, dask=dask):
            bar.update(len(found.archs))
    scored = parts.read_parts(wanted, folder)
    if len(scored) < len(wanted):
        raise OSError(f"{len(wanted) - len(scored)} parts in {folder} were altered during the run: start again")
    columns, card = _table(dataset, seeds, batch, inputs, scored)
    card["wall_seconds_of_the_last_run"] = round(time.perf_counter() - begin, 1)
    card["parts_of_the_last_run"] = f"{len(missing)} of {len(wanted)}"
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **columns)  # type: ignore[arg-type]
    replace(out, buffer.getvalue())
    replace(out.with_suffix(".json"), (json.dumps(card, indent=2, ensure_ascii=False) + "\n").encode())
    return out


def _table(
    dataset: str, seeds: Sequence[int], batch: int, inputs: Inputs, scored: dict[Part, Scored]
) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Columns of the table, and its card, from all parts."""
    archs = np.arange(space.N_ARCHS)
    by_seed = {score: np.full((len(seeds), space.N_ARCHS), np.nan) for score in ("naswot", "logsynflow")}
    seconds = np.zeros(space.N_ARCHS)
    for part, (cells, values, taken) in scored.items():
        by_seed[part.score][list(seeds).index(part.seed), cells] = values
        seconds[cells] += taken / len(seeds)
    naswot, logsynflow = by_seed["naswot"], by_seed["logsynflow"]
    singular = np.any(~np.isfinite(naswot), axis=0)
    overflow = np.any(~np.isfinite(logsynflow), axis=0)
    columns: dict[str, NDArray[Any]] = {
        "naswot": _filled(naswot, singular, np.min),
        "logsynflow": _filled(logsynflow, overflow, np.max),
        "skip": proxies.skip_score(archs),
    }
    columns["score"] = proxies.score(**columns)
    columns["params"] = parameters(archs, dataset)
    columns["flops"] = flops(archs, dataset)
    columns["seconds"] = seconds.astype(np.float32)
    if len(seeds) > 1:
        for name, values, unusable in (("naswot", naswot, singular), ("logsynflow", logsynflow, overflow)):
            finite = np.where(unusable, 0.0, values)
            columns[f"{name}_sd"] = finite.std(axis=0, ddof=1).astype(np.float32)
    task = parts.task_of(dataset)
    card = {
        "dataset": dataset,
        "seeds": list(seeds),
        "batch": batch,
        "input": f"naswot: {INPUTS[inputs]}, 3×{task.size}×{task.size}; logsynflow: one image of ones",
        "initialisation": "sub-network of one seeded super-network, see simmore/supernetwork.py",
        "columns": {
            "naswot": "log|det K|, mean over seeds; singular kernels: the lowest finite value",
            "logsynflow": "mean over seeds; overflows: the largest finite value",
            "skip": "mean reach of the skip_connect edges",
            "score": "p: mean of the three, each normalised over all cells",
            "params": "trainable parameters of the network, millions",
            "flops": "multiply–accumulates of convolutions and classifier at batch 1, millions",
            "seconds": "of one core, for naswot and logsynflow of one seed; cells that share work share it equally",
            "naswot_sd, logsynflow_sd": "standard deviation over seeds (n − 1), where there are several",
        },
        "singular_kernels": int(singular.sum()),
        "overflows": int(overflow.sum()),
        "core_seconds": round(float(seconds.sum() * len(seeds)), 1),
        "core_seconds_a_network_and_seed": round(float(seconds.mean()), 5),
        "definition": parts.DEFINITION,
        "versions": _versions(),
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "commit": _commit(),
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
    }
    return columns, card


def _filled(by_seed: NDArray[np.float64], unusable: NDArray[np.bool_], edge: Callable[..., Any]) -> NDArray[np.float64]:
    """Mean over seeds, ``(cells,)``; where it is unusable, the lowest or the largest of the others."""
    mean = np.where(unusable, 0.0, by_seed).mean(axis=0)
    return np.where(unusable, edge(mean[~unusable]), mean)


# live


def _live(name: Score, dataset: str, seed: int, ops: tuple[int, ...], batch: int = BATCH) -> Scored:
    """Score a single reduced cell now."""
    task = parts.task_of(dataset)
    return parts.score_part(Part(name, seed, task.size, task.n_classes, batch, "noise", 0, (ops,)))[1]


def score(
    cells: str | int | Iterable[str | int], dataset: str = "cifar10", *, seeds: Sequence[int] | None = None
) -> pd.DataFrame:
    """Score any cells live; they get the numbers that the table has.

    Parameters
    ----------
    cells
        One cell or several: strings, six digits, or NATS indices, as `space.to_arch` reads them.
    dataset
        ``cifar10``, ``cifar100`` or ``ImageNet16-120``.
    seeds
        Initialisations to average over; those of the stored table if not given (0 if there is none).

    Returns
    -------
    DataFrame
        By ``arch``, in the order given; columns ``arch_str, naswot, logsynflow, skip, score, params, flops``.
        ``score`` is p on the scale of the stored table, NaN if there is no table; a singular kernel's NASWOT is
        the table's lowest value, −inf if there is none.

    Raises
    ------
    ValueError
        For what is no cell, or an unknown data set.
    """
    with needs("pandas"):
        import pandas as pd
    archs = [space.to_arch(cell) for cell in ([cells] if isinstance(cells, str | int | np.integer) else cells)]
    stored = _stored(dataset)
    seeds = _checked(dataset, seeds if seeds is not None else stored_seeds(dataset), BATCH)
    values: dict[int, tuple[float, float]] = {}
    for ops in {space.canonical_form(arch).ops: None for arch in archs}:
        members = np.array(space.canonical_classes()[ops])
        naswot, logsynflow = (
            np.mean([_live(name, dataset, seed, ops)[1] for seed in seeds], axis=0) for name in ("naswot", "logsynflow")
        )
        values |= dict(zip(members.tolist(), zip(naswot, logsynflow, strict=True), strict=True))
    table = pd.DataFrame(
        [values[arch] for arch in archs], index=pd.Index(archs, name="arch"), columns=["naswot", "logsynflow"]
    )
    table.insert(0, "arch_str", [space.to_string(arch) for arch in archs])
    table["skip"] = proxies.skip_score(archs)
    table["score"] = np.nan
    if stored is not None:
        unusable = ~np.isfinite(table["naswot"])
        table.loc[unusable, "naswot"] = stored["naswot"].min()
        scaled = [
            (table[name] - stored[name].min()) / (stored[name].max() - stored[name].min())
            for name in ("naswot", "logsynflow", "skip")
        ]
        table["score"] = np.mean(scaled, axis=0)
    table["params"] = parameters(archs, dataset)
    table["flops"] = flops(archs, dataset)
    return table


def stored_seeds(dataset: str = "cifar10") -> tuple[int, ...]:
    """Seeds of the stored table, as its card names them; ``(0,)`` if there is no table."""
    file = paths.TABLES / f"scores_{parts.known(dataset)}.json"
    if not file.is_file():
        return (0,)
    return tuple(json.loads(file.read_text(encoding="utf-8"))["seeds"])


def _stored(dataset: str) -> pd.DataFrame | None:
    """The stored table, or None."""
    try:
        return data.scores(dataset)
    except TableMissing:
        return None


def compare(archs: Sequence[int], dataset: str = "cifar10", *, seed: int = 0, batch: int = BATCH) -> pd.DataFrame:
    """Score cells plainly, network by network, and as the tables are made, with one thread each.

    Returns
    -------
    DataFrame
        By ``arch``; columns ``naswot_plain, naswot_fast, logsynflow_plain, logsynflow_fast`` and
        ``seconds_plain, seconds_fast``. The plain seconds leave out building the network; the fast ones are a
        cell's share of what its reduced cell takes, as in a table of all cells.
    """
    with needs("pandas", "torch"):
        import pandas as pd
        import torch
    from simmore.proxies import supernetwork

    _checked(dataset, (seed,), batch)
    task, rows = parts.task_of(dataset), []
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        noise = supernetwork.images(seed, task.size, batch)
        for name in SCORES:  # what all cells have in common is made before the clock runs
            _live(name, dataset, seed, _SMALLEST, batch)
        for arch in archs:
            network = supernetwork.initialise(space.network(arch, n_classes=task.n_classes), arch, seed)
            begin = time.process_time()
            naswot = proxies.naswot(network, noise)
            logsynflow = proxies.log_synflow(network, (3, task.size, task.size))
            plain = time.process_time() - begin
            row = {
                "naswot_plain": naswot,
                "logsynflow_plain": logsynflow,
                "seconds_plain": plain,
                "seconds_fast": 0.0,
            }
            for name in SCORES:
                cells, values, seconds = _live(name, dataset, seed, space.canonical_form(arch).ops, batch)
                place = cells.tolist().index(arch)
                row[f"{name}_fast"] = values[place]
                row["seconds_fast"] += seconds[place]
            rows.append(row)
    finally:
        torch.set_num_threads(threads)
    return pd.DataFrame(rows, index=pd.Index(archs, name="arch"))


# what is common


def _checked(dataset: str, seeds: Sequence[int], batch: int) -> tuple[int, ...]:
    """Give the seeds back if a job can be made of all this."""
    parts.known(dataset)
    if not seeds or len(set(seeds)) < len(seeds) or min(seeds) < 0:
        raise ValueError(f"seeds must be whole numbers from 0, each once, and at least one; got {list(seeds)}")
    if batch < 2:
        raise ValueError(f"NASWOT compares images: a batch of at least two is needed, got {batch}")
    return tuple(int(seed) for seed in seeds)


def _versions() -> dict[str, str]:
    """Versions of what computes the scores."""
    import torch

    return {"python": platform.python_version(), "torch": str(torch.__version__), "numpy": np.__version__}


def _processor() -> str:
    """Name of the processor, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


@cache
def _commit() -> str | None:
    """Commit of the checkout, with ``-dirty`` where it was changed; None where there is none."""
    try:
        command = ["git", "describe", "--always", "--dirty", "--exclude=*"]
        found = subprocess.run(command, cwd=paths.ROOT, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip() or None
