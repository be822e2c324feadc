"""Scores of the search space: any cells now, or all cells in a job that can be stopped and resumed.

`score` scores given cells. `score_all` scores all cells for a data set and writes the package's table (`data.scores`)
with metadata that say how it was made. `az_all` does so with AZ-NAS's terms for a size of images (`data.az_terms`).
`simmore.proxies.supernetwork` defines the initialisation. The values equal
those of the plain definitions in `simmore.proxies` up to rounding.

Scores that are not finite are replaced in a table:

- NASWOT is −inf if the kernel is singular (all images have one code): the lowest finite value of the table;
- LogSynflow may overflow float64 (no cell of the search space does): the largest finite value of the table;
- trainability is −inf if no gradient passes a cell: the lowest finite value of the table.
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
from simmore.proxies import named, parts
from simmore.proxies.definitions import freerea_score, skip_score
from simmore.proxies.parts import AZ_TERMS, BATCH, SCORES, Part, Scored
from simmore.proxies.stored import stored_az_seeds, stored_seeds

if TYPE_CHECKING:
    import pandas as pd

    from simmore.proxies.supernetwork import Inputs

_INPUTS = {"noise": "standard-normal noise", "natural": "noise with natural images' spectrum"}


def score(
    cells: str | int | Iterable[str | int],
    dataset: str = "cifar10",
    *,
    seeds: Sequence[int] | None = None,
    terms: str | Sequence[str] = named.DEFAULT,
) -> pd.DataFrame:
    """Score any cells now. The values are those of the stored table.

    Parameters
    ----------
    cells
        One cell or several: NATS-Bench strings, six digits, or NATS indices, as `space.to_arch` reads them.
    dataset
        ``cifar10``, ``cifar100`` or ``ImageNet16-120``.
    seeds
        Initialisations to average over; those of the stored tables if not given.
    terms
        A named score (``freerea``, ``az``, ``combined``, ``params``; see `proxies.SCORES`), or names of terms among
        `proxies.TERMS`.

    Returns
    -------
    DataFrame
        Indexed by ``arch``, in the given order; columns ``arch_str``, the terms, ``score`` if a named score is asked
        for, ``params`` and ``flops`` (in millions). ``score`` is relative to the stored tables, see `proxies.named`:
        p for ``freerea``. NASWOT of a singular kernel, and trainability where no gradient passes a cell, are the lowest
        value of the stored table.

    Raises
    ------
    ValueError
        For an invalid cell, data set, seed, score or term.
    TableMissing
        If there is no stored table for the data set.
    """
    with needs("pandas"):
        import pandas as pd
    archs = [space.to_arch(cell) for cell in ([cells] if isinstance(cells, str | int | np.integer) else cells)]
    wanted = named.definition(terms).terms if isinstance(terms, str) else tuple(terms)
    unknown = [term for term in wanted if term not in named.TERMS]
    if unknown:
        raise ValueError(f"no term {', '.join(map(repr, unknown))}: choose from {', '.join(named.TERMS)}")
    values = _live_terms(archs, dataset, wanted, seeds)
    table = pd.DataFrame({"arch_str": [space.to_string(arch) for arch in archs]}, index=pd.Index(archs, name="arch"))
    facts = ("params", "flops")
    for name in (term for term in wanted if term not in facts):
        table[name] = values[name]
    if isinstance(terms, str):
        table["score"] = named.score_of(values, dataset, terms)
    for name in facts:
        table[name] = values[name]
    return table


def _live_terms(
    archs: list[int], dataset: str, wanted: Sequence[str], seeds: Sequence[int] | None
) -> dict[str, NDArray[np.float64]]:
    """Terms of cells, ``(n,)`` each, computed now; always with ``params`` and ``flops``."""
    task = data.task(dataset)
    values = {
        "skip": skip_score(archs),
        "params": space.parameters(archs, task.n_classes),
        "flops": space.flops(archs, task.size, task.n_classes),
        "complexity": space.live_flops(archs, task.size, task.n_classes),
    }
    of_p: list[parts.Score] = [name for name in SCORES if name in wanted]
    jobs: list[tuple[list[parts.Score], int, tuple[int, ...]]] = []
    if of_p:
        jobs.append((of_p, BATCH, _checked(stored_seeds(dataset) if seeds is None else seeds)))
    if set(AZ_TERMS) & set(wanted):
        chosen_seeds = _checked(stored_az_seeds(task.size) if seeds is None else seeds)
        jobs.append((["az"], parts.az_batch(task.size), chosen_seeds))
    for names, batch, chosen in jobs:
        pieces = [
            part for seed in chosen for name in names for part in parts.parts(name, dataset, seed, batch, archs=archs)
        ]
        found = parts.by_seed(map(parts.score_part, pieces), chosen)
        for score_name in names:
            mean = found[score_name][:, archs].mean(axis=0)
            values |= dict(zip(AZ_TERMS, mean.T, strict=True)) if score_name == "az" else {score_name: mean}
    for term in {"naswot", "trainability"} & set(values):
        lowest = named.stored_term(term, dataset).min()
        values[term] = np.where(np.isfinite(values[term]), values[term], lowest)
    return values


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
    wanted = [part for seed in seeds for name in SCORES for part in parts.parts(name, dataset, seed, batch, inputs)]
    scored, of_run = _finish(wanted, folder, f"scores of {dataset}", n_jobs=n_jobs, progress=progress, dask=dask)
    columns, metadata = _table(dataset, seeds, batch, inputs, scored)
    return _write(out or paths.TABLES / f"scores_{dataset}.npz", columns, {**metadata, **of_run})


def az_all(
    size: int = 32,
    seeds: Sequence[int] = (0,),
    *,
    n_jobs: int = -1,
    progress: bool = True,
    dask: str | None = None,
    batch: int | None = None,
    folder: Path | None = None,
    out: Path | None = None,
) -> Path:
    """Compute AZ-NAS's terms of all cells for a size of images, and write the table and its metadata.

    A stopped job resumes, as in `score_all`, whose parameters these are.

    Parameters
    ----------
    size
        Height and width of the images: 32 for CIFAR-10 and CIFAR-100, 16 for ImageNet16-120.
    batch
        Number of images; `parts.az_batch` of the size if None.
    out
        File of the table; the package's own, ``az_<size>px.npz``, if not given.

    Returns
    -------
    Path
        The table: columns ``expressivity, progressivity, trainability, seconds`` and, with several seeds,
        ``…_sd`` of the three, ``(15625,)`` each, in NATS order, all finite.

    Raises
    ------
    ValueError
        For a size that no data set has, no seed or one twice, or a batch of fewer than two images.
    OSError
        If a part cannot be written. Earlier parts are kept.
    """
    dataset = next((name for name, task in data.DATASETS.items() if task.size == size), None)
    if dataset is None:
        known = sorted({task.size for task in data.DATASETS.values()})
        raise ValueError(f"no data set has images of {size} pixels: choose one of {', '.join(map(str, known))}")
    seeds, batch = _checked(seeds), parts.az_batch(size) if batch is None else batch
    if batch < 2:
        raise ValueError(f"AZ-NAS normalises by the batch: at least two images are needed, got {batch}")
    wanted = [part for seed in seeds for part in parts.parts("az", dataset, seed, batch)]
    scored, of_run = _finish(wanted, folder, f"AZ-NAS, {size} pixels", n_jobs=n_jobs, progress=progress, dask=dask)
    columns, metadata = _az_table(size, seeds, batch, scored)
    return _write(out or paths.TABLES / f"az_{size}px.npz", columns, {**metadata, **of_run})


def _finish(
    wanted: Sequence[Part], folder: Path | None, what: str, *, n_jobs: int, progress: bool, dask: str | None
) -> tuple[dict[Part, Scored], dict[str, Any]]:
    """Score the parts that no earlier run kept. Gives all parts, and metadata of this run."""
    folder, begin = folder or paths.BUILD / "scores", time.perf_counter()
    kept = parts.read_parts(wanted, folder)
    missing = [part for part in wanted if part not in kept]
    with needs("tqdm"):
        from tqdm.auto import tqdm
    with tqdm(
        total=sum(len(part.archs()) for part in wanted),
        initial=sum(len(found.archs) for found in kept.values()),
        desc=what,
        unit="cell",
        disable=None if progress else True,
        smoothing=0.02,
    ) as bar:
        for found in parts.score_parts(missing, folder, n_jobs=n_jobs, dask=dask):
            bar.update(len(found.archs))
    scored = parts.read_parts(wanted, folder)
    if len(scored) < len(wanted):
        raise OSError(f"{len(wanted) - len(scored)} parts in {folder} were altered during the run: start again")
    return scored, {
        "wall_seconds_of_the_last_run": round(time.perf_counter() - begin, 1),
        "parts_of_the_last_run": f"{len(missing)} of {len(wanted)}",
    }


def _write(out: Path, columns: dict[str, NDArray[Any]], metadata: dict[str, Any]) -> Path:
    """Write a table and, beside it, its metadata."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **columns)  # type: ignore[arg-type]
    replace(out, buffer.getvalue())
    replace(out.with_suffix(".json"), (json.dumps(metadata, indent=2, ensure_ascii=False) + "\n").encode())
    return out


def _az_table(
    size: int, seeds: Sequence[int], batch: int, scored: dict[Part, Scored]
) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Columns of the table of AZ-NAS's terms, and its metadata, from all parts."""
    values = parts.by_seed(scored.items(), seeds)["az"]  # (seeds, cells, terms)
    seconds = _seconds(scored, len(seeds))
    unusable = np.any(~np.isfinite(values), axis=0)  # (cells, terms)
    finite = np.where(unusable, 0.0, values)
    columns: dict[str, NDArray[Any]] = {}
    for k, name in enumerate(AZ_TERMS):
        columns[name] = _filled_mean(finite[..., k], unusable[:, k], np.min).astype(np.float32)
    columns["seconds"] = seconds.astype(np.float32)
    if len(seeds) > 1:
        for k, name in enumerate(AZ_TERMS):
            columns[f"{name}_sd"] = finite[..., k].std(axis=0, ddof=1).astype(np.float32)
    metadata = {
        "datasets": [name for name, task in data.DATASETS.items() if task.size == size],
        "seeds": list(seeds),
        "batch": batch,
        "input": f"standard-normal noise, 3×{size}×{size}",
        "initialisation": "sub-network of one seeded super-network, see simmore/proxies/supernetwork.py",
        "columns": {
            "expressivity": "sum of the entropies of the features' spectra, nats, mean over seeds",
            "progressivity": "smallest increase of the entropy from one feature to the next, nats, mean over seeds",
            "trainability": "mean of 2 − s − 1/s over cells, mean over seeds; no gradient: the lowest finite value",
            "seconds": "of one core, for one seed; cells that share work share it equally",
            "…_sd": "standard deviation over seeds (n − 1), where there are several",
        },
        "complexity": "AZ-NAS's fourth term, computed when it is used: simmore.space.live_flops",
        "cells_without_gradient": int(unusable[:, AZ_TERMS.index("trainability")].sum()),
        "source": "Lee & Ham (2024), AZ-NAS: Assembling Zero-Cost Proxies for Network Architecture Search, CVPR",
        **_made(seconds, len(seeds)),
    }
    return columns, metadata


def _seconds(scored: dict[Part, Scored], n_seeds: int) -> NDArray[np.float64]:
    """Processor seconds of each cell and seed, ``(15625,)``."""
    seconds = np.zeros(space.N_ARCHS)
    for found in scored.values():
        seconds[found.archs] += found.seconds / n_seeds
    return seconds


def _made(seconds: NDArray[np.float64], n_seeds: int) -> dict[str, Any]:
    """Metadata that all tables have: cost, versions, machine and date."""
    machine = provenance.machine()
    return {
        "core_seconds": round(float(seconds.sum() * n_seeds), 1),
        "core_seconds_a_network_and_seed": round(float(seconds.mean()), 5),
        "definition": parts.DEFINITION,
        "versions": {"python": machine["python"], **provenance.versions("torch", "numpy")},
        "processor": f"{machine['processor']}, {machine['cores']} cores",
        "commit": provenance.commit(),
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
    }


def _table(
    dataset: str, seeds: Sequence[int], batch: int, inputs: Inputs, scored: dict[Part, Scored]
) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Columns of the table, and its metadata, from all parts."""
    task, archs = data.task(dataset), np.arange(space.N_ARCHS)
    scores = parts.by_seed(scored.items(), seeds)
    seconds = _seconds(scored, len(seeds))
    unusable = {name: np.any(~np.isfinite(scores[name]), axis=0) for name in SCORES}
    finite = {name: np.where(unusable[name], 0.0, scores[name]) for name in SCORES}
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
        **_made(seconds, len(seeds)),
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
