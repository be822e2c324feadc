"""Figures of simulated devices: prior predictive checks, and calibration."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, PercentFormatter
from numpy.typing import NDArray

from simmore.plots.style import BLUE, GREEN, ORANGE, PAGE, RED

_GREY = "0.45"
_SOURCES = {"xi": ("Ξ", _GREY), "simulated": ("simulated", BLUE)}
_CLASSES = {"gpu": ("GPU", "o", GREEN), "cpu": ("CPU", "s", RED), "phone": ("phone", "^", ORANGE),
            "edge": ("edge device", "D", "black")}  # fmt: skip
# Label, scale of the axis, its range, and its ticks: values outside of the range are drawn at its ends.
_SHARE = ("log", (3e-3, 10.0), (0.01, 0.1, 1, 10))
_STATISTICS = {
    "share_none": ("none / conv 3×3", *_SHARE),
    "share_skip_connect": ("skip / conv 3×3", *_SHARE),
    "share_nor_conv_1x1": ("conv 1×1 / conv 3×3", *_SHARE),
    "share_avg_pool_3x3": ("avg pool / conv 3×3", *_SHARE),
    "flops_correlation": ("Spearman with FLOPs", "linear", (-0.4, 1.0), (0, 0.5, 1)),
    "additivity": ("R² of operation counts", "linear", (0.5, 1.005), (0.6, 0.8, 1)),
    "range_tail": ("slowest / 99.9 % quantile", "log", (1.0, 5.0), (1, 2, 3, 5)),
    "fastest": ("fastest cell / mean", "linear", (0.0, 1.0), (0, 0.5, 1)),
    "twin_noise": ("difference of twin cells", "linear", (0.0, 0.12), (0, 0.04, 0.08, 0.12)),
}
_LEVEL = 0.95  # of the interval below a histogram


def examples(latency: Mapping[str, NDArray[np.floating]], flops: NDArray[np.float64]) -> Figure:
    """Latencies of all cells, relative to their mean, against FLOPs: a row per kind of devices, a panel per device.

    Parameters
    ----------
    latency
        ``(devices, cells)`` by kind of devices, in any unit.
    flops
        ``(cells,)`` in millions.
    """
    n = len(next(iter(latency.values())))
    figure, axes = plt.subplots(len(latency), n, figsize=(PAGE, 1.6 * len(latency) + 0.2), sharex=True, sharey=True)
    for row, (label, tables), colour in zip(axes, latency.items(), (_GREY, BLUE, ORANGE), strict=False):
        for table, ax in zip(tables, row, strict=True):
            ax.scatter(flops, table / table.mean(), s=1, linewidths=0, alpha=0.3, color=colour, rasterized=True)
        row[0].set_title(label, loc="left")
        row[0].set_ylim(bottom=0)
    figure.supxlabel("FLOPs (millions)", fontsize="medium")
    figure.supylabel("latency / mean latency", fontsize="medium")
    return figure


def prior_checks(frame: pd.DataFrame) -> Figure:
    """Fig. 12: `statistic_of_devices` of every statistic.

    Parameters
    ----------
    frame
        ``source, class, statistic, value``: sources are ``xi``, ``simulated`` and ``real``.
    """
    figure, axes = plt.subplots(3, 3, figsize=(PAGE, 5.6))
    for name, ax in zip(_STATISTICS, axes.flat, strict=True):
        statistic_of_devices(frame[frame["statistic"] == name], name, ax)
    for ax in axes[:, 0]:
        ax.set_yticks([2.2, 1.2, 0.15], ["Ξ", "simulated", "real"])
    shown = axes.flat[0].get_legend_handles_labels()
    figure.legend(*shown, loc="outside upper center", ncols=3)
    return figure


def statistic_of_devices(part: pd.DataFrame, name: str, ax: Axes | None = None) -> Axes:
    """One statistic: histograms of both distributions with their median and central 95 %, and the real devices."""
    ax = ax or plt.gca()
    label, scale, (low, high), ticks = _STATISTICS[name]
    edges = np.geomspace(low, high, 41) if scale == "log" else np.linspace(low, high, 41)
    for row, (source, (text, colour)) in zip((2, 1), _SOURCES.items(), strict=True):
        values = part.loc[part["source"] == source, "value"].clip(low, high)
        height = np.histogram(values, edges)[0]
        ax.stairs(row + 0.7 * height / height.max(), edges, baseline=row, fill=True, color=colour, alpha=0.35)
        left, middle, right = np.quantile(values, [(1 - _LEVEL) / 2, 0.5, (1 + _LEVEL) / 2])
        ax.plot([left, right], [row - 0.09] * 2, color=colour, linewidth=2, solid_capstyle="butt",
                label=f"{text}, central 95 %")  # fmt: skip
        ax.plot(middle, row - 0.09, "|", color=colour, markersize=7, markeredgewidth=1.5)
    real = part[part["source"] == "real"]
    for step, (kind, (text, marker, colour)) in enumerate(_CLASSES.items()):
        values = real.loc[real["class"] == kind, "value"].clip(low, high)
        if values.empty:
            continue
        height = np.full(len(values), 0.45 - 0.2 * step)
        ax.plot(values, height, marker, color=colour, markersize=3.6, markeredgewidth=0, alpha=0.8, linestyle="",
                label=text, clip_on=False)  # fmt: skip
    ax.set(xscale=scale, xlim=(low, high), ylim=(-0.4, 2.8), yticks=[], title=label)
    ax.set_xticks(ticks)
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.xaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %") if name == "twin_noise" else "{x:g}")
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    return ax


def calibration(curves: pd.DataFrame, bins: pd.DataFrame) -> Figure:
    """Fig. 15: `range_calibration` of each source, and `regret_calibration`.

    Parameters
    ----------
    curves
        ``source, n_measured, nominal, observed``.
    bins
        ``source, predicted, true, low, high``.
    """
    sources = list(dict.fromkeys(curves["source"]))
    figure, axes = plt.subplots(1, 1 + len(sources), figsize=(PAGE, 3.0))
    for source, ax in zip(sources, axes[:-1], strict=True):
        range_calibration(curves[curves["source"] == source], ax).set_title(f"range, {source} devices")
        ax.set_xlabel("nominal share")
    axes[0].set_ylabel("observed share")
    regret_calibration(bins, axes[-1]).set_title("regret")
    (curves_shown, counts), (points, kinds) = (ax.get_legend_handles_labels() for ax in (axes[0], axes[-1]))
    labels = [*(f"{count} cells measured" for count in counts), *kinds]
    figure.legend([*curves_shown, *points], labels, loc="outside lower center", ncols=3)
    return figure


def range_calibration(curves: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """How often the true range is below each quantile of the predicted one; on the grey line, as often as predicted."""
    ax = ax or plt.gca()
    ax.plot([0, 1], [0, 1], color="0.7", linewidth=0.8)
    for (n, line), colour in zip(curves.groupby("n_measured"), (ORANGE, GREEN, BLUE), strict=False):
        ax.plot(line["nominal"], line["observed"], color=colour, label=str(n))
    ax.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    return ax


def regret_calibration(bins: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Mean true against mean predicted regret, of searches with similar predictions; bars: 95 % interval."""
    ax = ax or plt.gca()
    top = 1.08 * float(np.nanmax(bins[["predicted", "high", "true"]].to_numpy()))
    ax.plot([0, top], [0, top], color="0.7", linewidth=0.8)
    for (source, part), (marker, colour) in zip(bins.groupby("source", sort=False), (("o", BLUE), ("s", RED)),
                                                strict=False):  # fmt: skip
        error = np.abs(part[["low", "high"]].to_numpy().T - part["true"].to_numpy())
        ax.errorbar(part["predicted"], part["true"], error, fmt=marker, color=colour, markersize=4, linewidth=0.9,
                    label=f"{source} devices")  # fmt: skip
    ax.set(xlim=(0, top), ylim=(0, top), aspect="equal", xlabel="mean predicted regret", ylabel="mean true regret")
    return ax
