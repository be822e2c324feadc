"""Pictures of the objects of the method: a cell, a device, an episode, the policy network, and the method itself."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Rectangle
from matplotlib.path import Path
from numpy.typing import ArrayLike, NDArray

from simmore import space
from simmore.plots.labels import OPERATION_COLORS, OPERATION_LABELS
from simmore.plots.style import BLUE, ORANGE, PAGE, RED

_STEP = 2.2  # from one node to the next
_HEIGHTS = {(0, 2): 1.5, (1, 3): -1.5, (0, 3): 3.4}  # how far an edge bends away from the row of nodes
_NODE = 0.27  # radius
_WIDTHS = (0.9, 1.3, 1.8, 2.6, 1.8)  # of lines, in the order of space.OPERATIONS


def cell(
    ops: ArrayLike, ax: Axes | None = None, *, changed: Collection[int] = (), labels: bool = True, size: float = 1.0
) -> Axes:
    """A cell: four nodes (feature maps), and an arrow for the operation on each edge; `none` is dotted.

    Parameters
    ----------
    ops
        Digits of the operations, ``(6,)``, in the order of `space.EDGES`.
    changed
        Edges to mark in red, by their places in `space.EDGES`.
    labels
        Write the operations beside their edges.
    size
        Scale of lines and text.
    """
    ax = ax or plt.subplots(figsize=(4.4, 2.1))[1]
    for place, (edge, operation) in enumerate(zip(space.EDGES, np.asarray(ops).tolist(), strict=True)):
        curve = _curve(*edge)
        if place in changed:
            ax.plot(*curve.T, color=RED, linewidth=7 * size, alpha=0.3, solid_capstyle="round", zorder=1)
        arrow: dict[str, Any] = {
            "arrowstyle": "-|>,head_length=0.5,head_width=0.25",
            "mutation_scale": 9 * size,
            "zorder": 2,
        }
        color, line = OPERATION_COLORS[operation], ":" if operation == 0 else "-"
        style: dict[str, Any] = {"color": color, "linestyle": line, "linewidth": _WIDTHS[operation] * size}
        ax.add_patch(FancyArrowPatch(path=Path(curve.tolist()), **arrow, **style))
        if labels:
            x, y = curve[len(curve) // 2]
            box = {"facecolor": "white", "edgecolor": "none", "pad": 0.8}
            ax.text(x, y, OPERATION_LABELS[operation], ha="center", va="center", fontsize=8 * size, bbox=box, zorder=3)
    for node in range(4):
        circle: dict[str, Any] = {"facecolor": "white", "edgecolor": "black", "linewidth": size, "zorder": 4}
        ax.add_patch(plt.Circle((_STEP * node, 0), _NODE, **circle))
        ax.text(_STEP * node, 0, str(node), ha="center", va="center_baseline", fontsize=7.5 * size, zorder=5)
    ax.set(xlim=(-0.3, 3 * _STEP + 0.3), ylim=(-1.05, 2.0), aspect="equal")
    ax.axis("off")
    return ax


def _curve(source: int, target: int) -> NDArray[np.float64]:
    """Points of the curve from one node's border to another's, ``(n, 2)``."""
    t = np.linspace(0, 1, 81)
    x = _STEP * (source + (target - source) * t)
    y = 2 * t * (1 - t) * _HEIGHTS.get((source, target), 0.0)
    ends = _STEP * np.array([[source], [target]])
    outside = (np.hypot(x - ends, y) > _NODE + 0.03).all(axis=0)
    return np.stack([x, y], axis=1)[outside]


def operation_key(figure: Figure) -> None:
    """A legend of the operations' colours below a figure."""
    handles = [
        plt.Line2D([], [], color=color, linewidth=1.4 * width, linestyle=":" if k == 0 else "-")
        for k, (color, width) in enumerate(zip(OPERATION_COLORS, _WIDTHS, strict=True))
    ]
    figure.legend(handles, OPERATION_LABELS, loc="outside lower center", ncols=len(handles))


def operation_latencies(operation_ms: ArrayLike, ax: Axes | None = None) -> Axes:
    """A device: the latency of each operation in ms, ``(5,)``, as bars."""
    ax = ax or plt.subplots(figsize=(3, 1.5))[1]
    ax.bar(range(space.N_OPERATIONS), np.asarray(operation_ms), color=OPERATION_COLORS, width=0.75)
    ax.set_xticks(range(space.N_OPERATIONS), OPERATION_LABELS, rotation=40, ha="right", rotation_mode="anchor")
    ax.tick_params(axis="x", length=0, pad=2)
    ax.set_ylabel("ms per edge")
    return ax


def devices(operation_ms: Mapping[str, ArrayLike]) -> Figure:
    """Devices as bars: a row per entry, ``(devices, 5)`` latencies of operations in ms, with its label."""
    tables = {label: np.asarray(table) for label, table in operation_ms.items()}
    columns = max(len(table) for table in tables.values())
    size = (PAGE, 1.0 * len(tables) + 0.7)
    figure, grid = plt.subplots(len(tables), columns, figsize=size, sharex=True, sharey=True, squeeze=False)
    for row, (label, table) in zip(grid, tables.items(), strict=True):
        for ax, one in zip(row, table, strict=False):
            operation_latencies(one, ax).label_outer()
        row[0].set_ylabel(f"{label}\nms per edge")
    return figure


def episode(archs: Sequence[int], latency_ms: Sequence[float], rewards: Sequence[float], *, columns: int = 4) -> Figure:
    """An episode: the cell of every step with its latency and its reward; what was edited is marked.

    Parameters
    ----------
    archs, latency_ms, rewards
        Cell, latency in ms and reward of every step, the start first.
    columns
        Cells in a row.
    """
    rows = -(-len(archs) // columns)
    figure, grid = plt.subplots(rows, columns, figsize=(PAGE, 1.25 * rows + 0.45), squeeze=False)
    ops = space.to_ops(np.asarray(archs))
    for ax in grid.flat:
        ax.axis("off")
    for step, (ax, latency, reward) in enumerate(zip(grid.flat, latency_ms, rewards, strict=False)):
        edited = np.flatnonzero(ops[step] != ops[max(step - 1, 0)]).tolist()
        cell(ops[step], ax, changed=edited, labels=False, size=0.85)
        title = "start" if step == 0 else f"step {step}" if edited else f"step {step}: no change"
        ax.set_title(f"{title}\n$\\ell$ = {latency:.1f} ms, $r$ = {reward:.2f}")
    operation_key(figure)
    return figure


def policy_network(
    layer_sizes: Sequence[int], parts: Sequence[tuple[str, int]], outputs: Mapping[str, Mapping[str, float]],
    before: ArrayLike, after: ArrayLike,
) -> Figure:  # fmt: skip
    """Fig. 4: one step of the policy, from the state to the action and back: a block for each part and each layer.

    Parameters
    ----------
    layer_sizes
        Units of each layer, the input first.
    parts
        Name and number of units of each part of the input.
    outputs
        Probability of each choice, by part of the action: ``{"edge": {"0→1": 0.2, …}, "operation": {…}}``.
    before, after
        Digits of the current cell and of the edited one, ``(6,)`` each.
    """
    figure, ax = plt.subplots(figsize=(PAGE, 3.5))
    ax.set(xlim=(0, 100), ylim=(0, 52))
    ax.axis("off")
    edited = np.flatnonzero(np.asarray(before) != np.asarray(after)).tolist()
    for place in ((0.7, 28, 19.6, 21), (79.6, 21.5, 19.6, 22.5)):
        _frame(ax, place)
    cell(before, ax.inset_axes((0.005, 0.52, 0.2, 0.28)), labels=False, size=0.8)
    cell(after, ax.inset_axes((0.795, 0.42, 0.2, 0.28)), changed=edited, labels=False, size=0.8)
    ax.text(10.5, 44, "state $s_t$: cell $h_t$,\nits latency, history", ha="center", fontsize=8)
    ax.text(89.5, 39.5, "next cell $h_{t+1}$,\none edge edited", ha="center", fontsize=8)
    _input(ax, parts, 41, layer_sizes[0])
    _arrow(ax, (20.7, 33), (24.5, 33))
    for k, size in enumerate(layer_sizes[1:-1]):
        _box(ax, (46 + 6.5 * k, 18, 4, 20), "0.88", f"{size} tanh units", rotation=90)
        _arrow(ax, (43.2 + 6.5 * k, 28), (45.8 + 6.5 * k, 28))
    ax.text(50.5, 40.5, "policy $\\pi_\\theta$", ha="center", fontsize=8)
    right = 46 + 6.5 * (len(layer_sizes) - 3) + 4
    for name, choices, bottom in zip(outputs, outputs.values(), (27, 11), strict=True):
        _probabilities(ax, name, choices, (0.695, bottom / 52, 0.075, 0.3 if bottom == 27 else 0.24))
        _arrow(ax, (right + 0.3, 28), (right + 2.8, bottom + 7))
    _arrow(ax, (77.2, 27.9), (79.5, 27.9))
    ax.text(72, 47.5, "action $a_t$: probabilities of edge\nand operation; orange: chosen", ha="center", fontsize=8)
    _box(ax, (84, 8, 14, 6), "white", "device")
    _arrow(ax, (91, 21.1), (91, 14.4))
    ax.text(91.8, 17.6, "measure", fontsize=8, va="center")
    ax.plot([91, 91, 10.5, 10.5], [7.8, 5.5, 5.5, 25], color="black", linewidth=1)
    _arrow(ax, (10.5, 24), (10.5, 27.6))
    ax.text(47, 2.2, "latency $\\ell(h_{t+1})$; in training also the reward $r = p(h_{t+1}) + \\bar\\ell(h_{t+1})$",
            ha="center", fontsize=8)  # fmt: skip
    return figure


def _input(ax: Axes, parts: Sequence[tuple[str, int]], right: float, size: int) -> None:
    """The input of the policy network as a stack of blocks that ends at x; heights grow with the number of units."""
    heights = np.array([max(n, 14) for _, n in parts], dtype=float)
    tops = 42 - 32 * np.concatenate([[0], np.cumsum(heights)]) / heights.sum()
    for (name, n), top, bottom in zip(parts, tops, tops[1:], strict=False):
        ax.add_patch(Rectangle((right - 3, bottom), 4.4, top - bottom, facecolor=BLUE, edgecolor="white", alpha=0.8))
        ax.text(right - 3.6, (top + bottom) / 2, f"{name} · {n}", ha="right", va="center", fontsize=8)
    ax.text(right - 0.8, 43.2, f"{size} inputs", ha="center", fontsize=8)


def _probabilities(
    parent: Axes, name: str, choices: Mapping[str, float], place: tuple[float, float, float, float]
) -> None:
    """Bars of one part of the action with their probabilities, the most likely in the strong colour."""
    ax = parent.inset_axes(place)
    values = list(choices.values())
    bars = ax.barh(range(len(values)), values, color=[ORANGE if value == max(values) else "0.8" for value in values])
    ax.bar_label(bars, fmt="%.2f", padding=2, fontsize=7)
    ax.set_yticks(range(len(values)), list(choices), fontsize=7)
    ax.set(xlim=(0, 1), xticks=[], ylim=(len(values) - 0.5, -0.5))
    ax.spines[:].set_visible(False)
    ax.spines["left"].set_visible(True)
    ax.tick_params(length=0, pad=2)
    ax.set_title(f"{name} · {len(values)}", fontsize=8, pad=2)


def overview(measured_ms: Mapping[str, ArrayLike], drawn_ms: ArrayLike, ax: Axes | None = None) -> Axes:
    """The method: measured devices, synthetic devices, training, deployment (Fig. 1 of the paper, redrawn).

    Parameters
    ----------
    measured_ms
        Three measured devices, name to operation latencies ``(5,)`` in ms.
    drawn_ms
        Three synthetic devices, ``(3, 5)`` in ms.
    """
    ax = ax or plt.subplots(figsize=(PAGE, 2.2))[1]
    ax.set(xlim=(0, 100), ylim=(0, 33))
    ax.axis("off")
    titles = ("(A) Devices differ", "(B) Synthetic devices", "(C) Training on (B)", "(D) A new device")
    for x, width, title in zip((0, 24, 48, 76), (19, 19, 23, 24), titles, strict=True):
        _frame(ax, (x + 0.5, 0.8, width - 1, 27.2))
        ax.text(x + width / 2, 30, title, ha="center", weight="bold")
    for row, (name, values) in enumerate(measured_ms.items()):
        _bars(ax, (10.5, 20.2 - 7.4 * row, 7, 5.5), values)
        ax.text(9.6, 22 - 7.4 * row, name, ha="right", fontsize=8)
    for row, values in enumerate(np.asarray(drawn_ms)):
        _bars(ax, (35, 20.2 - 7.4 * row, 6.5, 5.5), values)
        ax.text(34, 22 - 7.4 * row, f"draw {row + 1}", ha="right", fontsize=8)
    ax.text(9.5, 2, "latency per operation", ha="center", fontsize=8)
    ax.text(33.5, 2, r"draws $\xi \sim \Xi$", ha="center", fontsize=8)
    _loop(ax, 48, 23, "device $\\xi$", "latency, reward", "new $\\xi$ each episode")
    _loop(ax, 76, 24, "real device", "latency", "≤ 10 cells measured")
    for left, right, word in ((19.2, 23.8, "fit"), (43.2, 47.8, "draw"), (71.2, 75.8, "use")):
        _arrow(ax, (left, 13), (right, 13), color=BLUE, width=2)
        ax.text((left + right) / 2, 14.6, word, ha="center", fontsize=8, color=BLUE)
    return ax


def _loop(ax: Axes, x: float, width: float, device: str, answer: str, note: str) -> None:
    """The policy and the device that it queries, as two boxes with arrows."""
    left, right, middle = x + 3, x + width - 3, x + width / 2
    _box(ax, (left, 21.5, right - left, 5), BLUE, "policy $\\pi$", color="white")
    _box(ax, (left, 6.5, right - left, 5), "white", device)
    _arrow(ax, (left + 1.2, 21.3), (left + 1.2, 11.8))
    _arrow(ax, (right - 1.2, 11.7), (right - 1.2, 21.2))
    ax.text(middle, 18, "edited cell", ha="center", va="center", fontsize=8)
    ax.text(middle, 14.4, answer, ha="center", va="center", fontsize=8)
    ax.text(middle, 2, note, ha="center", fontsize=8)


def _bars(ax: Axes, place: tuple[float, float, float, float], values: ArrayLike) -> None:
    """Latencies as bars in a rectangle of the axes, relative to the slowest operation."""
    x, y, width, height = place
    step = width / space.N_OPERATIONS
    for k, share in enumerate(np.asarray(values) / np.max(values)):
        ax.add_patch(Rectangle((x + k * step, y), 0.8 * step, height * share, facecolor=OPERATION_COLORS[k]))
    ax.plot([x, x + width], [y, y], color="black", linewidth=0.6)


def _frame(ax: Axes, place: tuple[float, float, float, float]) -> None:
    """A rounded grey background for what belongs together."""
    x, y, width, height = place
    ax.add_patch(FancyBboxPatch((x, y), width, height, boxstyle="round,pad=0.3", facecolor="0.965", edgecolor="none"))


def _box(ax: Axes, place: tuple[float, float, float, float], face: str, text: str, **style: Any) -> None:
    """A rounded box with a text in its middle."""
    x, y, width, height = place
    ax.add_patch(FancyBboxPatch((x, y), width, height, boxstyle="round,pad=0.2", facecolor=face, edgecolor="black",
                                linewidth=0.7))  # fmt: skip
    ax.text(x + width / 2, y + height / 2, text, ha="center", va="center", **{"fontsize": 8, **style})


def _arrow(
    ax: Axes, start: tuple[float, float], end: tuple[float, float], *, color: str = "black", width: float = 1
) -> None:
    """A straight arrow in the coordinates of the axes."""
    ax.add_patch(FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=8, color=color, linewidth=width,
                                 shrinkA=0, shrinkB=0))  # fmt: skip
