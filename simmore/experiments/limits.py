"""Search under a latency limit: the highest score within it (paper, section 3.1), compared with HELP's table 4."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm.auto import tqdm

from simmore import data, devices, parallel, proxies, space
from simmore.errors import TableMissing
from simmore.experiments.comparison import Case, searches
from simmore.strategies import BUDGET, Problem, recommendation

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
# Akhauri & Abdelfattah (2024), NASFLAT: latency in ms and CIFAR-100 accuracy in %, twenty samples, published. The
# limits that were searched under are not stated.
NASFLAT: dict[str, tuple[tuple[float, float], ...]] = {
    "pixel2": ((12.2, 65.86), (14.2, 69.82), (19.8, 71.93), (25.6, 72.99), (34.0, 73.51)),
}
KEPT_BY_HELP = tuple(case for case, (latency, _) in HELP.items() if latency <= case[1])
COLUMNS = ["strategy", "device", "limit_ms", "latency_ms", "accuracy", "n_measured", "violates_limit"]


def score_with_parameters(dataset: str = "cifar100") -> NDArray[np.float64]:
    """Score p with the number of parameters as a fourth term of equal weight, ``(15625,)``; still training-free.

    A latency limit already keeps cells small; the score only has to rank them.
    """
    return (3 * proxies.stored_score(dataset) + proxies.normalise(data.parameters(dataset))) / 4


def accuracies(dataset: str = "cifar100") -> dict[str, NDArray[np.float64]]:
    """Accuracies in %: FreeREA's published ``test`` accuracy where it is available, the embedded ``validation`` one."""
    found = {"validation": data.accuracy(dataset)}
    try:
        return {"test": data.published_scores(dataset)["accuracy"].to_numpy(), **found}
    except TableMissing:
        return found


def cases() -> list[tuple[devices.Device, float]]:
    """HELP's devices and limits whose tables are on this machine; else NATS-Bench's GPU at three quantiles."""
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
    """Recommendations of strategies under every limit, with at most ten measurements.

    Returns
    -------
    pandas.DataFrame
        A row per search: `COLUMNS`, ``start`` and ``arch``. Latency and accuracy are NaN and ``arch`` is −1 where a
        search found no cell within the limit.
    """
    grid = [(name, device, limit) for name in names for device, limit in cases]
    search_one = partial(_recommendations, problem=Problem(score, dataset="cifar100"), n_starts=n_starts)
    tasks = list(enumerate(grid))
    found = dict(tqdm(parallel.unordered(search_one, tasks, n_jobs=n_jobs, dask=dask), total=len(grid),
                      desc="under a limit", disable=None))  # fmt: skip
    frame = pd.concat([found[k] for k in range(len(grid))], ignore_index=True)
    return judged(frame, accuracy)[[*COLUMNS, "start", "arch"]]


def _recommendations(
    task: tuple[int, tuple[str, devices.Device, float]], problem: Problem, n_starts: int
) -> tuple[int, pd.DataFrame]:
    """One strategy on one device under one limit, a row per start."""
    number, (name, device, limit) = task
    limited = dataclasses.replace(problem, max_latency_ms=limit)
    rows = []
    for start, session in searches(Case(name, device, limited, n_starts=n_starts, budget=BUDGET)):
        ranked = recommendation.ranked(session.rule, limited, session.history)
        arch, latency = (ranked[0], session.history[ranked[0]]) if ranked else (-1, np.nan)
        rows.append((name, device.name, limit, latency, len(session.history), latency > limit, start, arch))
    columns = [column for column in COLUMNS if column != "accuracy"]
    return number, pd.DataFrame(rows, columns=[*columns, "start", "arch"])


def judged(frame: pd.DataFrame, accuracy: NDArray[np.float64]) -> pd.DataFrame:
    """The same searches (`constrained`) with another accuracy of all cells, ``(15625,)`` in %."""
    return frame.assign(accuracy=np.where(frame["arch"] < 0, np.nan, accuracy[frame["arch"]]))


def references(score: NDArray[np.float64], accuracy: NDArray[np.float64]) -> pd.DataFrame:
    """References of each limit, in `COLUMNS`: the most accurate cell, the highest score, HELP's published result."""
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


def nasflat_cases() -> list[tuple[devices.Device, float]]:
    """NASFLAT's published latencies as limits, on the devices whose tables are on this machine."""
    return [(device, latency) for device in devices.available(NASFLAT) for latency, _ in NASFLAT[device.name]]


def nasflat_points() -> pd.DataFrame:
    """NASFLAT's published points in `COLUMNS`; the latency stands for the limit, which is not stated."""
    rows = [
        ("NASFLAT (published)", device, latency, latency, accuracy, 20, False)
        for device, points in NASFLAT.items()
        for latency, accuracy in points
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def kept_by_help(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows of the ten limits that HELP kept."""
    chosen = [case in KEPT_BY_HELP for case in zip(frame["device"], frame["limit_ms"], strict=True)]
    return frame[chosen]


def overview(frame: pd.DataFrame) -> pd.DataFrame:
    """By strategy: mean accuracy (%) over limits, mean measurements, limits broken, share of searches without a result.

    ``all`` is over all limits, ``kept`` over the ten that HELP kept; all limits have equal weight.
    """
    by_limit = frame.assign(none=frame["accuracy"].isna()).groupby(["strategy", "device", "limit_ms"], sort=False)
    means = by_limit[["accuracy", "n_measured", "violates_limit", "none"]].mean().reset_index()
    rows = means.groupby("strategy", sort=False)
    table = pd.DataFrame({"accuracy, all": rows["accuracy"].mean()})
    table["accuracy, kept"] = kept_by_help(means).groupby("strategy", sort=False)["accuracy"].mean()
    table["n_measured"] = rows["n_measured"].mean()
    table["limits broken"] = rows["violates_limit"].sum()
    table["none found"] = rows["none"].mean()
    return table
