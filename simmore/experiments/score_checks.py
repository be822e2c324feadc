"""Are the scores right, what are they worth, and how much do they depend on chance? Tables behind Fig. 3 and S1."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from tqdm.auto import tqdm

from simmore import data, devices, parallel, paths, proxies, space
from simmore.devices import rewards
from simmore.errors import TableMissing
from simmore.experiments import statistics
from simmore.files import replace
from simmore.proxies import parts
from simmore.proxies.parts import BATCH, SCORES, Part

SPREAD = paths.TABLES / "scores_spread.csv"
NATURAL = paths.TABLES / "naswot_natural.csv"
TERMS = ("naswot", "logsynflow", "skip")


def sample_scores(
    archs: ArrayLike,
    dataset: str = "cifar10",
    *,
    seeds: Sequence[int] = (0,),
    scores: Sequence[parts.Score] = SCORES,
    inputs: parts.Inputs = "noise",
    n_jobs: int = -1,
    dask: str | None = None,
) -> pd.DataFrame:
    """Score some cells for several initialisations, on all cores.

    Returns
    -------
    pandas.DataFrame
        A row a cell and seed: ``arch``, ``seed`` and the scores asked for; −inf where a kernel is singular.
    """
    wanted = np.unique(np.asarray(archs))
    task = parts.task_of(dataset)
    reduced = sorted({space.canonical_form(int(arch)).ops for arch in wanted})
    pieces = [
        Part(score, seed, task.size, task.n_classes, BATCH, inputs, number, (ops,))
        for score in scores
        for seed in seeds
        for number, ops in enumerate(reduced)
    ]
    found = parallel.unordered(parts.score_part, pieces, n_jobs=n_jobs, dask=dask)
    rows = [
        (arch, part.seed, part.score, value)
        for part, scored in tqdm(found, total=len(pieces), desc=f"scoring a sample of {dataset}", disable=None)
        for arch, value in zip(scored.archs.tolist(), scored.values.tolist(), strict=True)  # noqa: PD011
    ]
    long = pd.DataFrame(rows, columns=["arch", "seed", "score", "value"])
    wide = long.pivot_table(index=["arch", "seed"], columns="score", values="value").reset_index()
    return wide.loc[wide["arch"].isin(wanted), ["arch", "seed", *scores]].reset_index(drop=True)


def make_samples(*, n_spread: int = 300, n_natural: int = 1_000, seed: int = 0, dask: str | None = None) -> None:
    """Compute the package's two small tables anew: the spread over initialisations, and NASWOT from natural-like input.

    `SPREAD`: ``dataset, arch, seed, naswot, logsynflow``, three initialisations of 300 random cells. `NATURAL`:
    ``arch, naswot``, the first initialisation of 1,000 random cells, with noise whose spectrum is natural images'.
    """
    rng = np.random.default_rng(seed)
    few = rng.choice(space.N_ARCHS, size=n_spread, replace=False)
    many = rng.choice(space.N_ARCHS, size=n_natural, replace=False)
    frames: list[pd.DataFrame] = []
    for dataset in data.DATASETS:
        # CIFAR-100 has CIFAR-10's images in size and number, so its NASWOT is the same
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
    """How much chance there is in a score: of each data set and score, from `SPREAD`.

    Returns
    -------
    pandas.DataFrame
        ``dataset``, ``score``, ``relative_sd`` (median over cells of the standard deviation over the seeds, as a
        share of the mean) and ``spearman`` (mean over pairs of seeds).
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
    """Own scores against FreeREA's published ones, over the cells where both are finite.

    Returns
    -------
    pandas.DataFrame
        ``dataset``, ``score``, ``spearman``, ``kendall``, ``top_5_percent`` (share of the published top 5 % that is in
        the own top 5 %); no rows for data sets whose published scores are not to be had.
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


def correlations(dataset: str, *, resamples: int = 300, rng: np.random.Generator) -> pd.DataFrame:
    """Spearman of everything that could rank cells with their accuracy, with bootstrap 95 % intervals (Fig. S1).

    Own scores, parameters and FLOPs always; published scores, and test accuracy, where they are to be had; NASWOT from
    natural-like input, and from noise over the same 1,000 cells, for CIFAR-10.

    Returns
    -------
    pandas.DataFrame
        ``dataset``, ``score``, ``against`` (validation or test), ``cells``, ``spearman``, ``low``, ``high``.
    """
    own = data.scores(dataset)
    ranked: dict[str, pd.Series] = {
        "p": pd.Series(proxies.stored_score(dataset)),
        **{name: own[name] for name in (*TERMS, "params", "flops")},
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
        pass  # the own scores are compared all the same
    rows = []
    for name, values in ranked.items():
        finite = values[np.isfinite(values)]
        for kind, accuracy in against.items():
            pair = finite.to_numpy(), accuracy[finite.index]
            low, high = statistics.spearman_interval(*pair, resamples=resamples, rng=rng)
            rows.append((dataset, name, kind, len(finite), statistics.spearman(*pair), low, high))
    return pd.DataFrame(rows, columns=["dataset", "score", "against", "cells", "spearman", "low", "high"])


def leave_one_out(dataset: str, tested: Sequence[devices.Device]) -> pd.DataFrame:
    """What each term of p adds: p without it, and p itself.

    Returns
    -------
    pandas.DataFrame
        ``dataset``; ``without``; ``spearman`` with validation accuracy; ``regret`` of the cell that is best for a
        device by the score that is left, when validation accuracy (min–max normalised) takes p's place in the
        reward, normalised (0 the best cell, 1 random search), mean over the devices; ``accuracy`` of that cell, %.
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
    """Regret and accuracy of the best cell by a score on a device, `leave_one_out`."""
    latency = device.latency_ms(np.arange(space.N_ARCHS))
    arch = rewards.optimum(score, latency)
    true_rewards = rewards.reward(proxies.normalise(accuracy), latency)
    return float(rewards.normalised_regret(true_rewards, arch)), float(accuracy[arch])
