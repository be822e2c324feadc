"""Scores of the search space: any cells now, or all cells in a job that can be stopped and resumed.

`score` scores given cells. `score_all` scores all cells for a data set and writes the package's table (`data.scores`)
with metadata that say how it was made. `simmore.proxies.supernetwork` defines the initialisation. The values equal
those of the plain definitions in `simmore.proxies` up to rounding.

Scores that are not finite are replaced in a table:

- NASWOT is −inf if the kernel is singular (all images have one code): the lowest finite value of the table;
- LogSynflow may overflow float64 (no cell of the search space does): the largest finite value of the table.
"""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from simmore import data, paths, provenance, space
from simmore.errors import needs
from simmore.files import replace
from simmore.proxies import parts
from simmore.proxies.definitions import freerea_score, skip_score
from simmore.proxies.parts import BATCH, SCORES, Part, Scored
from simmore.proxies.stored import stored_seeds

if TYPE_CHECKING:
    import pandas as pd

    from simmore.proxies.supernetwork import Inputs

_INPUTS = {"noise": "standard-normal noise", "natural": "noise with natural images' spectrum"}


def score(
    cells: str | int | Iterable[str | int], dataset: str = "cifar10", *, seeds: Sequence[int] | None = None
) -> pd.DataFrame:
    """Score any cells now. The values are those of the stored table.

    Parameters
    ----------
    cells
        One cell or several: NATS-Bench strings, six digits, or NATS indices, as `space.to_arch` reads them.
    dataset
        ``cifar10``, ``cifar100`` or ``ImageNet16-120``.
    seeds
        Initialisations to average over; those of the stored table if not given.

    Returns
    -------
    DataFrame
        Indexed by ``arch``, in the given order; columns ``arch_str, naswot, logsynflow, skip, score, params, flops``
        (the last two in millions). ``score`` is p, normalised as in the stored table. NASWOT of a singular kernel is
        the lowest value of the stored table.

    Raises
    ------
    ValueError
        For an invalid cell, data set or seed.
    TableMissing
        If there is no stored table for the data set.
    """
    with needs("pandas"):
        import pandas as pd
    archs = [space.to_arch(cell) for cell in ([cells] if isinstance(cells, str | int | np.integer) else cells)]
    task, stored = data.task(dataset), data.scores(dataset)
    seeds = _checked(stored_seeds(dataset) if seeds is None else seeds)
    wanted = [part for seed in seeds for name in SCORES for part in parts.parts(name, dataset, seed, archs=archs)]
    scores = parts.by_seed(map(parts.score_part, wanted), seeds)
    table = pd.DataFrame({"arch_str": [space.to_string(arch) for arch in archs]}, index=pd.Index(archs, name="arch"))
    table["naswot"] = scores["naswot"][:, archs].mean(axis=0)
    table["logsynflow"] = scores["logsynflow"][:, archs].mean(axis=0)
    table["skip"] = skip_score(archs)
    table.loc[~np.isfinite(table["naswot"]), "naswot"] = stored["naswot"].min()
    low, high = stored.min(), stored.max()
    scaled = [(table[name] - low[name]) / (high[name] - low[name]) for name in ("naswot", "logsynflow", "skip")]
    table["score"] = np.mean(scaled, axis=0)
    table["params"] = space.parameters(archs, task.n_classes)
    table["flops"] = space.flops(archs, task.size, task.n_classes)
    return table


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
    """Score all cells for a data set, and write the table and its metadata.

    A stopped job resumes when it is called again: parts that were scored are kept in `folder`.

    Parameters
    ----------
    dataset
        ``cifar10``, ``cifar100`` or ``ImageNet16-120``.
    seeds
        One initialisation and one batch of images each. With several, the table holds means and standard deviations.
    n_jobs
        Processes on this machine, −1 for one per core; each has one thread.
    progress
        Show a progress bar, on a terminal and in notebooks; never in a log file.
    dask
        Address of a Dask scheduler, see `parallel.unordered`.
    batch
        Images for NASWOT.
    inputs
        Kind of images, see `supernetwork.images`; ``natural`` needs an `out`.
    folder
        Folder of the parts; ``build/scores`` if not given.
    out
        File of the table, ``….npz``; the package's own if not given. The metadata are beside it, ``….json``.

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
        If a part cannot be written, for example because the disk is full. Earlier parts are kept.
    """
    data.task(dataset)
    seeds = _checked(seeds)
    if batch < 2:
        raise ValueError(f"NASWOT compares images: a batch of at least two is needed, got {batch}")
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
    columns, metadata = _table(dataset, seeds, batch, inputs, scored)
    metadata["wall_seconds_of_the_last_run"] = round(time.perf_counter() - begin, 1)
    metadata["parts_of_the_last_run"] = f"{len(missing)} of {len(wanted)}"
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **columns)  # type: ignore[arg-type]
    replace(out, buffer.getvalue())
    replace(out.with_suffix(".json"), (json.dumps(metadata, indent=2, ensure_ascii=False) + "\n").encode())
    return out


def _table(
    dataset: str, seeds: Sequence[int], batch: int, inputs: Inputs, scored: dict[Part, Scored]
) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Columns of the table, and its metadata, from all parts."""
    task, archs = data.task(dataset), np.arange(space.N_ARCHS)
    scores = parts.by_seed(scored.items(), seeds)
    seconds = np.zeros(space.N_ARCHS)
    for found in scored.values():
        seconds[found.archs] += found.seconds / len(seeds)
    unusable = {name: np.any(~np.isfinite(values), axis=0) for name, values in scores.items()}
    finite = {name: np.where(unusable[name], 0.0, values) for name, values in scores.items()}
    columns: dict[str, NDArray[Any]] = {
        "naswot": _filled_mean(finite["naswot"], unusable["naswot"], np.min),
        "logsynflow": _filled_mean(finite["logsynflow"], unusable["logsynflow"], np.max),
        "skip": skip_score(archs),
    }
    columns["score"] = freerea_score(**columns)
    columns["params"] = space.parameters(archs, task.n_classes)
    columns["flops"] = space.flops(archs, task.size, task.n_classes)
    columns["seconds"] = seconds.astype(np.float32)
    if len(seeds) > 1:
        columns["naswot_sd"] = finite["naswot"].std(axis=0, ddof=1).astype(np.float32)
        columns["logsynflow_sd"] = finite["logsynflow"].std(axis=0, ddof=1).astype(np.float32)
    machine = provenance.machine()
    metadata = {
        "dataset": dataset,
        "seeds": list(seeds),
        "batch": batch,
        "input": f"naswot: {_INPUTS[inputs]}, 3×{task.size}×{task.size}; logsynflow: one image of ones",
        "initialisation": "sub-network of one seeded super-network, see simmore/proxies/supernetwork.py",
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
        "singular_kernels": int(unusable["naswot"].sum()),
        "overflows": int(unusable["logsynflow"].sum()),
        "core_seconds": round(float(seconds.sum() * len(seeds)), 1),
        "core_seconds_a_network_and_seed": round(float(seconds.mean()), 5),
        "definition": parts.DEFINITION,
        "versions": {"python": machine["python"], **provenance.versions("torch", "numpy")},
        "processor": f"{machine['processor']}, {machine['cores']} cores",
        "commit": provenance.commit(),
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
    }
    return columns, metadata


def _filled_mean(
    finite: NDArray[np.float64], unusable: NDArray[np.bool_], edge: Callable[..., Any]
) -> NDArray[np.float64]:
    """Mean over seeds ``(cells,)``; where it is unusable, the lowest or largest (`edge`) of the others."""
    mean = finite.mean(axis=0)
    return np.where(unusable, edge(mean[~unusable]), mean)


def _checked(seeds: Sequence[int]) -> tuple[int, ...]:
    """Seeds as a tuple, if they can be used."""
    if not seeds or len(set(seeds)) < len(seeds) or min(seeds) < 0:
        raise ValueError(f"seeds must be whole numbers from 0, each once, and at least one; got {list(seeds)}")
    return tuple(int(seed) for seed in seeds)
