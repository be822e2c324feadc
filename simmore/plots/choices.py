"""Figures of the effects of training choices and disturbances."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray

from simmore.plots.labels import readable
from simmore.plots.style import BLUE, ORANGE, PAGE, RED

_SEES = {True: ("sees latencies", BLUE, "o"), False: ("does not see latencies", "0.55", "s")}
_SHORT = {"entropy maximisation": "max. entropy"}  # of long names, below an axis
_STRATEGIES = {"expected_improvement": BLUE, "controller": RED, "paper": ORANGE}
_UNITS = {
    "noise": ("noise", "standard deviation"),
    "drift": ("drift", "by the tenth cell"),
    "timer": ("timer", "step / mean latency"),
    "failing": ("failing cells", "share of the cells"),
}


def _points(frame: pd.DataFrame, names: Sequence[str], ax: Axes) -> None:
    """Regret by choice: small marks are seeds, large ones their mean, with and without seeing latencies."""
    for sees, (label, colour, marker) in _SEES.items():
        for x, name in enumerate(names):
            own = frame[(frame["choice"] == name) & (frame["sees"] == sees)]
            seeds = own.groupby("seed")["regret"].mean()
            at = x + (-0.14 if sees else 0.14)
            ax.plot([at] * len(seeds), seeds, "_", color=colour, markersize=5)
            ax.plot(at, seeds.mean(), marker, color=colour, markersize=4, label=label if x == 0 else None)
    ax.set_xticks(range(len(names)), [_SHORT.get(name, name) for name in names], rotation=60, ha="right")


def width(frame: pd.DataFrame, traces: pd.DataFrame, names: Sequence[str], titles: Mapping[str, str]) -> Figure:
    """Fig. 14: regret of policies by the width of Ξ in training, a panel per kind of devices, and how entropy grows.

    Parameters
    ----------
    frame
        ``choice, seed, kind, sees, regret``, at one budget.
    traces
        ``choice, seed, timestep, success, entropy``.
    names
        Choices, from left to right.
    titles
        Titles of the panels, by kind of devices.
    """
    figure, grid = plt.subplots(2, -(-(len(titles) + 1) // 2), figsize=(PAGE, 5.2))
    axes = grid.ravel()
    for ax, (kind, title) in zip(axes, titles.items(), strict=False):
        _points(frame[frame["kind"] == kind], names, ax)
        ax.set(title=title, ylim=(0, 1.08 * ax.dataLim.y1))
    for ax in grid[:, 0]:
        ax.set_ylabel("normalised regret")
    ax, right = axes[-1], axes[-1].twinx()
    own = traces[traces["choice"] == "entropy maximisation"]
    for k, (_, one) in enumerate(own.groupby("seed")):
        steps = one["timestep"] / 1000
        ax.plot(steps, one["entropy"], color="black", linewidth=0.8, label="entropy" if k == 0 else None)
        right.plot(steps, one["success"], color=ORANGE, linewidth=0.8, label="success" if k == 0 else None)
    ax.set(title="entropy maximisation", xlabel="training steps (thousands)", ylabel="entropy of Ξ (uniform: 0)")
    right.set(ylim=(0, 1), ylabel="successful episodes")
    right.yaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
    handles, labels = axes[0].get_legend_handles_labels()
    for one in (ax, right):
        more = one.get_legend_handles_labels()
        handles, labels = handles + more[0], labels + more[1]
    figure.legend(handles, labels, loc="outside lower center", ncols=4)
    return figure


def settings(frame: pd.DataFrame, names: Sequence[str]) -> Figure:
    """Fig. 16: regret of policies by T, γ and history, a panel per budget.

    Parameters
    ----------
    frame
        ``choice, seed, sees, budget, regret``.
    names
        Choices, from left to right.
    """
    budgets = sorted(frame["budget"].unique())
    figure, axes = plt.subplots(1, len(budgets), figsize=(PAGE, 2.9), sharey=True)
    for ax, budget in zip(axes, budgets, strict=True):
        _points(frame[frame["budget"] == budget], names, ax)
        ax.set_title(f"{budget} measurements")
    axes[0].set_ylim(0, 1.08 * max(ax.dataLim.y1 for ax in axes))
    axes[0].set_ylabel("normalised regret")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def disturbances(latency_ms: NDArray[np.float64], measured_ms: Mapping[str, Sequence[float]]) -> Figure:
    """Disturbed measurements against true latencies of some cells in ms, ``(cells,)``, a panel per disturbance."""
    figure, axes = plt.subplots(1, len(measured_ms), figsize=(PAGE, 2.2), sharex=True, sharey=True)
    top = 1.05 * latency_ms.max()
    for ax, (kind, measured) in zip(axes, measured_ms.items(), strict=True):
        ax.plot([0, top], [0, top], color="0.7", linewidth=0.8)
        ax.plot(latency_ms, measured, "o", color=BLUE, markersize=4)
        ax.set(title=kind)
        ax.locator_params(nbins=4)
    axes[0].set_ylabel("measured (ms)")
    figure.supxlabel("undisturbed latency (ms)", fontsize="medium")
    return figure


def robustness(means: pd.DataFrame, strategies: Sequence[str]) -> Figure:
    """Fig. 17: mean regret of the recommendation against the amount of a disturbance, a panel per kind.

    Parameters
    ----------
    means
        ``kind, amount, strategy, mean, low, high``; the amount 0 of each kind is the undisturbed search.
    strategies
        Strategies, one line each.
    """
    kinds = list(_UNITS)
    figure, axes = plt.subplots(1, len(kinds), figsize=(PAGE, 2.7), sharey=True)
    for (ax, kind), name in product(zip(axes, kinds, strict=True), strategies):
        own = means[(means["kind"] == kind) & (means["strategy"] == name)].sort_values("amount")
        error = np.stack([own["mean"] - own["low"], own["high"] - own["mean"]])
        ax.errorbar(own["amount"], own["mean"], error, color=_STRATEGIES[name], marker="o", markersize=3, linewidth=1,
                    elinewidth=0.6, label=readable(name))  # fmt: skip
        ax.set(title=_UNITS[kind][0], xlabel=_UNITS[kind][1], ylim=(0, None))
        ax.xaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
    axes[0].set_ylabel("normalised regret")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure
