"""Under a latency limit: the highest score that keeps it (paper, section 3.1), beside HELP's table 4."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm.auto import tqdm

from simmore import data, devices, parallel, proxies, space
from simmore.errors import TableMissing
from simmore.strategies import catalogue as strategies
from simmore.strategies import loop

# Lee et al. (2021), table 4: limit → latency in ms and CIFAR-100 accuracy in %, ten samples, published.
HELP: dict[tuple[str, float], tuple[float, float]] = {
    ("titan_rtx_256", 18): (17.8, 69.7),
    ("titan_rtx_256", 21): (18.9, 71.5),
    ("titan_rtx_256", 25): (24.2, 71.8),
    ("gold_6226", 8): (8.0, 67.3),
    ("gold_6226", 11): (10.7, 70.2),
    ("gold_6226", 14): (14.3, 72.1),
    ("pixel2", 14): (13.0, 69.7),
    ("pixel2", 18): (19.0, 71.8),
    ("pixel2", 22): (25.0, 73.2),
    ("eyeriss", 5): (3.9, 71.5),
    ("eyeriss", 7): (5.1, 71.8),
    ("eyeriss", 9): (9.1, 73.5),
    ("fpga", 4): (3.8, 70.2),
    ("fpga", 5): (4.7, 71.8),
    ("fpga", 6): (7.4, 73.5),
}
KEPT_BY_HELP = tuple(case for case, (latency, _) in HELP.items() if latency <= case[1])
COLUMNS = ["strategy", "device", "limit_ms", "latency_ms", "accuracy", "measurements", "violates"]


def score_with_parameters(dataset: str = "cifar100") -> NDArray[np.float64]:
    """Score p with the number of parameters as a fourth term of equal weight, ``(15625,)``: still nothing is trained.

    Under a limit, latency keeps cells small, and the score has to say which of the small ones is best.
    """
    return (3 * proxies.stored_score(dataset) + proxies.normalise(data.parameters(dataset))) / 4


def accuracies(dataset: str = "cifar100") -> dict[str, NDArray[np.float64]]:
    """Accuracies in %: FreeREA's published ``test`` accuracy where it is to be had, the embedded ``validation`` one."""
    found = {"validation": data.accuracy(dataset)}
    try:
        return {"test": data.published_scores(dataset)["accuracy"].to_numpy(), **found}
    except TableMissing:
        return found


def cases() -> list[tuple[devices.Device, float]]:
    """HELP's devices and limits whose tables are to be had; without any, NATS-Bench's GPU at three of its own."""
    measured = {device.name: device for device in devices.available(dict.fromkeys(name for name, _ in HELP))}
    if measured:
        return [(measured[name], limit) for name, limit in HELP if name in measured]
    gpu = devices.load("nats_gpu")
    latency = gpu.latency_ms(np.arange(space.N_ARCHS))
    return [(gpu, round(float(np.quantile(latency, share)), 2)) for share in (0.2, 0.4, 0.6)]


def constrained(
    names: Sequence[str],
    score: NDArray[np.float64],
    accuracy: NDArray[np.float64],
    *,
    cases: Sequence[tuple[devices.Device, float]],
    n_starts: int = 20,
    n_jobs: int = -1,
    dask: str | None = None,
) -> pd.DataFrame:
    """Answers of strategies under every limit, with at most ten measurements, on all cores or a cluster.

    Returns
    -------
    pandas.DataFrame
        A row a search, the columns `COLUMNS`, ``seed`` and ``arch``; latency and accuracy are NaN, and ``arch`` −1,
        where a search says that it found none.
    """
    grid = [(name, device, limit) for name in names for device, limit in cases]
    search_one = partial(_answers, score=score, n_starts=n_starts)
    done = parallel.unordered(search_one, grid, n_jobs=n_jobs, dask=dask)
    frame = pd.concat(tqdm(done, total=len(grid), desc="under a limit", disable=None), ignore_index=True)
    order = {(name, device.name, limit): k for k, (name, device, limit) in enumerate(grid)}
    place = [order[case] for case in zip(frame["strategy"], frame["device"], frame["limit_ms"], strict=True)]
    frame = frame.assign(place=place).sort_values(["place", "seed"], ignore_index=True).drop(columns="place")
    return judged(frame, accuracy)[[*COLUMNS, "seed", "arch"]]


def _answers(case: tuple[str, devices.Device, float], score: NDArray[np.float64], n_starts: int) -> pd.DataFrame:
    """One strategy's answers on one device under one limit, a row a start; accuracy is still to be judged."""
    name, device, limit = case
    strategy = strategies.make(name, device.name, limit)
    rows = []
    for seed, start in enumerate(np.random.default_rng(0).integers(space.N_ARCHS, size=n_starts)):
        rng = np.random.default_rng([0, seed])
        found = loop.search(device, strategy, start=int(start), seed=rng, score=score, max_latency_ms=limit)
        latency, arch = (np.nan, -1) if found.arch is None else (found.latency_ms, found.arch)
        rows.append((name, device.name, limit, latency, found.measurements, latency > limit, seed, arch))
    return pd.DataFrame(rows, columns=[name for name in COLUMNS if name != "accuracy"] + ["seed", "arch"])


def judged(answers: pd.DataFrame, accuracy: NDArray[np.float64]) -> pd.DataFrame:
    """The same answers (`constrained`) with another accuracy of all cells, ``(15625,)`` in %."""
    return answers.assign(accuracy=np.where(answers["arch"] < 0, np.nan, accuracy[answers["arch"]]))


def references(score: NDArray[np.float64], accuracy: NDArray[np.float64]) -> pd.DataFrame:
    """What each limit allows, in `COLUMNS`: the most accurate cell, the highest score, and HELP's published answer."""
    rows: list[tuple[object, ...]] = []
    for device, limit in cases():
        latency = device.latency_ms(np.arange(space.N_ARCHS))
        for name, by in (("best accuracy within", accuracy), ("best score within", score)):
            arch = int(np.where(latency <= limit, by, -np.inf).argmax())
            rows.append((name, device.name, limit, latency[arch], accuracy[arch], space.N_ARCHS, False))
        if (device.name, limit) in HELP:
            theirs, reached = HELP[device.name, limit]
            rows.append(("HELP (published)", device.name, limit, theirs, reached, 10, theirs > limit))
    return pd.DataFrame(rows, columns=COLUMNS)


def kept_by_help(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows of the ten limits that HELP's answers kept."""
    chosen = [case in KEPT_BY_HELP for case in zip(frame["device"], frame["limit_ms"], strict=True)]
    return frame[chosen]


def overview(frame: pd.DataFrame) -> pd.DataFrame:
    """By strategy: mean accuracy (%) over limits, mean measurements, limits broken, and the share without an answer.

    ``all`` is over all limits, ``kept`` over the ten that HELP kept; each limit counts once, however many searches.
    """
    by_limit = frame.assign(none=frame["accuracy"].isna()).groupby(["strategy", "device", "limit_ms"], sort=False)
    means = by_limit[["accuracy", "measurements", "violates", "none"]].mean().reset_index()
    rows = means.groupby("strategy", sort=False)
    table = pd.DataFrame({"accuracy, all": rows["accuracy"].mean()})
    table["accuracy, kept"] = kept_by_help(means).groupby("strategy", sort=False)["accuracy"].mean()
    table["measurements"] = rows["measurements"].mean()
    table["limits broken"] = rows["violates"].sum()
    table["none found"] = rows["none"].mean()
    return table
