"""Accuracy that a training-free score costs: the accuracy lost within latency limits, and the front reached.

A user wants the most accurate cell that is fast enough. For each device, a limit is a quantile of its latencies. The
*accuracy lost* is the validation accuracy of the most accurate cell within the limit, minus that of the recommendation.
If the latency of every cell is known, the recommendation is the cell with the highest score within the limit.
Otherwise it is the result of a search with a few measurements, without tables of other devices.

The *front* that a search reaches is the hypervolume that its measured cells dominate in the plane of latency and
accuracy, relative to what all cells dominate. It counts accuracies above the median cell's, and latencies below the
slowest cell's.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from simmore import data, devices, parallel, proxies
from simmore.devices import Device
from simmore.experiments import comparison, statistics
from simmore.strategies import BEST, BUDGET, Problem, recommendation

QUANTILES = (0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0)
"""Limits, as quantiles of a device's latencies."""
SEARCHED = ("freerea", "combined")
"""Named scores that searches use."""
COLUMNS = ["dataset", "score", "device", "quantile", "measurements", "start", "lost"]
FRONT_COLUMNS = ["dataset", "score", "device", "start", "measurements", "hypervolume"]


def tested_devices() -> list[Device]:
    """All devices whose latencies are known for every cell: measured ones, benchmarked runtimes, NATS-Bench's GPU."""
    return [*devices.available((*data.MEASURED, *data.BENCHMARKED)), devices.load("nats_gpu")]


def limit_ms(device: Device, quantile: float) -> float:
    """A quantile of a device's latencies, in ms; cells that failed do not count."""
    latency = devices.whole_table(device)
    return float(np.quantile(latency[np.isfinite(latency)], quantile))


def lost_within(score: ArrayLike, accuracy: ArrayLike, latency_ms: ArrayLike, limit_ms: float) -> float:
    """Accuracy lost by taking the cell with the highest score within a limit, ``(cells,)`` each.

    >>> lost_within([3, 2, 1], [70, 90, 80], [5, 4, 3], 4)  # the best score within 4 ms is the most accurate cell
    0.0
    >>> lost_within([3, 2, 1], [70, 90, 80], [5, 4, 3], 9)
    20.0
    """
    within = np.asarray(latency_ms) <= limit_ms
    accuracy = np.asarray(accuracy, dtype=np.float64)
    chosen = int(np.where(within, np.asarray(score, dtype=np.float64), -np.inf).argmax())
    return float(accuracy[within].max() - accuracy[chosen])


def known_latency(
    tested: Iterable[Device],
    names: Sequence[str] = tuple(proxies.SCORES),
    *,
    datasets: Sequence[str] = tuple(data.DATASETS),
    quantiles: Sequence[float] = QUANTILES,
) -> pd.DataFrame:
    """Accuracy lost where the latency of every cell is known.

    Parameters
    ----------
    tested, names, datasets
        Devices, named scores and data sets.
    quantiles
        Of each device's latencies: the limits.

    Returns
    -------
    pandas.DataFrame
        The columns `COLUMNS`; ``measurements`` is infinite, ``start`` 0, ``lost`` in points of validation accuracy.
    """
    rows = []
    for device in tested:
        latency = devices.whole_table(device)
        limits = [limit_ms(device, quantile) for quantile in quantiles]
        for dataset, name in product(datasets, names):
            score, accuracy = proxies.stored_score(dataset, name), data.accuracy(dataset)
            for quantile, limit in zip(quantiles, limits, strict=True):
                lost = lost_within(score, accuracy, latency, limit)
                rows.append((dataset, name, device.name, quantile, np.inf, 0, lost))
    return pd.DataFrame(rows, columns=COLUMNS)


def after_measurements(
    tested: Iterable[Device],
    names: Sequence[str] = SEARCHED,
    *,
    datasets: Sequence[str] = tuple(data.DATASETS),
    quantiles: Sequence[float] = QUANTILES,
    n_starts: int = 1,
    budget: int = BUDGET,
    n_jobs: int = -1,
) -> pd.DataFrame:
    """Accuracy lost by searches under each limit, by expected improvement without tables of other devices.

    Parameters
    ----------
    tested, names, datasets, quantiles
        As in `known_latency`.
    n_starts
        Random starts under each limit.
    budget
        Distinct cells that a search measures.
    n_jobs
        See `parallel.unordered`.

    Returns
    -------
    pandas.DataFrame
        The columns `COLUMNS`, a row per search. ``lost`` is NaN if no measured cell is within the limit.
    """
    rows = _run(_lost_by_searches, tested, names, datasets, (tuple(quantiles), n_starts, budget), n_jobs)
    return pd.DataFrame(rows, columns=COLUMNS)


def fronts(
    tested: Iterable[Device],
    names: Sequence[str] = SEARCHED,
    *,
    datasets: Sequence[str] = tuple(data.DATASETS),
    n_starts: int = 1,
    budget: int = BUDGET,
    n_jobs: int = -1,
) -> pd.DataFrame:
    """Share of the true front's hypervolume that the measured cells of a search reach (see the module).

    The search maximises the reward with weight 1, without tables. Parameters as in `after_measurements`.

    Returns
    -------
    pandas.DataFrame
        The columns `FRONT_COLUMNS`, a row per search.
    """
    rows = _run(_fronts_of_searches, tested, names, datasets, (n_starts, budget), n_jobs)
    return pd.DataFrame(rows, columns=FRONT_COLUMNS)


def _run(
    function: Callable[[Any], tuple[int, list[tuple[object, ...]]]],
    tested: Iterable[Device],
    names: Sequence[str],
    datasets: Sequence[str],
    settings: tuple[object, ...],
    n_jobs: int,
) -> list[tuple[object, ...]]:
    """Rows of a function of each data set, score and device, in this order."""
    grid = [(number, *each, *settings) for number, each in enumerate(product(datasets, names, tested))]
    found: dict[int, list[tuple[object, ...]]] = dict(parallel.unordered(function, grid, n_jobs=n_jobs))
    return [row for number in range(len(grid)) for row in found[number]]


def _lost_by_searches(
    task: tuple[int, str, str, Device, tuple[float, ...], int, int],
) -> tuple[int, list[tuple[object, ...]]]:
    """Rows of `after_measurements` of one data set, score and device."""
    number, dataset, name, device, quantiles, n_starts, budget = task
    problem, accuracy = Problem.of(dataset, score=name), data.accuracy(dataset)
    latency = devices.whole_table(device)
    rows: list[tuple[object, ...]] = []
    for quantile in quantiles:
        limit = limit_ms(device, quantile)
        limited = dataclasses.replace(problem, max_latency_ms=limit)
        best = accuracy[latency <= limit].max()
        case = comparison.Case(BEST, device, limited, protocol="none", n_starts=n_starts, budget=budget)
        for start, session in comparison.searches(case):
            ranked = recommendation.ranked(session.rule, limited, session.history)
            lost = best - accuracy[ranked[0]] if ranked else np.nan
            rows.append((dataset, name, device.name, quantile, budget, start, lost))
    return number, rows


def _fronts_of_searches(task: tuple[int, str, str, Device, int, int]) -> tuple[int, list[tuple[object, ...]]]:
    """Rows of `fronts` of one data set, score and device."""
    number, dataset, name, device, n_starts, budget = task
    problem, accuracy = Problem.of(dataset, score=name), data.accuracy(dataset)
    latency = devices.whole_table(device)
    worst = devices.bounds(latency)[1], float(np.median(accuracy))
    possible = hypervolume(latency, accuracy, worst)
    rows: list[tuple[object, ...]] = []
    case = comparison.Case(BEST, device, problem, protocol="none", n_starts=n_starts, budget=budget)
    for start, session in comparison.searches(case):
        archs, measured_ms = session.history.compiled
        reached = hypervolume(measured_ms, accuracy[archs], worst)
        rows.append((dataset, name, device.name, start, budget, reached / possible))
    return number, rows


def hypervolume(latency_ms: ArrayLike, accuracy: ArrayLike, worst: tuple[float, float]) -> float:
    """Area that points dominate in the plane of latency and accuracy, up to the worst latency and accuracy.

    A cell dominates all that is slower and less accurate. Infinite latencies and NaN do not count.

    >>> hypervolume([1.0, 2.0], [80.0, 90.0], (4.0, 70.0))  # 3 ms × 10 points, and 2 ms × 10 more
    50.0
    """
    latency, values = np.asarray(latency_ms, dtype=np.float64), np.asarray(accuracy, dtype=np.float64)
    counts = (latency < worst[0]) & (values > worst[1])  # false for NaN
    latency, values = latency[counts], values[counts]
    order = np.lexsort((-values, latency))
    latency, best = np.append(latency[order], worst[0]), np.maximum.accumulate(values[order])
    return float((np.diff(latency) * (best - worst[1])).sum())


def by_quantile(frame: pd.DataFrame) -> pd.DataFrame:
    """Mean accuracy lost at each limit, with its interval over devices.

    Parameters
    ----------
    frame
        Result of `known_latency` or `after_measurements`, or both.

    Returns
    -------
    pandas.DataFrame
        ``dataset, score, measurements, quantile, lost, low, high``.
    """
    keys = ["dataset", "score", "measurements", "quantile"]
    return _over_devices(frame, keys, "lost")


def summary(frame: pd.DataFrame, value: str = "lost") -> pd.DataFrame:
    """Mean over limits and starts, with its interval over devices, and the worst single case.

    Parameters
    ----------
    frame
        Result of `known_latency`, `after_measurements` or `fronts`.
    value
        The column that is averaged.

    Returns
    -------
    pandas.DataFrame
        ``dataset, score, measurements``, the mean, ``low, high``, ``worst`` (the largest) and ``none``: the share of
        searches without a recommendation, which are not among the others.
    """
    keys = ["dataset", "score", "measurements"]
    found = _over_devices(frame, keys, value)
    groups = frame.groupby(keys, sort=False)[value]
    extra = pd.DataFrame({"worst": groups.max(), "none": groups.apply(lambda part: part.isna().mean())}).reset_index()
    return found.merge(extra, on=keys)


def _over_devices(frame: pd.DataFrame, keys: list[str], value: str) -> pd.DataFrame:
    """Mean of a column by some keys, each device with equal weight, and its interval over devices (NaN for one)."""
    rows = []
    for key, group in frame.groupby(keys, sort=False):
        means = group.groupby("device", sort=False)[value].mean().dropna().to_numpy()
        low, high = statistics.interval(means)[1:] if len(means) > 1 else (np.nan, np.nan)
        rows.append((*key, means.mean() if len(means) else np.nan, low, high))
    return pd.DataFrame(rows, columns=[*keys, value, "low", "high"])


def added(frame: pd.DataFrame, dataset: str, score: str) -> statistics.Interval:
    """How much more accuracy is lost after measurements than with latency known, with its interval over devices.

    Parameters
    ----------
    frame
        Rows of `known_latency` and of `after_measurements`, at the same limits.
    """
    chosen = frame[(frame["dataset"] == dataset) & (frame["score"] == score)].dropna(subset="lost")
    chosen = chosen.assign(known=np.isinf(chosen["measurements"]))
    means = chosen.pivot_table(index=["device", "quantile"], columns="known", values="lost")
    difference = (means[False] - means[True]).dropna().groupby("device").mean().to_numpy()
    if len(difference) < 2:
        return statistics.Interval(float(difference.mean()), np.nan, np.nan)
    return statistics.interval(difference)


def correlations(names: Sequence[str] = tuple(proxies.SCORES)) -> pd.DataFrame:
    """Rank correlations of named scores with validation accuracy, with intervals over cells.

    Returns
    -------
    pandas.DataFrame
        ``dataset, score, spearman, spearman_low, spearman_high, kendall, kendall_low, kendall_high``.
    """
    rows = []
    for dataset, name in product(data.DATASETS, names):
        pair: tuple[NDArray[np.float64], NDArray[np.float64]]
        pair = proxies.stored_score(dataset, name), data.accuracy(dataset)
        rows.append((dataset, name, *statistics.spearman_interval(*pair), *statistics.kendall_interval(*pair)))
    columns = [f"{kind}{end}" for kind in ("spearman", "kendall") for end in ("", "_low", "_high")]
    return pd.DataFrame(rows, columns=["dataset", "score", *columns])
