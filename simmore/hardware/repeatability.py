"""Repeatability: how well two measurements of the same cells agree, made at different times by different processes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from simmore import proxies
from simmore.devices import reward

RESAMPLES = 500


def agreement(
    first_ms: NDArray[np.float64], second_ms: NDArray[np.float64], archs: NDArray[np.int64], *, seed: int = 0
) -> dict[str, float | list[float]]:
    """Agreement of two measurements of the same cells.

    Parameters
    ----------
    first_ms, second_ms
        ``(n,)`` each in ms; not finite where a cell failed.
    archs
        NATS indices of the cells, ``(n,)``.
    seed
        Of the resamples that intervals come from.

    Returns
    -------
    dict
        ``cells``: number measured both times. ``kendall``: rank correlation. ``median_difference``: relative.
        ``regret``: regret that noise causes: the cell with the highest reward (CIFAR-10) by the first measurement,
        judged by the second, relative to the second's mean reward: 0 is its best cell, 1 is a random cell.
        ``kendall_interval, regret_interval``: 95 % intervals, from resampled cells.
    """
    both = np.isfinite(first_ms) & np.isfinite(second_ms)
    first, second, score = first_ms[both], second_ms[both], proxies.stored_score()[archs[both]]

    def kendall(rows: NDArray[np.int64]) -> float:
        return float(stats.kendalltau(first[rows], second[rows]).statistic)

    def regret(rows: NDArray[np.int64]) -> float:
        judged = reward(score[rows], second[rows])
        chosen = reward(score[rows], first[rows]).argmax()
        return float((judged.max() - judged[chosen]) / (judged.max() - judged.mean()))

    n = len(first)
    rng = np.random.default_rng(seed)
    resamples = rng.integers(n, size=(RESAMPLES, n))  # a cell twice is a tie in both, which Kendall's τ-b leaves out
    found: dict[str, float | list[float]] = {
        "cells": n,
        "median_difference": round(float(np.median(np.abs(np.log(first / second)))), 4),
    }
    for name, statistic in (("kendall", kendall), ("regret", regret)):
        interval = np.quantile([statistic(rows) for rows in resamples], [0.025, 0.975])
        found[name] = round(statistic(np.arange(n)), 4)
        found[f"{name}_interval"] = [round(float(value), 4) for value in interval]
    return found
