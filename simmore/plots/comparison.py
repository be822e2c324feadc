"""Figures of the comparisons: regret, recommendations under a latency limit, latency prediction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from simmore.plots.labels import readable
from simmore.plots.style import BLUE, GREEN, ORANGE, PAGE, PURPLE, RED

_STRONG = {"expected_improvement": BLUE, "controller": RED, "paper": ORANGE, "mean_device": GREEN, "random": "black"}
_FAMILIES = {
    "black": ("local_search", "regularised_evolution", "freerea"),
    GREEN: ("lut", "lut_evolution", "fixed_cell"),
    PURPLE: ("linear_greedy", "linear_bound", "covariance_greedy", "covariance_bound"),
    ORANGE: ("paper_blind", "heldout", "trpo", "a2c", "no_history", "target_only"),
    RED: ("controller_supervised", "controller_blind"),
}  # strategies that are drawn thin, in the colour of the strategy that they are variants of
_DASHES: tuple[Any, ...] = ("--", ":", "-.", (0, (6, 1, 1, 1, 1, 1)), (0, (1, 3)), (0, (8, 4)))
_THIN = {
    name: (color, dash) for color, family in _FAMILIES.items() for name, dash in zip(family, _DASHES, strict=False)
}
_METHODS = {"FLOPs": "0.6", "linear, target alone": ORANGE, "boosted trees, target alone": RED,
            "Bayesian linear": GREEN, "simulated devices, no tables (ours)": "tab:purple",
            "mixture of devices (ours)": BLUE}  # fmt: skip


_OVER = ", slower than its limit"


def regret_curves(curves: pd.DataFrame, column: str, ax: Axes | None = None, *, bands: bool = True) -> Axes:
    """Mean normalised regret against cells measured, a line per strategy; the main ones thick, with their interval.

    Parameters
    ----------
    curves
        ``strategy, budget``, the mean of `column`, and its interval ``<column>_low``, ``<column>_high``.
    column
        ``inference_regret`` or ``simple_regret``.
    bands
        Draw the intervals of the main strategies.
    """
    ax = ax or plt.gca()
    for name, curve in curves.groupby("strategy", sort=False):
        color = _STRONG.get(str(name))
        if color is not None:
            ax.plot(curve["budget"], curve[column], color=color, linewidth=2, label=readable(name), zorder=3)
            if bands:
                low, high = curve[f"{column}_low"], curve[f"{column}_high"]
                ax.fill_between(curve["budget"], low, high, color=color, alpha=0.1, linewidth=0)
        else:
            color, line = _THIN.get(str(name), ("0.5", "-"))
            ax.plot(curve["budget"], curve[column], linestyle=line, color=color, linewidth=0.9, label=readable(name))
    ax.set(yscale="log", xlabel="cells measured", xticks=[1, 5, 10, 15, 20], ylim=(0.008, 3))
    ax.axvline(10, color="0.8", linewidth=0.6, zorder=0)
    return ax


def regret(curves: pd.DataFrame, titles: Mapping[str, str]) -> Figure:
    """Fig. 7: regret of the recommendation, a panel per protocol.

    Parameters
    ----------
    curves
        As in `regret_curves`, with the column ``protocol``.
    titles
        Of the panels, by protocol. The panel ``blind`` has no intervals: it has few devices, and they would
        cover most of it.
    """
    figure, axes = plt.subplots(2, 2, figsize=(PAGE, 6.4), sharex=True, sharey=True)
    for ax, (protocol, title) in zip(axes.flat, titles.items(), strict=True):
        part = curves[curves["protocol"] == protocol]
        regret_curves(part, "inference_regret", ax, bands=protocol != "blind").set(title=title)
        ax.yaxis.set_major_formatter("{x:g}")
    for ax in axes.flat:
        ax.label_outer()
    figure.supylabel("normalised regret of the recommendation (mean)", fontsize="medium")
    handles, labels = axes.flat[0].get_legend_handles_labels()
    thick_first = sorted(range(len(handles)), key=lambda k: -handles[k].get_linewidth())
    figure.legend([handles[k] for k in thick_first], [labels[k] for k in thick_first], loc="outside lower center",
                  ncols=3, handlelength=3)  # fmt: skip
    return figure


def distance(frame: pd.DataFrame, strategies: Sequence[str]) -> Figure:
    """Fig. 13: regret against the distance of a device from Ξ, a panel per strategy.

    Parameters
    ----------
    frame
        ``kind, device, distance, strategy, inference_regret``, a row per search; kinds are ``width``, ``structure`` and
        ``real``. The line is the mean over a third of the made devices at a time, by distance.
    """
    figure, axes = plt.subplots(1, len(strategies), figsize=(PAGE, 2.8), sharex=True, sharey=True)
    styles = {
        "width": ("o", BLUE, "Ξ, scaled"), "structure": ("s", ORANGE, "towards simulated devices"),
        "real": ("^", "black", "real devices"),
    }  # fmt: skip
    by = ["strategy", "kind", "device"]
    means = frame.groupby(by, sort=False)[["distance", "inference_regret"]].mean().reset_index()
    for ax, name in zip(axes, strategies, strict=True):
        own = means[means["strategy"] == name]
        for kind, (marker, colour, label) in styles.items():
            points = own[own["kind"] == kind]
            ax.scatter(points["distance"], points["inference_regret"], s=14, marker=marker, color=colour, alpha=0.7,
                       linewidths=0, label=label)  # fmt: skip
        made = own.loc[own["kind"] != "real", ["distance", "inference_regret"]].sort_values("distance")
        window = max(len(made) // 3, 1)
        line = made.rolling(window, center=True, min_periods=max(window // 2, 1)).mean()
        ax.plot(line["distance"], line["inference_regret"], color="0.35", linewidth=1.2, label="running mean")
        ax.set(title=readable(name), xscale="log", xlabel="distance from Ξ")
        ax.set_xticks([0.02, 0.1, 0.5], ["0.02", "0.1", "0.5"])
        ax.minorticks_off()
        ax.axhline(1, color="0.8", linewidth=0.6, zorder=0)
    axes[0].set_ylabel("normalised regret")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


def regret_heatmap(table: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Mean normalised regret as numbers on colours, strategies (rows) by devices (columns)."""
    ax = ax or plt.subplots(figsize=(PAGE, 0.24 * len(table) + 1))[1]
    ax.imshow(table, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for (row, column), value in np.ndenumerate(table.to_numpy()):
        ax.text(
            column,
            row,
            f"{value:.2f}",
            ha="center",
            va="center",
            fontsize=6.5,
            color="white" if value > 0.6 else "black",
        )
    ax.set_xticks(range(table.shape[1]), [str(name) for name in table.columns], rotation=60, ha="right")
    ax.set_yticks(range(table.shape[0]), [readable(name) for name in table.index])
    return ax


def performance_profiles(profiles: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Share of searches whose inference regret is at most x, a line per strategy.

    Parameters
    ----------
    profiles
        Shares, indexed by regret, a column per strategy.
    """
    ax = ax or plt.gca()
    for name in profiles:
        strong = str(name) in _STRONG
        ax.plot(profiles.index, profiles[name], color=_STRONG.get(str(name), "0.75"), linewidth=1.4 if strong else 0.6,
                label=readable(name) if strong else None, zorder=3 if strong else 2)  # fmt: skip
    ax.set(xlabel="inference regret (normalised)", ylabel="share of searches", ylim=(0, 1.02))
    ax.legend()
    return ax


def constrained(means: pd.DataFrame, strategies: Sequence[str]) -> Figure:
    """Fig. 8: latency and accuracy of the recommendations under a limit, a panel per device; crosses violate it.

    Parameters
    ----------
    means
        ``strategy, device, limit_ms, latency_ms, accuracy, violates_limit``, a row per strategy and limit.
    strategies
        Strategies to draw, in order.
    """
    names = list(means["device"].unique())
    figure, axes = plt.subplots(1, len(names), figsize=(PAGE, 2.9), sharey=True, squeeze=False)
    styles = dict(zip(strategies, zip([BLUE, "0.45", ORANGE, GREEN, RED], "osD^v", strict=True), strict=False))
    for ax, device in zip(axes.flat, names, strict=True):
        part = means[means["device"] == device]
        for limit in part["limit_ms"].unique():
            ax.axvline(limit, color="0.85", linewidth=0.8, zorder=0)
        for name in strategies:
            one = part[part["strategy"] == name]
            color, marker = styles[name]
            ax.plot(one["latency_ms"], one["accuracy"], "-", color=color, linewidth=0.7)
            for violates in (False, True):
                some = one[one["violates_limit"] == violates]
                kind, size, over = ("X", 6.0, _OVER) if violates else (marker, 4.5, "")
                ax.plot(some["latency_ms"], some["accuracy"], kind, color=color, linestyle="", markersize=size,
                        label=readable(name) + over)  # fmt: skip
        ax.set_title(device)
    axes.flat[0].set_ylabel("CIFAR-100 accuracy (%)")
    figure.supxlabel("latency (ms); vertical lines: the limits", fontsize="medium")
    handles, labels = axes.flat[0].get_legend_handles_labels()
    shown = {label: handle for handle, label in zip(handles, labels, strict=True)
             if _OVER not in label or label.startswith("HELP")}  # fmt: skip
    figure.legend(list(shown.values()), list(shown), loc="outside upper center", ncols=2)
    return figure


def predictions(pairs: Mapping[str, tuple[NDArray[np.float64], NDArray[np.float64]]]) -> Figure:
    """Predicted against measured latencies of all cells in ms, a panel per device, both ``(cells,)``."""
    figure, axes = plt.subplots(1, len(pairs), figsize=(PAGE, 2.4), squeeze=False)
    for ax, (device, (predicted, measured)) in zip(axes.flat, pairs.items(), strict=True):
        ax.scatter(predicted, measured, s=1, linewidths=0, color="0.45", alpha=0.4, rasterized=True)
        ax.set(title=device)
        ax.locator_params(nbins=4)
    axes.flat[0].set_ylabel("measured (ms)")
    figure.supxlabel("predicted by the LUT (ms)", fontsize="medium")
    return figure


def prediction_curves(curves: pd.DataFrame, lut: Mapping[str, float]) -> Figure:
    """Fig. 9: Kendall's τ of predicted and measured latency against samples, a panel per device; dashed: its LUT.

    Parameters
    ----------
    curves
        ``method, device, samples, kendall``: means over random samples.
    lut
        Kendall's τ of each device's LUT.
    """
    columns = min(3, len(lut))
    rows = -(-len(lut) // columns)
    size = (PAGE, 1.9 * rows + 0.8)
    figure, axes = plt.subplots(rows, columns, figsize=size, sharex=True, sharey=True, squeeze=False)
    for ax, (device, height) in zip(axes.flat, lut.items(), strict=False):
        part = curves[curves["device"] == device]
        for method, line in part.groupby("method", sort=False):
            ax.plot(line["samples"], line["kendall"], color=_METHODS[str(method)], label=str(method))
        ax.axhline(height, color="black", linewidth=0.8, linestyle="--", label="LUT (5 cells)")
        ax.axhline(0.8, color="0.8", linewidth=0.6, zorder=0)
        ax.set(title=device, xscale="log", ylim=(0, 1.02))
        ax.set_xticks([3, 10, 30, 100, 300], ["3", "10", "30", "100", "300"])
        ax.set_xticks([], minor=True)
        ax.set_xlim(part["samples"].min(), part["samples"].max())
    figure.supxlabel("samples of the device", fontsize="medium")
    figure.supylabel(r"Kendall's $\tau$, all cells", fontsize="medium")
    figure.legend(*axes.flat[0].get_legend_handles_labels(), loc="outside upper center", ncols=2)
    return figure
