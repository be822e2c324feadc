"""The planes of the explorer as a figure to download."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from simmore.explorer.model import Profile, Trace
from simmore.explorer.view import short
from simmore.plots.style import BLUE, ORANGE, PAGE, RED


def picture(
    profiles: Sequence[Profile], traces: Sequence[Trace | None], x: Sequence[NDArray[np.float64]],
    y: NDArray[np.float64], fronts: Sequence[NDArray[np.int64]], labels: tuple[str, str],
) -> Figure:  # fmt: skip
    """What is on the screen, a panel per device.

    Parameters
    ----------
    profiles, traces
        One per panel; a trace is None if nothing was searched.
    x, fronts
        Of each panel: horizontal position of the cells ``(cells,)``, and the Pareto front.
    y
        Vertical position of the cells, ``(cells,)``.
    labels
        Of the two axes.
    """
    figure = Figure(figsize=(PAGE * (0.6 if len(profiles) == 1 else 1), 3.0), layout="constrained")
    axes = figure.subplots(1, len(profiles), sharey=True, squeeze=False)[0]
    star = {"marker": "*", "markersize": 10, "linestyle": ""}
    for ax, profile, trace, at, front in zip(axes, profiles, traces, x, fronts, strict=True):
        shown = np.isfinite(at)
        cloud = ax.scatter(
            at[shown], y[shown], c=profile.reward[shown], s=1.5, linewidths=0, rasterized=True, cmap="viridis"
        )
        ax.plot(at[front], y[front], color="black", linewidth=0.8, drawstyle="steps-post", label="Pareto front")
        if trace is not None:
            archs, end = trace.archs, trace.found.arch
            ax.plot(at[archs], y[archs], "o-", color=BLUE, linewidth=0.9, markersize=3, label="search")
            ax.plot(at[archs[0]], y[archs[0]], color=ORANGE, markeredgecolor="black", markeredgewidth=0.5,
                    label="start", **star)  # fmt: skip
            if end is not None:  # a ring, so that the star of h* stays visible where both are one cell
                ax.plot(at[end], y[end], "o", markerfacecolor="none", color=RED, markersize=12, markeredgewidth=1.5,
                        linestyle="", label="recommendation")  # fmt: skip
        best = profile.optimum
        ax.plot(at[best], y[best], color=RED, markeredgecolor="white", label="best cell h*", **star)
        ax.set(xlabel=labels[0], title=short(profile.device.name).replace("$", r"\$"))
        figure.colorbar(cloud, ax=ax, label="reward $r$", aspect=30, pad=0.01)
    axes[0].set_ylabel(labels[1])
    columns = 3 if len(profiles) == 1 else 5
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=columns)
    return figure


def picture_bytes(figure: Figure, kind: str) -> bytes:
    """A figure as ``png`` or ``svg``."""
    stream = io.BytesIO()
    figure.savefig(stream, format=kind, dpi=200)
    return stream.getvalue()
