"""Tables of a comparison (`comparison.compare`): means, worst devices, and their intervals.

Intervals are over devices (`statistics.interval`), after the mean over the starts of each device. They describe what to
expect on another device. With a single device, they are over starts.
"""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from simmore.experiments import statistics
from simmore.experiments.comparison import runs
from simmore.strategies import BUDGET

REGRETS = {"simple_regret": "best measured", "inference_regret": "recommended"}


def summary(frame: pd.DataFrame, budget: int = BUDGET) -> pd.DataFrame:
    """Table of strategies at one budget, the lowest mean regret of the recommendation first.

    Returns
    -------
    pandas.DataFrame
        By strategy, for the best cell measured and for the recommendation: ``mean`` with its interval ``low``,
        ``high``, the ``worst`` device's mean, and both by the robust range: ``robust``, ``worst robust``. If the frame
        has the copy of a policy whose search sees no latencies, ``adaptation gain`` is the mean regret of the copy
        minus the policy's own.
    """
    rows, names = {}, frame["strategy"].unique()
    for strategy in without_copies(frame)["strategy"].unique():
        row: dict[tuple[str, str], float] = {}
        for column, label in REGRETS.items():
            units = _units(runs(frame, strategy, budget, column))
            row[label, "mean"], row[label, "low"], row[label, "high"] = statistics.interval(units)
            row[label, "worst"] = runs(frame, strategy, budget, column).mean(axis=1).max()
            robust = runs(frame, strategy, budget, f"{column}_robust").mean(axis=1)
            row[label, "robust"], row[label, "worst robust"] = robust.mean(), robust.max()
        blind = "paper_blind" if strategy == "paper" else f"{strategy}/blind"
        gain = difference(frame, blind, strategy, budget).value if blind in names else np.nan
        rows[strategy] = {**row, ("recommended", "adaptation gain"): gain}
    return pd.DataFrame(rows).T.sort_values(("recommended", "mean"))


def without_copies(frame: pd.DataFrame) -> pd.DataFrame:
    """A frame without the ``/blind`` copies of policies (`catalogue.entry`)."""
    return frame[~frame["strategy"].str.endswith("/blind")]


def _units(runs: NDArray[np.float64]) -> NDArray[np.float64]:
    """The units of an interval: devices, or the starts of a single device. Runs are ``(devices, starts)``."""
    return runs.mean(axis=1) if len(runs) > 1 else runs[0]


def difference(
    frame: pd.DataFrame, worse: str, better: str, budget: int = BUDGET, column: str = "inference_regret"
) -> statistics.Interval:
    """Mean regret of one strategy minus that of another, paired over devices and starts, with its interval.

    The adaptation gain of a policy is this difference between its copy that sees no latencies and itself.
    """
    return statistics.interval(_units(runs(frame, worse, budget, column) - runs(frame, better, budget, column)))


def difference_over_seeds(
    frame: pd.DataFrame, worse: str, better: str, budget: int = BUDGET, column: str = "inference_regret"
) -> statistics.Interval:
    """`difference`, with its interval over the training seeds of the better strategy.

    The seeds of the other strategy are paired with these if it has as many.
    """
    one, other = (
        frame[(frame["strategy"] == name) & (frame["budget"] == budget)].groupby("seed")[column].mean().to_numpy()
        for name in (worse, better)
    )
    return statistics.interval((one if len(one) == len(other) else one.mean()) - other)


def improvement(frame: pd.DataFrame, budget: int = BUDGET, column: str = "inference_regret") -> pd.DataFrame:
    """Probability that the strategy of a row does better than that of a column (`statistics`)."""
    names = frame["strategy"].unique()
    matrices = {name: runs(frame, name, budget, column) for name in names}
    table = [[statistics.probability_of_improvement(matrices[a], matrices[b]) for b in names] for a in names]
    return pd.DataFrame(table, index=names, columns=names)


def improvement_interval(
    frame: pd.DataFrame, ours: str, theirs: str, budget: int = BUDGET, column: str = "inference_regret"
) -> statistics.Interval:
    """Probability that ours does better than theirs, with its interval."""
    both = np.stack([runs(frame, name, budget, column) for name in (ours, theirs)], axis=-1)  # (devices, starts, 2)
    if len(both) == 1:
        both = np.swapaxes(both, 0, 1)
        return statistics.interval(
            both, lambda part: statistics.probability_of_improvement(part[..., 0].T, part[..., 1].T)
        )
    return statistics.interval(both, lambda part: statistics.probability_of_improvement(part[..., 0], part[..., 1]))


def profiles(frame: pd.DataFrame, thresholds: NDArray[np.float64], budget: int = BUDGET) -> pd.DataFrame:
    """Performance profile of every strategy: share of runs with an inference regret of at most each threshold."""
    shares = {
        name: statistics.performance_profile(runs(frame, name, budget, "inference_regret"), thresholds)
        for name in frame["strategy"].unique()
    }
    return pd.DataFrame(shares, index=pd.Index(thresholds, name="regret"))


def curves(frame: pd.DataFrame) -> pd.DataFrame:
    """Mean regrets after each number of measurements, with their intervals.

    Returns
    -------
    pandas.DataFrame
        ``strategy, budget``, and of each regret the mean, ``…_low`` and ``…_high``.
    """
    rows = []
    for strategy, budget in product(frame["strategy"].unique(), sorted(frame["budget"].unique())):
        row: dict[str, object] = {"strategy": strategy, "budget": budget}
        for column in ("inference_regret", "simple_regret"):
            found = statistics.interval(_units(runs(frame, strategy, budget, column)))
            row |= {column: found.value, f"{column}_low": found.low, f"{column}_high": found.high}
        rows.append(row)
    return pd.DataFrame(rows)


def by_device(searches: pd.DataFrame, column: str = "simple_regret") -> pd.DataFrame:
    """Mean and interval over starts of a regret, for each device and strategy.

    Parameters
    ----------
    searches
        A comparison at one budget (`comparison.at`).

    Returns
    -------
    pandas.DataFrame
        ``device, strategy, mean, low, high``.
    """
    groups = searches.groupby(["device", "strategy"], sort=False)[column]
    rows = [(*names, *statistics.interval(values)) for names, values in groups]
    return pd.DataFrame(rows, columns=["device", "strategy", "mean", "low", "high"])


def training_curves(curves: pd.DataFrame) -> pd.DataFrame:
    """Mean and interval over seeds of every metric of a training curve, at every evaluation.

    Parameters
    ----------
    curves
        ``seed``, ``timestep`` and the metrics, a row per evaluation.

    Returns
    -------
    pandas.DataFrame
        Indexed by ``(metric, timestep)``: ``mean``, ``low``, ``high``.
    """
    parts = {}
    for metric in curves.columns.difference(["seed", "timestep"], sort=False):
        wide = curves.pivot_table(index="seed", columns="timestep", values=metric)  # (seeds, evaluations)
        found = statistics.interval(wide.to_numpy())
        parts[metric] = pd.DataFrame({"mean": found.value, "low": found.low, "high": found.high}, index=wide.columns)
    return pd.concat(parts, names=["metric", "timestep"])
