"""The figures of the paper. Every plotter takes results, draws them, and returns the Axes or the Figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import LogLocator, NullFormatter
from numpy.typing import NDArray

from simmore import space
from simmore.plots import drawings
from simmore.plots.labels import OPERATION_COLORS, OPERATION_LABELS, readable
from simmore.plots.style import BLUE, GREEN, ORANGE, PAGE, RED

_OVERVIEW = ("raspi4", "titan_rtx_1", "eyeriss")  # measured devices with unlike operation latencies
_CLOUD: dict[str, Any] = {"s": 1, "linewidths": 0, "rasterized": True}  # one image, not an object per cell
_REWARD: dict[str, Any] = {"cmap": "viridis", "vmin": 0.4, "vmax": 1.7, "alpha": 0.6}
_HALO = [withStroke(linewidth=2, foreground="white")]


def operation_distribution(
    measured_ms: NDArray[np.float64], mean_ms: float, sd_ms: float, drawn_ms: NDArray[np.float64],
    ax: Axes | None = None, *, color: str = BLUE,
) -> Axes:  # fmt: skip
    """Fig. 1, one operation: latencies of the measured devices, their Gaussian, and synthetic devices.

    Parameters
    ----------
    measured_ms, drawn_ms
        Latencies on measured and on synthetic devices, ``(devices,)`` and ``(n,)`` in ms.
    mean_ms, sd_ms
        Mean and standard deviation of the Gaussian.
    color
        Colour of the Gaussian.
    """
    ax = ax or plt.gca()
    low, high = min(0.0, mean_ms - 2.5 * sd_ms), max(mean_ms + 3 * sd_ms, measured_ms.max() * 1.05)
    x = np.linspace(low, high, 300)
    density = np.exp(-0.5 * ((x - mean_ms) / sd_ms) ** 2)
    ax.fill_between(x, density, where=list(x >= 0), color=color, alpha=0.25, linewidth=0)
    ax.plot(x[x >= 0], density[x >= 0], color=color, label="fitted Gaussian")
    ax.plot(x[x <= 0], density[x <= 0], color=color, linestyle=":", linewidth=1, label="draws ≤ 0 are drawn again")
    for height, values, shade, kind in ((-0.14, measured_ms, "black", "measured"), (-0.4, drawn_ms, RED, "synthetic")):
        label = f"{len(values)} {kind} devices, a tick each"
        ax.plot(values, np.full(len(values), height), "|", color=shade, alpha=0.7, markersize=8, label=label)
    ax.set(ylim=(-0.56, 1.08), yticks=[], xlim=(low, high))
    ax.spines["left"].set_visible(False)
    return ax


def operation_distributions(
    measured_ms: pd.DataFrame, mean_ms: NDArray[np.float64], sd_ms: NDArray[np.float64], drawn_ms: NDArray[np.float64]
) -> Figure:
    """Fig. 1: an overview of the method, and below it `operation_distribution` of all operations.

    Parameters
    ----------
    measured_ms, drawn_ms
        Latencies on measured and on synthetic devices, ``(devices, operations)`` and ``(n, operations)`` in ms. The
        overview shows three of each.
    mean_ms, sd_ms
        Means and standard deviations of the Gaussians, ``(operations,)`` in ms.
    """
    figure = plt.figure(figsize=(PAGE, 4.7))
    above, below = figure.subfigures(2, 1, height_ratios=(1.1, 1), squeeze=False).ravel()
    shown = measured_ms.loc[[name for name in _OVERVIEW if name in measured_ms.index]]
    devices = {str(name): row.to_numpy() for name, row in shown.iterrows()}
    drawings.overview(devices, drawn_ms[: len(_OVERVIEW)], above.subplots())
    axes = below.subplots(1, len(space.OPERATIONS))
    for k, ax in enumerate(axes):
        values, color = measured_ms.iloc[:, k].to_numpy(), OPERATION_COLORS[k]
        operation_distribution(values, mean_ms[k], sd_ms[k], drawn_ms[:, k], ax, color=color)
        ax.set_title(OPERATION_LABELS[k])
    below.supxlabel("latency of one operation (ms)", fontsize="medium")
    below.legend(*axes[3].get_legend_handles_labels(), loc="outside upper center", ncols=2)
    return figure


def profiles(
    operation_ms: NDArray[np.float64], inverse_latency: Sequence[NDArray[np.float64]], score: NDArray[np.float64],
    rewards: Sequence[NDArray[np.float64]], optima: Sequence[int],
) -> Figure:  # fmt: skip
    """Fig. 2: several devices; above: latencies of the operations; below: all cells, coloured by reward, with h*.

    Parameters
    ----------
    operation_ms
        ``(devices, operations)`` in ms.
    inverse_latency, rewards
        Inverse latency and reward of all cells on each device, ``(cells,)``.
    score
        Score p of all cells, ``(cells,)``.
    optima
        NATS index of each device's best cell.
    """
    figure = plt.figure(figsize=(PAGE, 4.1))
    grid = figure.subplots(2, len(rewards), height_ratios=(1, 1.9), sharey="row")
    low, high = min(r.min() for r in rewards), max(r.max() for r in rewards)
    for k, (bars, ax) in enumerate(grid.T):
        drawings.operation_latencies(operation_ms[k], bars).set(title=f"synthetic device {k + 1}")
        bars.label_outer(remove_inner_ticks=True)
        bars.xaxis.set_tick_params(labelbottom=True)
        cloud = ax.scatter(inverse_latency[k], score, c=rewards[k], vmin=low, vmax=high, **_CLOUD)
        best = inverse_latency[k][optima[k]], score[optima[k]]
        ax.plot(*best, "*", color=RED, markersize=10, markeredgecolor="white")
        ax.annotate("$h^*$", best, (-3, 4), textcoords="offset points", color=RED, ha="right", path_effects=_HALO)
        ax.set(xlim=(-0.03, 1.06), xticks=[0, 0.5, 1])
        ax.label_outer()
        ax.xaxis.set_tick_params(labelbottom=True)
    grid[0, 0].set_ylabel("ms per edge")
    grid[1, 0].set_ylabel("score $p$")
    figure.supxlabel(r"inverse latency $\bar\ell$ (0: slowest cell of the device, 1: fastest)", fontsize="medium")
    figure.colorbar(cloud, ax=grid[1], label=r"reward $r = p + \bar\ell$", aspect=18, pad=0.01)
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
        Of each data set, by NATS index: ``val_accuracy`` (%), and a column per score, ``score`` (p) among them.
    correlations
        Spearman and Kendall of each score with the accuracy, a panel each but for ``params``; ``score`` comes first.
    optima
        Device name to the NATS index of its h*.
    """
    columns = [name for name in next(iter(correlations.values())) if name != "params"]  # figure S1 shows it
    size, widths = (PAGE, 2.3 * len(frames) + 0.4), [2, *[1] * (len(columns) - 1)]
    figure, grid = plt.subplots(
        len(frames), len(columns), figsize=size, width_ratios=widths, sharey="row", squeeze=False
    )
    for row, (dataset, frame) in zip(grid, frames.items(), strict=True):
        for ax, column in zip(row, columns, strict=True):
            value, label = frame[column].to_numpy(), readable(column)
            if column == "logsynflow":
                value, label = value / 1e6, f"{label}\n(millions)"
            accuracy_against(value, frame["val_accuracy"].to_numpy(), label, ax)
            rho, tau = correlations[dataset][column]
            ax.set_title(f"$\\rho$ = {rho:.2f}, $\\tau$ = {tau:.2f}" if column == "score" else f"{rho:.2f}, {tau:.2f}")
            ax.locator_params(axis="x", nbins=5 if column == "score" else 2)
            ax.set_ylabel(f"{readable(dataset)}\nvalidation accuracy (%)" if column == "score" else "")
        _pins(frame[["score", "val_accuracy"]], optima[dataset], row[0])
    handles, names = grid[0, 0].get_legend_handles_labels()
    figure.legend(
        handles, names, loc="outside upper center", ncols=min(4, len(names)), columnspacing=1, handletextpad=0.2
    )
    return figure


def _pins(points: pd.DataFrame, optima: Mapping[str, int], ax: Axes) -> None:
    """Mark the optimum of every device by a pin: a line from its cell to a marker below the cells, so that all show.

    Parameters
    ----------
    points
        Position of every cell in the axes, by NATS index.
    optima
        Device name to NATS index.
    """
    styles = zip("o^sDvP<>Xph", _cycle(), strict=False)
    marks = {name: style for name, style in zip(optima, styles, strict=False)}
    left, right = ax.get_xlim()
    step = 0.075 * (right - left)
    ordered = sorted(marks, key=lambda name: tuple(points.loc[optima[name]]))
    wanted = np.mean([points.loc[arch].iloc[0] for arch in optima.values()])
    first = min(wanted - step * (len(ordered) - 1) / 2, right - step * len(ordered))
    bottom, top = ax.get_ylim()
    for place, name in enumerate(ordered):
        x, y = points.loc[optima[name]].to_numpy(dtype=np.float64).tolist()
        marker, color = marks[name]
        at = first + step * place, bottom + 0.2 * (top - bottom)
        ax.plot([x, at[0]], [y, at[1]], color="black", linewidth=0.6)
        ax.plot(x, y, ".", color="black", markersize=4)
        ax.plot(*at, marker, color=color, markersize=7, markeredgecolor="black", markeredgewidth=0.5)
    for name, (marker, color) in marks.items():
        style: dict[str, Any] = {"color": color, "markersize": 7, "markeredgecolor": "black", "linestyle": ""}
        ax.plot([], [], marker, label=f"$h^*$ {name}", markeredgewidth=0.5, **style)


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
    figure, axes = plt.subplots(1, len(sets), figsize=(PAGE, 0.24 * len(names) + 1.3), sharey=True, sharex=True)
    for ax, dataset in zip(np.atleast_1d(axes), sets, strict=True):
        for kind, marker, color, shift in zip(kinds, "os", (BLUE, ORANGE), (-0.14, 0.14), strict=False):
            part = frame[(frame["dataset"] == dataset) & (frame["against"] == kind)]
            y = np.array([names.index(name) for name in part["score"]]) + shift
            ax.hlines(y, part["low"], part["high"], color=color, linewidth=1)
            ax.plot(part["spearman"], y, marker, color=color, markersize=4, linestyle="", label=f"{kind} accuracy")
        ax.axvline(0, color="0.7", linewidth=0.6)
        ax.grid(axis="y", color="0.92", linewidth=0.6)
        ax.set(title=readable(dataset), yticks=range(len(names)), yticklabels=[readable(name) for name in names])
        ax.set(xlim=(-0.05, 1), xticks=[0, 0.5, 1], axisbelow=True)
    np.atleast_1d(axes)[0].invert_yaxis()
    figure.supxlabel(
        "Spearman's rank correlation with accuracy; lines: 95 % interval over cells\n* 1,000 random cells",
        fontsize="medium",
    )
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
        Label of each score.
    """
    sets = list(dict.fromkeys(frame["dataset"]))
    figure, axes = plt.subplots(1, len(sets), figsize=(PAGE, 2.7), sharex=True, sharey=True, squeeze=False)
    for ax, dataset in zip(axes.flat, sets, strict=True):
        for name, label in labels.items():
            line = frame[(frame["dataset"] == dataset) & (frame["score"] == name)]
            x, colour = 100 * line["quantile"], _SCORE_STYLES.get(name, "black")
            ax.fill_between(x, line["low"].clip(lower=0), line["high"], color=colour, alpha=0.15, linewidth=0)
            ax.plot(x, line["lost"], "o-", color=colour, markersize=2.5, label=label)
        ax.set(title=readable(dataset), xlim=(0, 103))
    axes.flat[0].set_ylim(bottom=0)
    axes.flat[0].set_ylabel("accuracy lost (points)")
    figure.supxlabel("latency limit: share of the device's cells that are within it (%)", fontsize="medium")
    figure.legend(*axes.flat[0].get_legend_handles_labels(), loc="outside upper center", ncols=len(labels))
    return figure


_TRAINING_PANELS = (
    ("score", "score of the last cell", "$p(h_T)$"),
    ("inverse_latency", "its inverse latency", r"$\bar\ell(h_T)$"),
    ("latency_percentile", "its latency percentile", "%"),
    ("val_accuracy", "its validation accuracy", "%"),
    ("reference_latency_ms", "a fixed reference cell", "latency (ms)"),
    ("episode_return", "return of an episode", r"$\sum_t r_t$"),
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
    figure, axes = plt.subplots(2, 3, figsize=(PAGE, 4.2), sharex=True)
    for ax, letter, (metric, title, unit) in zip(axes.flat, "abcdef", _TRAINING_PANELS, strict=True):
        band = intervals.loc[metric]
        ax.fill_between(band.index / 1e3, band["low"], band["high"], color=BLUE, alpha=0.2, linewidth=0,
                        label="95 % interval")  # fmt: skip
        for k, (_, one) in enumerate(curves.groupby("seed")):
            label = f"each of {curves['seed'].nunique()} seeds" if k == 0 else None
            ax.plot(one["timestep"] / 1e3, one[metric], color=ORANGE, linewidth=0.6, alpha=0.8, label=label)
        ax.plot(band.index / 1e3, band["mean"], color=BLUE, linewidth=1.4, label="mean over seeds")
        # the limits fit the curves; the wide bands of the first evaluations may be cut
        values = curves[metric]
        margin = 0.12 * (values.max() - values.min() or 1.0)
        ax.set(ylabel=unit, ylim=(values.min() - margin, values.max() + margin))
        ax.set_title(f"({letter}) {title}", loc="left")
    figure.supxlabel("training steps (thousands)", fontsize="medium")
    figure.legend(*axes.flat[0].get_legend_handles_labels(), loc="outside upper center", ncols=3)
    return figure


def trajectory(
    steps: pd.DataFrame, recommended: int, optimum: int, latency_ms: NDArray[np.float64], score: NDArray[np.float64],
    reward: NDArray[np.float64], ax: Axes | None = None,
) -> Axes:  # fmt: skip
    """Fig. 6, one device: the steps of a search over all cells, from the orange star to the red cross; a circle at h*.

    The axis of latency is logarithmic. On a linear axis, good cells would lie close together, because they are fast.

    Parameters
    ----------
    steps
        ``arch, latency_ms, score, n_measured`` (distinct cells so far), a row per step.
    recommended, optimum
        NATS indices of the recommendation, and of the device's best cell, which the search does not know.
    latency_ms, score, reward
        Latency, score and reward of all cells, ``(cells,)``. The reward is the colour of the cells.
    """
    ax = ax or plt.gca()
    order = np.argsort(reward)  # the best cells are on top
    ax.scatter(latency_ms[order], score[order], c=reward[order], **_REWARD, **_CLOUD)
    ax.plot(steps["latency_ms"], steps["score"], "-", color="black", linewidth=0.9, zorder=3, path_effects=_HALO)
    first = steps.drop_duplicates("arch")
    small: dict[str, Any] = {"markeredgecolor": "white", "markeredgewidth": 0.5, "linestyle": "", "zorder": 4}
    ax.plot(first["latency_ms"], first["score"], "o", color="black", markersize=3.6, label="measured cell", **small)
    start, end = steps.iloc[0], first[first["arch"] == recommended].iloc[0]
    star: dict[str, Any] = {"markersize": 9, "markeredgecolor": "black", "markeredgewidth": 0.5, "zorder": 5}
    ax.plot(start["latency_ms"], start["score"], "*", color=ORANGE, label="start", linestyle="", **star)
    cross: dict[str, Any] = {"markersize": 5.5, "markeredgewidth": 1.6, "zorder": 6}
    ax.plot(end["latency_ms"], end["score"], "x", color=RED, label="recommendation", linestyle="", **cross)
    ax.plot(latency_ms[optimum], score[optimum], "o", label="best cell $h^*$", linestyle="", markersize=9,
            markerfacecolor="none", markeredgecolor="black", markeredgewidth=1.1, zorder=7)  # fmt: skip
    # cells without any convolution can be hundreds of times faster than those of the search: they are left out
    fastest = min(steps["latency_ms"].min(), latency_ms[optimum])
    ax.set(xscale="log", xlim=(max(0.8 * np.nanmin(latency_ms), fastest / 4), None))
    ax.margins(y=0.08)
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=6))
    ax.xaxis.set_major_formatter("{x:g}")
    ax.xaxis.set_minor_formatter(NullFormatter())
    return ax


def trajectories(
    searches: Mapping[str, tuple[pd.DataFrame, int, int]], latency_ms: Mapping[str, NDArray[np.float64]],
    score: NDArray[np.float64], rewards: Mapping[str, NDArray[np.float64]],
) -> Figure:  # fmt: skip
    """Fig. 6: `trajectory` of one search per device, all from one start.

    Parameters
    ----------
    searches
        By device: steps, recommendation and optimum.
    latency_ms, rewards
        Latency and reward of all cells by device, ``(cells,)``.
    score
        Score p of all cells, ``(cells,)``.
    """
    n_columns = min(3, len(searches))
    n_rows = -(-len(searches) // n_columns)
    figure, grid = plt.subplots(n_rows, n_columns, figsize=(PAGE, 1.75 * n_rows + 0.5), sharey=True, squeeze=False)
    for ax in grid.flat[len(searches) :]:
        ax.remove()
    for ax, (name, (steps, recommended, optimum)) in zip(grid.flat, searches.items(), strict=False):
        trajectory(steps, recommended, optimum, latency_ms[name], score, rewards[name], ax)
        ax.set_title(name)
        ax.text(0.97, 0.03, f"{steps['n_measured'].max()} measured", transform=ax.transAxes, ha="right", fontsize=8,
                path_effects=_HALO)  # fmt: skip
    figure.supxlabel("latency (ms, logarithmic)", fontsize="medium")
    figure.supylabel("score $p$", fontsize="medium")
    figure.colorbar(grid.flat[0].collections[0], ax=grid, label="reward $r$", aspect=40, pad=0.01)
    figure.legend(*grid.flat[0].get_legend_handles_labels(), loc="outside upper center", ncols=4)
    return figure


def regret_by_device(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Mean simple regret, a bar per device and strategy; the line at 1 is the best of ten random cells on average.

    Parameters
    ----------
    frame
        ``device, strategy``, and of the regret ``mean, low, high``, a row per bar.
    """
    ax = ax or plt.subplots(figsize=(PAGE, 2.8))[1]
    wide = frame.pivot_table(index="device", columns="strategy", sort=False)
    errors = [(wide["mean"] - wide["low"]).to_numpy().T, (wide["high"] - wide["mean"]).to_numpy().T]
    wide = wide.rename(columns=readable, level=1)
    wide["mean"].plot.bar(ax=ax, yerr=np.stack(errors, axis=1), width=0.8, error_kw={"linewidth": 0.8})
    ax.axhline(1, color="0.5", linewidth=0.6, linestyle=":")
    ax.set(xlabel="", ylabel="simple regret (normalised)")
    ax.set_xticks(ax.get_xticks(), wide.index, rotation=20, ha="right", rotation_mode="anchor")
    ax.legend(title=None, ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1))
    return ax
