"""Figures of the comparisons: regret, recommendations under a latency limit, latency prediction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from simmore.plots.paper import BLUE, GREEN, ORANGE, PAGE, RED

_STRONG = {"expected_improvement": BLUE, "controller": RED, "paper": ORANGE, "mean_device": GREEN, "random": "black"}
_METHODS = {"FLOPs": "0.6", "linear, target alone": ORANGE, "boosted trees, target alone": RED,
            "Bayesian linear": GREEN, "simulated devices, no tables (ours)": "tab:purple",
            "mixture of devices (ours)": BLUE}  # fmt: skip


def regret_curves(
    curves: pd.DataFrame, column: str, ax: Axes | None = None, *, names: Sequence[str] = (), bands: bool = True
) -> Axes:
    """Mean normalised regret against cells measured, a line per strategy; the main ones in colour, with their interval.

    Parameters
    ----------
    curves
        ``strategy, budget``, the mean of `column`, and its interval ``<column>_low``, ``<column>_high``.
    column
        ``inference_regret`` or ``simple_regret``.
    names
        Strategies in the order that line styles are given in; those of the curves by default.
    bands
        Draw the intervals of the main strategies.
    """
    ax = ax or plt.gca()
    greys = [name for name in (names or curves["strategy"].unique()) if name not in _STRONG]
    styles = dict(
        zip(greys, [(ls, s) for s in ("0.35", "0.55", "0.72") for ls in ("-", "--", ":", "-.")] * 2, strict=False)
    )
    for name, curve in curves.groupby("strategy", sort=False):
        label = str(name)
        if label in _STRONG:
            ax.plot(curve["budget"], curve[column], color=_STRONG[label], label=label, zorder=3)
            if bands:
                ax.fill_between(curve["budget"], curve[f"{column}_low"], curve[f"{column}_high"], color=_STRONG[label],
                                alpha=0.15, linewidth=0)  # fmt: skip
        else:
            line, shade = styles[label]
            ax.plot(curve["budget"], curve[column], line, color=shade, linewidth=0.8, label=label)
    ax.set(yscale="log", xlabel="cells measured", xticks=[1, 5, 10, 15, 20], ylim=(0.008, 3))
    ax.axvline(10, color="0.8", linewidth=0.6, zorder=0)
    return ax


def regret(curves: pd.DataFrame, titles: Mapping[str, str]) -> Figure:
    """Fig. 7: regret of the recommendation, a panel a protocol.

    Parameters
    ----------
    curves
        As in `regret_curves`, with the column ``protocol``.
    titles
        Of the panels, by protocol. The panel ``blind`` has no intervals: they are wider than the panel, as it has few
        devices.
    """
    figure, axes = plt.subplots(2, 2, figsize=(PAGE, 5.4), sharex=True, sharey=True)
    names = list(curves["strategy"].unique())
    for ax, (protocol, title) in zip(axes.flat, titles.items(), strict=True):
        part = curves[curves["protocol"] == protocol]
        regret_curves(part, "inference_regret", ax, names=names, bands=protocol != "blind").set(title=title)
    for ax in axes.flat:
        ax.label_outer()
    figure.supylabel("normalised regret of the recommendation (mean)", fontsize="medium")
    figure.legend(*axes.flat[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


def distance(frame: pd.DataFrame, strategies: Sequence[str]) -> Figure:
    """Fig. 13: regret against the distance of a device from Ξ, a panel a strategy.

    Parameters
    ----------
    frame
        ``kind, device, distance, strategy, inference_regret``, a row a search; kinds are ``width``, ``structure`` and
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
        ax.set(title=name, xscale="log", xlabel="distance from Ξ")
        ax.set_xticks([0.02, 0.05, 0.1, 0.2, 0.5, 1], ["0.02", "0.05", "0.1", "0.2", "0.5", "1"])
        ax.minorticks_off()
        ax.axhline(1, color="0.8", linewidth=0.6, zorder=0)
    axes[0].set_ylabel("normalised regret")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


def regret_heatmap(table: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Mean normalised regret as numbers on colours, strategies (rows) by devices (columns)."""
    ax = ax or plt.subplots(figsize=(PAGE, 0.22 * len(table) + 1))[1]
    ax.imshow(table, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for (row, column), value in np.ndenumerate(table.to_numpy()):
        ax.text(
            column, row, f"{value:.2f}", ha="center", va="center", fontsize=5, color="white" if value > 0.6 else "black"
        )
    ax.set_xticks(range(table.shape[1]), [str(name) for name in table.columns], rotation=60, ha="right")
    ax.set_yticks(range(table.shape[0]), [str(name) for name in table.index])
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
                label=str(name) if strong else None, zorder=3 if strong else 2)  # fmt: skip
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
        Which are drawn, in order.
    """
    names = list(means["device"].unique())
    figure, axes = plt.subplots(1, len(names), figsize=(PAGE, 2.4), sharey=True, squeeze=False)
    colours = dict(zip(strategies, [BLUE, "0.55", ORANGE, GREEN, RED], strict=False))
    for ax, device in zip(axes.flat, names, strict=True):
        part = means[means["device"] == device]
        for limit in part["limit_ms"].unique():
            ax.axvline(limit, color="0.85", linewidth=0.8, zorder=0)
        for name in strategies:
            one = part[part["strategy"] == name]
            ax.plot(one["latency_ms"], one["accuracy"], "-", color=colours[name], linewidth=0.6)
            for violates, marker in ((False, "o"), (True, "X")):
                some = one[one["violates_limit"] == violates]
                ax.plot(some["latency_ms"], some["accuracy"], marker, color=colours[name], markersize=4, linestyle="",
                        label=name if not violates else f"{name}, over its limit")  # fmt: skip
        ax.set_title(device)
    axes.flat[0].set_ylabel("CIFAR-100 accuracy (%)")
    figure.supxlabel("latency (ms); grey lines: the limits", fontsize=8)
    handles, labels = axes.flat[0].get_legend_handles_labels()
    shown = {label: handle for handle, label in zip(handles, labels, strict=True)
             if "over" not in label or label.startswith("HELP")}  # fmt: skip
    figure.legend(list(shown.values()), list(shown), loc="outside upper center", ncols=3)
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
    size = (PAGE, 1.7 * rows + 0.5)
    figure, axes = plt.subplots(rows, columns, figsize=size, sharex=True, sharey=True, squeeze=False)
    for ax, (device, height) in zip(axes.flat, lut.items(), strict=False):
        part = curves[curves["device"] == device]
        for method, line in part.groupby("method", sort=False):
            ax.plot(line["samples"], line["kendall"], color=_METHODS[str(method)], label=str(method))
        ax.axhline(height, color="black", linewidth=0.8, linestyle="--", label="LUT (5 cells)")
        ax.axhline(0.8, color="0.8", linewidth=0.6, zorder=0)
        ax.set(title=device, xscale="log", ylim=(0, 1.02))
        ax.set_xticks([2, 10, 100, 1000], ["2", "10", "100", "1,000"])
        ax.set_xticks([], minor=True)
        ax.set_xlim(part["samples"].min(), part["samples"].max())
    figure.supxlabel("samples of the device", fontsize=8)
    figure.supylabel(r"Kendall's $\tau$, all cells", fontsize=8)
    figure.legend(*axes.flat[0].get_legend_handles_labels(), loc="outside upper center", ncols=3)
    return figure
