"""What a comparison says (`comparison.compare`): means, worst devices, interquartile means, and their intervals."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from simmore.experiments import statistics
from simmore.strategies import loop


def runs(frame: pd.DataFrame, strategy: str, budget: int, column: str) -> NDArray[np.float64]:
    """Regrets of one strategy at one budget, ``(devices, starts)``."""
    chosen = frame[(frame["strategy"] == strategy) & (frame["budget"] == budget)]
    return chosen.pivot_table(index="device", columns="seed", values=column, sort=False).to_numpy()


def summary(frame: pd.DataFrame, budget: int = loop.BUDGET) -> pd.DataFrame:
    """Table of strategies at one budget, by what their answers lack.

    Returns
    -------
    pandas.DataFrame
        By strategy, for the best cell measured and for the answer: ``mean``, ``worst`` device's mean, and the
        interquartile mean ``iqm`` with its 95 % interval ``low``, ``high``.
    """
    rows = {}
    for strategy in frame["strategy"].unique():
        row: dict[tuple[str, str], float] = {}
        for column, label in (("regret_best", "best measured"), ("regret", "answer")):
            matrix = runs(frame, strategy, budget, column)
            low, high = statistics.stratified_bootstrap(matrix)
            row[label, "mean"], row[label, "worst"] = matrix.mean(), matrix.mean(axis=1).max()
            row[label, "iqm"], row[label, "low"], row[label, "high"] = statistics.interquartile_mean(matrix), low, high
        rows[strategy] = row
    table = pd.DataFrame(rows).T
    return table.sort_values(("answer", "mean"))


def improvement(frame: pd.DataFrame, budget: int = loop.BUDGET, column: str = "regret") -> pd.DataFrame:
    """Probability that the strategy of a row does better than that of a column (`statistics`)."""
    names = frame["strategy"].unique()
    matrices = {name: runs(frame, name, budget, column) for name in names}
    table = [[statistics.probability_of_improvement(matrices[a], matrices[b]) for b in names] for a in names]
    return pd.DataFrame(table, index=names, columns=names)


def profiles(frame: pd.DataFrame, thresholds: NDArray[np.float64], budget: int = loop.BUDGET) -> pd.DataFrame:
    """Performance profile of every strategy's answers: share of runs with a regret of at most each threshold."""
    names = frame["strategy"].unique()
    shares = {name: statistics.performance_profile(runs(frame, name, budget, "regret"), thresholds) for name in names}
    return pd.DataFrame(shares, index=pd.Index(thresholds, name="regret"))


def improvement_interval(
    frame: pd.DataFrame, ours: str, theirs: str, budget: int = loop.BUDGET, column: str = "regret"
) -> tuple[float, float, float]:
    """Probability that ours does better than theirs, and its 95 % interval, over starts redrawn on each device."""
    both = np.stack([runs(frame, ours, budget, column), runs(frame, theirs, budget, column)], axis=-1)

    def probability(drawn: NDArray[np.float64]) -> float:
        return statistics.probability_of_improvement(drawn[..., 0], drawn[..., 1])

    low, high = statistics.stratified_bootstrap(both, probability, repetitions=500)
    return probability(both), low, high


def curves(frame: pd.DataFrame) -> pd.DataFrame:
    """Mean regrets after each number of measurements, with their 95 % intervals over starts.

    Returns
    -------
    pandas.DataFrame
        ``strategy, budget``, and of ``regret`` and ``regret_best`` the mean, ``…_low`` and ``…_high``.
    """
    rows = []
    for strategy in frame["strategy"].unique():
        for budget in sorted(frame["budget"].unique()):
            row: dict[str, object] = {"strategy": strategy, "budget": budget}
            for column in ("regret", "regret_best"):
                matrix = runs(frame, strategy, budget, column)
                # over starts alone, as in the bootstrap: a mean of independent means, one a device
                spread = np.sqrt((matrix.var(axis=1, ddof=1) / matrix.shape[1]).sum()) / len(matrix)
                row[column] = matrix.mean()
                row[f"{column}_low"], row[f"{column}_high"] = (
                    matrix.mean() - 1.96 * spread,
                    matrix.mean() + 1.96 * spread,
                )
            rows.append(row)
    return pd.DataFrame(rows)
