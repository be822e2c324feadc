"""The figures of the paper. Every plotter takes results, draws them, and returns the Axes or the Figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from simmore import space
from simmore.plots.labels import OPERATION_LABELS

plt.style.use(Path(__file__).with_name("simmore.mplstyle"))

PAGE = 6.75  # width of a page of the paper, in inches
ORANGE, RED, BLUE, GREEN = "#E69F00", "#D55E00", "#0072B2", "#009E73"
_CLOUD: dict[str, Any] = {"s": 1, "linewidths": 0, "rasterized": True}  # one image, not an object per cell


def operation_distribution(
    measured_ms: NDArray[np.float64], mean_ms: float, sd_ms: float, drawn_ms: NDArray[np.float64],
    ax: Axes | None = None,
) -> Axes:  # fmt: skip
    """Fig. 1, one operation: latencies of the measured devices, their Gaussian, and synthetic devices.

    Parameters
    ----------
    measured_ms, drawn_ms
        Of measured and of synthetic devices, ``(devices,)`` and ``(n,)`` in ms.
    mean_ms, sd_ms
        Of the Gaussian.
    """
    ax = ax or plt.gca()
    low, high = min(0.0, mean_ms - 2.5 * sd_ms), max(mean_ms + 3 * sd_ms, measured_ms.max() * 1.05)
    x = np.linspace(low, high, 300)
    density = np.exp(-0.5 * ((x - mean_ms) / sd_ms) ** 2)
    ax.fill_between(x, density, where=list(x >= 0), color=BLUE, alpha=0.15, linewidth=0)
    ax.plot(x[x >= 0], density[x >= 0], color=BLUE, label="fitted Gaussian, > 0")
    ax.plot(x[x <= 0], density[x <= 0], color=BLUE, linestyle=":", linewidth=0.8, label="redrawn, ≤ 0")
    ax.plot(drawn_ms, np.full(len(drawn_ms), -0.24), "|", color=ORANGE, alpha=0.6, markersize=6,
            label="synthetic devices")  # fmt: skip
    rows = -0.1 + 0.04 * (np.arange(len(measured_ms)) % 3 - 1)  # three rows, so that equal latencies stay visible
    ax.plot(measured_ms, rows, "o", color="black", markersize=2.4, markeredgewidth=0, label="measured devices")
    ax.set(ylim=(-0.34, 1.08), yticks=[], xlim=(low, high))
    ax.spines["left"].set_visible(False)
    return ax


def operation_distributions(
    measured_ms: pd.DataFrame, mean_ms: NDArray[np.float64], sd_ms: NDArray[np.float64], drawn_ms: NDArray[np.float64]
) -> Figure:
    """Fig. 1: `operation_distribution` of all operations.

    Parameters
    ----------
    measured_ms, drawn_ms
        Of measured and of synthetic devices, ``(devices, operations)`` and ``(n, operations)`` in ms.
    mean_ms, sd_ms
        Of the Gaussians, ``(operations,)``.
    """
    figure, axes = plt.subplots(1, len(space.OPERATIONS), figsize=(PAGE, 1.75))
    for k, ax in enumerate(axes):
        operation_distribution(measured_ms.iloc[:, k].to_numpy(), mean_ms[k], sd_ms[k], drawn_ms[:, k], ax)
        ax.set_title(OPERATION_LABELS[k])
    axes[0].set_ylabel("density (scaled)")
    figure.supxlabel("latency of one operation (ms)", fontsize=8)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=4)
    return figure


def profiles(
    inverse_latency: Sequence[NDArray[np.float64]], score: NDArray[np.float64], rewards: Sequence[NDArray[np.float64]],
    optima: Sequence[int],
) -> Figure:  # fmt: skip
    """Fig. 2: all cells of several devices in the (ℓ̄, p) plane, coloured by reward, with the optimum.

    Parameters
    ----------
    inverse_latency, rewards
        Of each device, ``(cells,)``.
    score
        ``(cells,)``.
    optima
        NATS index of each device's best cell.
    """
    figure, axes = plt.subplots(1, len(rewards), figsize=(PAGE, 2.0), sharex=True, sharey=True)
    low, high = min(r.min() for r in rewards), max(r.max() for r in rewards)
    for k, ax in enumerate(axes):
        cloud = ax.scatter(inverse_latency[k], score, c=rewards[k], vmin=low, vmax=high, **_CLOUD)
        best = optima[k]
        ax.plot(inverse_latency[k][best], score[best], "*", color=RED, markersize=9, markeredgecolor="white",
                label="optimum h*")  # fmt: skip
        ax.set(title=f"synthetic device {k + 1}", xlim=(-0.03, 1.03))
    axes[0].set_ylabel("score $p$")
    figure.supxlabel(r"inverse latency $\bar\ell$ (1: fastest cell of the device)", fontsize=8)
    figure.colorbar(cloud, ax=axes, label=r"reward $r = p + \bar\ell$", aspect=25, pad=0.01)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center")
    return figure


def accuracy_against(
    value: NDArray[np.float64], val_accuracy: NDArray[np.float64], label: str, ax: Axes | None = None
) -> Axes:
    """Fig. 3, one panel: validation accuracy (%) against a training-free score, ``(cells,)`` each."""
    ax = ax or plt.gca()
    ax.scatter(value, val_accuracy, color="0.55", alpha=0.35, **_CLOUD)
    ax.set(xlabel=label, ylabel="validation accuracy (%)")
    return ax


def proxy_accuracy(
    frames: Mapping[str, pd.DataFrame],
    correlations: Mapping[str, Mapping[str, tuple[float, float]]],
    optima: Mapping[str, Mapping[str, int]],
) -> Figure:
    """Fig. 3, a row per data set: accuracy against p, with the optimum h* of each device, its terms and better scores.

    Parameters
    ----------
    frames
        Of each data set, by NATS index: ``val_accuracy`` (%), ``score``, ``naswot``, ``logsynflow``, ``skip``, ``az``,
        ``combined``.
    correlations
        Spearman and Kendall of each of the six with the accuracy.
    optima
        Device name to the NATS index of its h*.
    """
    labels = {
        **{"score": "score $p$", "naswot": "NASWOT", "logsynflow": "LogSynflow (10⁷)", "skip": "SkipScore"},
        **{"az": "AZ-NAS", "combined": "combined"},
    }
    size, widths = (PAGE, 2.05 * len(frames) + 0.3), [2, *[1] * (len(labels) - 1)]
    figure, grid = plt.subplots(
        len(frames), len(labels), figsize=size, width_ratios=widths, sharey="row", squeeze=False
    )
    for row, (dataset, frame) in zip(grid, frames.items(), strict=True):
        for ax, (column, label) in zip(row, labels.items(), strict=True):
            value = frame[column].to_numpy() / (1e7 if column == "logsynflow" else 1)
            accuracy_against(value, frame["val_accuracy"].to_numpy(), label, ax)
            rho, tau = correlations[dataset][column]
            ax.set_title(f"Spearman {rho:.2f} · Kendall {tau:.2f}" if column == "score" else f"{rho:.2f} · {tau:.2f}")
            ax.locator_params(axis="x", nbins=5 if column == "score" else 2)
            ax.set_ylabel(f"{dataset}\nvalidation accuracy (%)" if column == "score" else "")
        for (device, arch), marker, color in zip(optima[dataset].items(), "o^sDvP<>Xph", _cycle(), strict=False):
            best = frame.loc[arch]
            style: dict[str, Any] = {"color": color, "markersize": 6, "markeredgecolor": "black", "linestyle": ""}
            row[0].plot(best["score"], best["val_accuracy"], marker, label=f"h* {device}", markeredgewidth=0.5, **style)
    handles, names = grid[0, 0].get_legend_handles_labels()
    figure.legend(
        handles, names, loc="outside upper center", ncols=min(7, len(names)), columnspacing=1, handletextpad=0.2
    )
    return figure


def _cycle() -> list[str]:
    """The colours of the style, twice."""
    return 2 * [str(color) for color in plt.rcParams["axes.prop_cycle"].by_key()["color"]]


def score_correlations(frame: pd.DataFrame) -> Figure:
    """Fig. S1: Spearman correlation of scores with accuracy, a panel per data set, with 95 % intervals.

    Parameters
    ----------
    frame
        ``dataset, score, against`` (the kind of accuracy), ``spearman, low, high``, a row per correlation.
    """
    names = list(dict.fromkeys(frame["score"]))
    kinds = list(dict.fromkeys(frame["against"]))
    sets = list(dict.fromkeys(frame["dataset"]))
    figure, axes = plt.subplots(1, len(sets), figsize=(PAGE, 0.2 * len(names) + 1.0), sharey=True, sharex=True)
    for ax, dataset in zip(np.atleast_1d(axes), sets, strict=True):
        for kind, marker, color, shift in zip(kinds, "os", (BLUE, ORANGE), (-0.14, 0.14), strict=False):
            part = frame[(frame["dataset"] == dataset) & (frame["against"] == kind)]
            y = np.array([names.index(name) for name in part["score"]]) + shift
            ax.hlines(y, part["low"], part["high"], color=color, linewidth=1)
            ax.plot(part["spearman"], y, marker, color=color, markersize=3, linestyle="", label=f"{kind} accuracy")
        ax.axvline(0, color="0.7", linewidth=0.6)
        ax.set(title=dataset, yticks=range(len(names)), yticklabels=names, xlim=(-0.05, 1))
    np.atleast_1d(axes)[0].invert_yaxis()
    figure.supxlabel("Spearman's rank correlation, 95 % interval over cells", fontsize=8)
    handles = np.atleast_1d(axes)[0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside upper center", ncols=2)
    return figure


_SCORE_STYLES = {"freerea": BLUE, "params": "0.55", "az": ORANGE, "combined": GREEN}


def accuracy_lost(frame: pd.DataFrame, labels: Mapping[str, str]) -> Figure:
    """Fig. 18: accuracy lost within a latency limit, a panel per data set and a line per score, with 95 % intervals.

    Parameters
    ----------
    frame
        ``dataset, score, quantile`` (the limit), ``lost, low, high``, means over devices.
    labels
        What each score is called.
    """
    sets = list(dict.fromkeys(frame["dataset"]))
    figure, axes = plt.subplots(1, len(sets), figsize=(PAGE, 2.3), sharex=True, sharey=True, squeeze=False)
    for ax, dataset in zip(axes.flat, sets, strict=True):
        for name, label in labels.items():
            line = frame[(frame["dataset"] == dataset) & (frame["score"] == name)]
            x, colour = 100 * line["quantile"], _SCORE_STYLES.get(name, "black")
            ax.fill_between(x, line["low"].clip(lower=0), line["high"], color=colour, alpha=0.15, linewidth=0)
            ax.plot(x, line["lost"], "o-", color=colour, markersize=2.5, label=label)
        ax.set(title=dataset, xlim=(0, 103))
    axes.flat[0].set_ylim(bottom=0)
    axes.flat[0].set_ylabel("accuracy lost (points)")
    figure.supxlabel("latency limit: share of the device's cells that keep it (%)", fontsize=8)
    figure.legend(*axes.flat[0].get_legend_handles_labels(), loc="outside upper center", ncols=len(labels))
    return figure


def policy_network(
    layer_sizes: Sequence[int], parts: Sequence[tuple[str, int]], outputs: Sequence[tuple[str, int]]
) -> Figure:
    """Fig. 4: the policy network: parts of its input, its layers, parts of its output.

    The last layer has a circle per unit. The other layers show a few circles, with the number of units above.

    Parameters
    ----------
    layer_sizes
        Units of each layer, the input first.
    parts, outputs
        Name and number of units of each part of the input and of the output.
    """
    figure, ax = plt.subplots(figsize=(PAGE, 2.7))
    ax.axis("off")
    shown = [min(n, 3) for _, n in parts]  # of each part of the input
    rows = [sum(shown), *([9] * (len(layer_sizes) - 2)), sum(n for _, n in outputs)]
    columns = [np.linspace(1, 0, n) for n in rows]
    for x, (left, right) in enumerate(pairwise(columns)):
        for y in left:
            ax.plot([x, x + 1], np.vstack([np.full(len(right), y), right]), color="0.8", linewidth=0.3, zorder=1)
    last = len(layer_sizes) - 1
    for x, (ys, size) in enumerate(zip(columns, layer_sizes, strict=True)):
        colour, kind = (BLUE, "inputs") if x == 0 else (ORANGE, "logits") if x == last else ("0.35", "tanh units")
        ax.plot(np.full(len(ys), x), ys, "o", color=colour, markersize=6, zorder=2)
        ax.text(x, 1.1, f"{size} {kind}", ha="center")
        if 0 < x < last:
            ax.text(x, -0.13, "⋮", ha="center")
    _bracket(
        ax, -0.09, columns[0], [(f"{name} · {n}", k) for (name, n), k in zip(parts, shown, strict=True)], BLUE, "right"
    )
    _bracket(ax, last + 0.09, columns[-1], [(f"{name} · {n}", n) for name, n in outputs], ORANGE, "left")
    ax.set(xlim=(-0.75, last + 0.55), ylim=(-0.15, 1.18))
    return figure


def _bracket(
    ax: Axes, x: float, rows: NDArray[np.float64], labels: Sequence[tuple[str, int]], color: str, side: str
) -> None:
    """Draw a line along each group of a layer's units, from the top, with its label."""
    start = 0
    for label, n in labels:
        group = rows[start : start + n]
        ax.plot([x, x], [group[0] + 0.025, group[-1] - 0.025], color=color)
        ax.text(x - 0.05 if side == "right" else x + 0.05, group.mean(), label, ha=side, va="center", fontsize=7)
        start += n


_TRAINING_PANELS = (
    ("score", "score $p(h_T)$"),
    ("inverse_latency", r"inverse latency $\bar\ell(h_T)$"),
    ("latency_percentile", "latency percentile (%)"),
    ("val_accuracy", "validation accuracy (%)"),
    ("reference_latency_ms", "latency of $h_{ref}$ (ms)"),
    ("episode_return", "return of an episode"),
)


def training_curves(curves: pd.DataFrame, intervals: pd.DataFrame) -> Figure:
    """Fig. 5: six metrics over training; thin: each seed; thick: their mean with its 95 % interval.

    Parameters
    ----------
    curves
        ``seed``, ``timestep`` and the metrics, a row per evaluation.
    intervals
        Indexed by ``(metric, timestep)``: ``mean``, ``low``, ``high``.
    """
    figure, axes = plt.subplots(2, 3, figsize=(PAGE, 3.4), sharex=True)
    for ax, letter, (metric, label) in zip(axes.flat, "abcdef", _TRAINING_PANELS, strict=True):
        for _, one in curves.groupby("seed"):
            ax.plot(one["timestep"] / 1e3, one[metric], color="0.75", linewidth=0.5)
        band = intervals.loc[metric]
        ax.fill_between(band.index / 1e3, band["low"], band["high"], color=BLUE, alpha=0.25, linewidth=0)
        ax.plot(band.index / 1e3, band["mean"], color=BLUE)
        ax.set(ylabel=label)
        # the limits fit the curves; the wide bands of the first evaluations may be cut
        values = curves[metric]
        margin = 0.12 * (values.max() - values.min() or 1.0)
        ax.set_ylim(values.min() - margin, values.max() + margin)
        ax.set_title(f"({letter})", loc="left")
    figure.supxlabel("training steps (thousands)", fontsize=8)
    return figure


def trajectory(
    steps: pd.DataFrame, recommended: int, optimum: int, latency_ms: NDArray[np.float64], score: NDArray[np.float64],
    ax: Axes | None = None,
) -> Axes:  # fmt: skip
    """Fig. 6, one device: the steps of a search over all cells, from the orange star to the red cross; a circle at h*.

    Parameters
    ----------
    steps
        ``arch, latency_ms, score, n_measured`` (distinct cells so far), a row per step.
    recommended, optimum
        NATS indices of the recommendation, and of the device's best cell, which the search does not know.
    latency_ms, score
        Of all cells, ``(cells,)``.
    """
    ax = ax or plt.gca()
    ax.scatter(latency_ms, score, color="0.78", **_CLOUD)
    ax.plot(steps["latency_ms"], steps["score"], "-", color="0.25", linewidth=0.7, zorder=3)
    first = steps.drop_duplicates("arch")
    shades = ax.scatter(
        first["latency_ms"], first["score"], c=first["n_measured"], cmap="viridis", vmin=1, vmax=10, s=12, zorder=4,
        edgecolors="black", linewidths=0.3,
    )  # fmt: skip
    shades.set_label("measured, dark to light")
    start, end = steps.iloc[0], first[first["arch"] == recommended].iloc[0]
    star: dict[str, Any] = {"markersize": 11, "markeredgecolor": "black", "markeredgewidth": 0.5, "zorder": 5}
    ax.plot(start["latency_ms"], start["score"], "*", color=ORANGE, label="start", linestyle="", **star)
    cross: dict[str, Any] = {"markersize": 7, "markeredgewidth": 2, "zorder": 6}
    ax.plot(end["latency_ms"], end["score"], "x", color=RED, label="recommendation", linestyle="", **cross)
    ax.plot(latency_ms[optimum], score[optimum], "o", label="best cell h* (unknown to the search)", linestyle="",
            markersize=9, markerfacecolor="none", markeredgecolor="black", markeredgewidth=0.9, zorder=7)  # fmt: skip
    return ax


def trajectories(
    searches: Mapping[str, tuple[pd.DataFrame, int, int]], latency_ms: Mapping[str, NDArray[np.float64]],
    score: NDArray[np.float64],
) -> Figure:  # fmt: skip
    """Fig. 6: `trajectory` of one search per device, all from one start.

    Parameters
    ----------
    searches
        By device: steps, recommendation and optimum.
    latency_ms
        By device, ``(cells,)``.
    score
        ``(cells,)``.
    """
    n_columns = min(4, len(searches))
    n_rows = -(-len(searches) // n_columns)
    figure, grid = plt.subplots(n_rows, n_columns, figsize=(PAGE, 1.75 * n_rows + 0.25), sharey=True, squeeze=False)
    for ax in grid.flat[len(searches) :]:
        ax.remove()
    for ax, (name, (steps, recommended, optimum)) in zip(grid.flat, searches.items(), strict=False):
        trajectory(steps, recommended, optimum, latency_ms[name], score, ax)
        ax.set_title(name)
        ax.text(0.98, 0.02, f"{steps['n_measured'].max()} measured", transform=ax.transAxes, ha="right", fontsize=6)
    figure.supxlabel("latency (ms)", fontsize=8)
    figure.supylabel("score $p$", fontsize=8)
    figure.legend(*grid.flat[0].get_legend_handles_labels(), loc="outside upper center", ncols=4)
    return figure


def regret_by_device(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Mean simple regret, a bar per device and strategy; 1 is random search.

    Parameters
    ----------
    frame
        ``device, strategy``, and of the regret ``mean, low, high``, a row per bar.
    """
    ax = ax or plt.gca()
    wide = frame.pivot_table(index="device", columns="strategy", sort=False)
    errors = [(wide["mean"] - wide["low"]).to_numpy().T, (wide["high"] - wide["mean"]).to_numpy().T]
    wide["mean"].plot.bar(ax=ax, yerr=np.stack(errors, axis=1), width=0.8, error_kw={"linewidth": 0.8})
    ax.axhline(1, color="0.5", linewidth=0.6, linestyle=":")
    ax.set(xlabel="", ylabel="simple regret (normalised)")
    ax.tick_params(axis="x", rotation=30)
    ax.legend(title=None)
    return ax
