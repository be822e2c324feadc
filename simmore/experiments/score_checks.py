"""Checks of the training-free scores: agreement with the published ones, usefulness, effect of the initialisation.

The tables behind Fig. 3 and Fig. S1.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from tqdm.auto import tqdm

from simmore import data, devices, parallel, paths, proxies, space
from simmore.errors import TableMissing, needs
from simmore.experiments import statistics
from simmore.files import replace
from simmore.proxies import parts

SPREAD = paths.TABLES / "scores_spread.csv"
NATURAL = paths.TABLES / "naswot_natural.csv"
TERMS = ("naswot", "logsynflow", "skip")


def sample_scores(
    archs: ArrayLike,
    dataset: str = "cifar10",
    *,
    seeds: Sequence[int] = (0,),
    scores: Sequence[parts.Score] = parts.SCORES,
    inputs: parts.Inputs = "noise",
    n_jobs: int = -1,
    dask: str | None = None,
) -> pd.DataFrame:
    """Score some cells for several initialisations, on all cores.

    Returns
    -------
    pandas.DataFrame
        One row per cell and seed: ``arch``, ``seed`` and the scores; −inf where a kernel is singular.
    """
    wanted = np.unique(np.asarray(archs))
    pieces = [
        part
        for score in scores
        for seed in seeds
        for part in parts.parts(score, dataset, seed, inputs=inputs, archs=wanted)
    ]
    found = parallel.unordered(parts.score_part, pieces, n_jobs=n_jobs, dask=dask)
    values = parts.by_seed(tqdm(found, total=len(pieces), desc=f"scoring a sample of {dataset}", disable=None), seeds)
    columns = {"arch": np.repeat(wanted, len(seeds)), "seed": np.tile(seeds, len(wanted))}
    return pd.DataFrame(columns | {score: values[score][:, wanted].T.ravel() for score in scores})


def scoring_seconds(archs: Sequence[int], dataset: str = "cifar10", *, alone: bool = False) -> tuple[float, float]:
    """Processor seconds of one thread for the scores of all given cells: fast, and by the plain definitions.

    A job over all cells scores cells of one canonical form together, so a cell counts with its share of their seconds.
    With `alone`, it counts with all of them. The time to build the plain networks is not included.
    """
    with needs("torch"):
        import torch
    from simmore.proxies import supernetwork

    def fast_seconds(arch: int) -> float:
        pieces = [part for score in parts.SCORES for part in parts.parts(score, dataset, 0, archs=[arch])]
        seconds = [parts.score_part(part)[1].seconds for part in pieces]
        return float(sum(shares.sum() if alone else shares[0] for shares in seconds))

    task, plain = data.task(dataset), 0.0
    noise = supernetwork.images(0, task.size, parts.BATCH)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        fast_seconds(space.to_arch((0, 0, 0, 1, 0, 0)))  # computes what all cells share
        fast = sum(fast_seconds(arch) for arch in archs)
        for arch in archs:
            network = supernetwork.initialise(space.network(arch, n_classes=task.n_classes), arch, seed=0)
            begin = time.process_time()
            proxies.naswot(network, noise)
            proxies.log_synflow(network, (3, task.size, task.size))
            plain += time.process_time() - begin
    finally:
        torch.set_num_threads(threads)
    return fast, plain


def make_samples(*, n_spread: int = 300, n_natural: int = 1_000, seed: int = 0, dask: str | None = None) -> None:
    """Compute the two small tables in the package: spread over initialisations, and NASWOT from natural-like images.

    `SPREAD`: ``dataset, arch, seed, naswot, logsynflow``, three initialisations of 300 random cells. `NATURAL`:
    ``arch, naswot``, the first initialisation of 1,000 random cells, with noise that has natural images' spectrum.
    """
    rng = np.random.default_rng(seed)
    few = rng.choice(space.N_ARCHS, size=n_spread, replace=False)
    many = rng.choice(space.N_ARCHS, size=n_natural, replace=False)
    frames: list[pd.DataFrame] = []
    for dataset in data.DATASETS:
        # images of CIFAR-10 and CIFAR-100 have one size, so NASWOT is the same
        scores: tuple[parts.Score, ...] = ("logsynflow",) if dataset == "cifar100" else ("naswot", "logsynflow")
        frame = sample_scores(few, dataset, seeds=(0, 1, 2), scores=scores, dask=dask)
        if dataset == "cifar100":
            frame.insert(2, "naswot", frames[0]["naswot"])
        frames.append(frame.assign(dataset=dataset))
    spread = pd.concat(frames)[["dataset", "arch", "seed", "naswot", "logsynflow"]]
    natural = sample_scores(many, scores=("naswot",), inputs="natural", dask=dask).drop(columns="seed")
    for file, frame in ((SPREAD, spread), (NATURAL, natural)):
        replace(file, frame.to_csv(index=False, float_format="%.7g", lineterminator="\n").encode())


def spread(table: pd.DataFrame) -> pd.DataFrame:
    """Spread of each score over initialisations, from `SPREAD`.

    Returns
    -------
    pandas.DataFrame
        ``dataset``, ``score``, ``relative_sd`` (standard deviation over seeds divided by the mean; median over cells)
        and ``spearman`` (mean over pairs of seeds).
    """
    rows = []
    for dataset, of_dataset in table.replace(-np.inf, np.nan).groupby("dataset", sort=False):
        for name in ("naswot", "logsynflow"):
            wide = of_dataset.pivot_table(index="arch", columns="seed", values=name).dropna()  # (cells, seeds)
            wide = wide[wide.mean(axis=1) > 0]
            relative = (wide.std(axis=1) / wide.mean(axis=1)).median()
            pairs = wide.corr(method="spearman").to_numpy()[np.triu_indices(wide.shape[1], 1)]
            rows.append((dataset, name, relative, pairs.mean()))
    return pd.DataFrame(rows, columns=["dataset", "score", "relative_sd", "spearman"])


def agreement() -> pd.DataFrame:
    """Agreement of our scores with FreeREA's published ones, over the cells where both are finite.

    Returns
    -------
    pandas.DataFrame
        ``dataset``, ``score``, ``spearman``, ``kendall``, ``top_5_percent`` (share of the published top 5 % that is in
        our top 5 %). No rows for data sets whose published scores are not available.
    """
    rows = []
    for dataset in data.DATASETS:
        try:
            published = data.published_scores(dataset)
        except TableMissing:
            continue
        own = data.scores(dataset)
        for name in ("naswot", "logsynflow"):
            finite = np.isfinite(published[name].to_numpy())
            a, b = own[name].to_numpy()[finite], published[name].to_numpy()[finite]
            n = round(0.05 * len(a))
            common = np.intersect1d(np.argsort(-a, kind="stable")[:n], np.argsort(-b, kind="stable")[:n])
            rows.append((dataset, name, statistics.spearman(a, b), statistics.kendall(a, b), len(common) / n))
    return pd.DataFrame(rows, columns=["dataset", "score", "spearman", "kendall", "top_5_percent"])


def correlations(dataset: str) -> pd.DataFrame:
    """Spearman correlation of scores with accuracy, with 95 % intervals over cells (Fig. S1).

    p, its terms, parameters and FLOPs, AZ-NAS and its terms, and the combined score. Published scores and test accuracy
    if they are available. For CIFAR-10 also NASWOT from natural-like images, and from noise for the same 1,000 cells.

    Returns
    -------
    pandas.DataFrame
        ``dataset``, ``score``, ``against`` (validation or test), ``cells``, ``spearman``, ``low``, ``high``.
    """
    own = data.scores(dataset)
    ranked: dict[str, pd.Series] = {
        "p": pd.Series(proxies.stored_score(dataset)),
        **{name: own[name] for name in (*TERMS, "params", "flops")},
        **{name: data.az_terms(dataset)[name] for name in parts.AZ_TERMS},
        "AZ-NAS": pd.Series(proxies.stored_score(dataset, "az")),
        "combined": pd.Series(proxies.stored_score(dataset, "combined")),
    }
    if dataset == "cifar10":
        natural = pd.read_csv(NATURAL, index_col="arch")["naswot"]
        ranked["naswot, natural-like, sample"] = natural
        ranked["naswot, noise, same sample"] = own["naswot"].loc[natural.index]
    against = {"validation": data.accuracy(dataset)}
    try:
        published = data.published_scores(dataset)
        against["test"] = published["accuracy"].to_numpy()
        ranked |= {f"{name}, published": published[name] for name in ("naswot", "logsynflow")}
    except TableMissing:
        pass
    rows = []
    for name, values in ranked.items():
        finite = values[np.isfinite(values)]
        for kind, accuracy in against.items():
            pair = finite.to_numpy(), accuracy[finite.index]
            rows.append((dataset, name, kind, len(finite), *statistics.spearman_interval(*pair)))
    return pd.DataFrame(rows, columns=["dataset", "score", "against", "cells", "spearman", "low", "high"])


def leave_one_out(dataset: str, tested: Sequence[devices.Device]) -> pd.DataFrame:
    """Effect of each term of p: p without it, and p itself.

    Returns
    -------
    pandas.DataFrame
        ``dataset``; ``without``; ``spearman`` with validation accuracy; ``regret`` of the cell that is optimal for a
        device under the remaining score, in the reward with normalised validation accuracy instead of p, normalised
        (0: the best cell, 1: the best of ten random cells), mean over the devices; ``accuracy`` of that cell in %.
    """
    terms = {name: proxies.normalise(data.scores(dataset)[name]) for name in TERMS}
    accuracy = data.accuracy(dataset)
    rows = []
    for without in ("nothing", *TERMS):
        score = np.mean([values for name, values in terms.items() if name != without], axis=0)
        regrets, found = zip(*(_optimum(score, accuracy, device) for device in tested), strict=True)
        rows.append((dataset, without, statistics.spearman(score, accuracy), np.mean(regrets), np.mean(found)))
    return pd.DataFrame(rows, columns=["dataset", "without", "spearman", "regret", "accuracy"])


def _optimum(score: NDArray[np.float64], accuracy: NDArray[np.float64], device: devices.Device) -> tuple[float, float]:
    """Regret and accuracy of the optimal cell under a score on a device, see `leave_one_out`."""
    latency = device.latency_ms(np.arange(space.N_ARCHS))
    arch = devices.optimum(score, latency)
    true_rewards = devices.reward(proxies.normalise(accuracy), latency)
    return float(devices.normalised_regret(true_rewards, arch)), float(accuracy[arch])
