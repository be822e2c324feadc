"""Evidence for claims of the paper: the gain of training, and whether recommendations fit their device."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from simmore import data, devices
from simmore.experiments import statistics
from simmore.rl import mdp

PLATEAU = 10  # evaluations at the end of a training
_LOWER_IS_BETTER = ("latency_percentile",)


def random_cells(
    sampler: devices.SyntheticDevices, score: NDArray[np.float64], *, n: int = 100_000, seed: int = 0
) -> dict[str, float]:
    """Expected metrics of a training curve for uniformly random cells, which a policy of random edits visits.

    Parameters
    ----------
    sampler, score
        Ξ, and p of all cells ``(15625,)``.
    n, seed
        Synthetic devices that the inverse latency is averaged over, and their seed. For each of them, and in all other
        metrics, the expectation over cells is exact.

    Returns
    -------
    dict
        ``score, inverse_latency, latency_percentile, val_accuracy, episode_return``, see `rl.training.evaluate`.
    """
    operation_ms = sampler.sample(n, np.random.default_rng(seed))  # (n, 5)
    fastest, slowest = operation_ms.min(axis=1), operation_ms.max(axis=1)  # per edge, as the mean
    inverse = devices.inverse_latency(operation_ms.mean(axis=1), (fastest, slowest)).mean()
    # cells with equal counts are equally fast: a percentile counts cells that are at most as slow
    _, equal = np.unique(devices.all_operation_counts(), axis=0, return_counts=True)
    return {
        "score": float(score.mean()),
        "inverse_latency": float(inverse),
        "latency_percentile": float(50 * (1 + (equal**2).sum() / equal.sum() ** 2)),
        "val_accuracy": float(data.accuracy("cifar10").mean()),
        "episode_return": float(mdp.HORIZON * (score.mean() + inverse)),
    }


def training_gain(curves: pd.DataFrame, expected: dict[str, float], *, last: int = PLATEAU) -> pd.DataFrame:
    """Mean of the last evaluations of a training against random cells, with the interval over seeds.

    Parameters
    ----------
    curves
        ``seed``, ``timestep`` and the metrics, a row per evaluation.
    expected
        Metrics of random cells, by name (`random_cells`).
    last
        Number of evaluations.

    Returns
    -------
    pandas.DataFrame
        By metric: ``random``, ``gain`` (plateau minus random), ``low``, ``high``, and ``improves``: whether the whole
        interval is on the better side of 0.
    """
    rows = {}
    for metric, value in expected.items():
        wide = curves.pivot_table(index="seed", columns="timestep", values=metric).to_numpy()  # (seeds, evaluations)
        gain, low, high = statistics.interval(wide[:, -last:].mean(axis=1) - value)
        improves = high < 0 if metric in _LOWER_IS_BETTER else low > 0
        rows[metric] = {"random": value, "gain": gain, "low": low, "high": high, "improves": improves}
    return pd.DataFrame.from_dict(rows, orient="index")


_DIGITS = {
    "score": ("p", 2), "inverse_latency": ("inverse latency", 2), "latency_percentile": ("percentile", 0),
    "val_accuracy": ("accuracy", 1), "episode_return": ("return", 1),
}  # fmt: skip


def gains_text(gains: pd.DataFrame) -> str:
    """The table of `training_gain` as one line for the table of claims."""
    parts = []
    for column, (name, digits) in _DIGITS.items():
        gain, low, high = gains.loc[column, ["gain", "low", "high"]]
        parts.append(f"{name} {gain:+.{digits}f} [{low:+.{digits}f}, {high:+.{digits}f}]")
    return ", ".join(parts)


def return_drift(curves: pd.DataFrame, *, last: int = PLATEAU) -> statistics.Interval:
    """Mean return of the last evaluations minus that of as many before them, with the interval over seeds."""
    wide = curves.pivot_table(index="seed", columns="timestep", values="episode_return").to_numpy()
    return statistics.interval(wide[:, -last:].mean(axis=1) - wide[:, -2 * last : -last].mean(axis=1))


def own_against_others(
    searches: pd.DataFrame, tested: Sequence[devices.Device], score: NDArray[np.float64]
) -> pd.DataFrame:
    """Regret on each device of the recommendation for it, and of the recommendations for the other devices.

    Parameters
    ----------
    searches
        ``device, start, arch`` (the recommendation) of one strategy at one budget (`comparison.at`).
    tested, score
        The devices of `searches`, at least two, and p of all cells ``(15625,)``.

    Returns
    -------
    pandas.DataFrame
        By device, means over starts: ``own`` and ``others`` of the normalised regret; others from the same start.
    """
    archs = searches.set_index(["start", "device"])["arch"].unstack()  # noqa: PD010  (starts, devices)
    rows = {}
    for device in tested:
        rewards = devices.reward(score, devices.whole_table(device))
        regret = pd.DataFrame(devices.normalised_regret(rewards, archs), archs.index, archs.columns)
        own, others = regret[device.name], regret.drop(columns=device.name)
        rows[device.name] = {"own": own.mean(), "others": others.to_numpy().mean()}
    return pd.DataFrame.from_dict(rows, orient="index")
