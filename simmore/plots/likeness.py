"""Figure S2: similarity of the devices, and percentiles of the benchmarked runtimes in Ξ."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np

from simmore import space
from simmore.plots.labels import OPERATION_LABELS
from simmore.plots.style import BLUE, ORANGE, PAGE, RED

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def benchmarked_runtimes(pairs: pd.DataFrame, profiles: pd.DataFrame, own: Sequence[str]) -> Figure:
    """Fig. S2: `kendall_matrix` of all devices, and `shares` of their operations.

    Parameters
    ----------
    pairs
        ``device_a, device_b, kendall``, each pair in both orders, and each device with itself.
    profiles
        ``device, operation, share_percentile``: the percentile of an operation's share of the latency in Ξ.
    own
        Names of the benchmarked runtimes.
    """
    figure = plt.figure(figsize=(PAGE, 9.2))
    above, below = figure.subfigures(2, 1, height_ratios=(1.75, 1), squeeze=False).ravel()
    kendall_matrix(pairs, own, above.subplots())
    shares(profiles, own, below.subplots())
    return figure


def kendall_matrix(pairs: pd.DataFrame, own: Sequence[str], ax: Axes | None = None) -> Axes:
    """Kendall's τ between any two devices; the benchmarked runtimes have red names."""
    ax = ax or plt.gca()
    names = list(dict.fromkeys(pairs["device_a"]))
    matrix = pairs.pivot_table(index="device_a", columns="device_b", values="kendall").loc[names, names].to_numpy()
    image = ax.imshow(matrix, cmap="viridis", vmin=min(0.0, float(matrix.min())), vmax=1)
    for (row, column), value in np.ndenumerate(matrix):
        if row != column:
            colour = "white" if value < 0.6 else "black"
            ax.text(column, row, f"{100 * value:.0f}", ha="center", va="center", fontsize=6.5, color=colour)
    ax.set_xticks(range(len(names)), names, rotation=90)
    ax.set_yticks(range(len(names)), names)
    for label in [*ax.get_xticklabels(), *ax.get_yticklabels()]:
        label.set_color(RED if label.get_text() in own else "black")
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.figure.colorbar(image, ax=ax, label="Kendall's τ (numbers: × 100)", aspect=30, pad=0.02, shrink=0.75)
    ax.set_title("(a) Do two devices rank the cells alike? Red: benchmarked runtimes", loc="left")
    return ax


def shares(profiles: pd.DataFrame, own: Sequence[str], ax: Axes | None = None) -> Axes:
    """Percentile of each operation's share of the latency among synthetic devices."""
    ax = ax or plt.gca()
    ax.axvspan(0.5, 99.5, color="0.93", zorder=0, label="central 99 % of Ξ")
    ax.axvline(50, color="0.7", linewidth=0.6, zorder=1)
    rows = {operation: row for row, operation in enumerate(space.OPERATIONS)}
    others = profiles[~profiles["device"].isin(own)]
    height = others["operation"].map(rows) + 0.3
    ax.plot(others["share_percentile"], height, "|", color=BLUE, label="the paper's devices")
    for number, name in enumerate(own):
        one = profiles[profiles["device"] == name]
        marker = "osD^vPX*"[number % 8]
        height = one["operation"].map(rows) - 0.3 + 0.45 * number / max(len(own) - 1, 1)
        ax.plot(
            one["share_percentile"], height, marker, color=ORANGE, markersize=5.5, markeredgecolor="black",
            markeredgewidth=0.4, linestyle="", label=name,
        )  # fmt: skip
    ax.set_yticks(range(len(rows)), OPERATION_LABELS)
    ax.set(xlim=(-2, 102), xlabel="percentile among draws of Ξ (%)", ylim=(len(rows) - 0.4, -0.6))
    ax.set_title("(b) Could Ξ have drawn the devices? Share of each operation in the latency", loc="left")
    ax.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
    return ax
