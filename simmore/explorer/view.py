"""What the explorer says in HTML and SVG, and its picture: results in, text out; every text from outside is escaped."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from simmore import data, space
from simmore.explorer.model import Knowledge, Profile, Trace

if TYPE_CHECKING:
    from matplotlib.figure import Figure

OPERATION_LABELS = ("none", "skip", "conv 1×1", "conv 3×3", "avg pool")
DATASET_LABELS = {"cifar10": "CIFAR-10", "cifar100": "CIFAR-100", "ImageNet16-120": "ImageNet16-120"}
_COLOURS = ("#8c8c8c", "#1a1a1a", "#0072B2", "#D55E00", "#009E73")  # of the operations, for the colour-blind, too
_NODES = ((18, 96), (112, 96), (206, 96), (300, 96))
# Of each edge, in the order of space.EDGES: its path, and where its label stands.
_PATHS = (
    ("M28 96H100", (64, 90)),
    ("M24 87C60 36 160 36 198 86", (112, 44)),
    ("M122 96H194", (158, 90)),
    ("M18 86C18 -10 300 -10 300 84", (159, 10)),
    ("M119 104C156 152 260 152 293 106", (206, 152)),
    ("M216 96H288", (252, 90)),
)


def error(message: str) -> str:
    """A message that something was refused, as a screen reader announces it at once."""
    return f'<div class="simmore-error" role="alert">{escape(message)}</div>' if message else ""


def note(message: str) -> str:
    """A line of explanation."""
    return f'<div class="simmore-note" role="status">{escape(message)}</div>'


def cell_graph(arch: int) -> str:
    """The cell as a graph in SVG: four nodes, six edges, each with its operation in words and colour."""
    parts = []
    for digit, (path, (x, y)) in zip(space.to_ops(arch).tolist(), _PATHS, strict=True):
        colour = _COLOURS[digit]
        dash = ' stroke-dasharray="2 5"' if digit == 0 else ""
        head = "" if digit == 0 else f' marker-end="url(#simmore-{digit})"'
        parts.append(f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="2"{dash}{head}/>')
        parts.append(
            f'<text x="{x}" y="{y}" text-anchor="middle" fill="{colour}" font-size="11" stroke="white" '
            f'stroke-width="3" paint-order="stroke">{OPERATION_LABELS[digit]}</text>'
        )
    for number, (x, y) in enumerate(_NODES):
        parts.append(f'<circle cx="{x}" cy="{y}" r="10" fill="white" stroke="#1a1a1a" stroke-width="1.5"/>')
        parts.append(f'<text x="{x}" y="{y + 4}" text-anchor="middle" font-size="11">{number}</text>')
    heads = "".join(
        f'<marker id="simmore-{k}" viewBox="0 0 8 8" refX="6" refY="4" markerWidth="5" markerHeight="5" orient="auto">'
        f'<path d="M0 0L8 4L0 8z" fill="{colour}"/></marker>'
        for k, colour in enumerate(_COLOURS)
    )
    title = f"The cell {space.to_string(arch)}"
    return (
        f'<svg viewBox="0 0 318 160" role="img" aria-label="{escape(title)}" font-family="system-ui, sans-serif">'
        f"<defs>{heads}</defs>{''.join(parts)}</svg>"
    )


def cell_card(arch: int, what: str, profiles: Sequence[Profile]) -> str:
    """All about one cell: its graph, its string, its accuracies, and what it is on each device."""
    accuracies = _rows([(label, f"{data.accuracy(name)[arch]:.2f} %") for name, label in DATASET_LABELS.items()])
    values = [
        ("latency", [f"{p.latency_ms[arch]:.4g} ms" for p in profiles]),
        ("faster than", [f"{p.percentile(arch):.1f} %" for p in profiles]),
        ("ℓ̄ (1: fastest)", [f"{p.inverse_latency[arch]:.3f}" for p in profiles]),
        ("reward r = p + ℓ̄", [f"{p.reward[arch]:.3f}" for p in profiles]),
        ("rank by reward", [f"{1 + int((p.reward > p.reward[arch]).sum()):,}" for p in profiles]),
    ]
    names = "".join(f"<th>{escape(_short(p.device.name))}</th>" for p in profiles)
    on_devices = "".join(f"<tr><td>{label}</td>{''.join(f'<td>{v}</td>' for v in row)}</tr>" for label, row in values)
    score = profiles[0].score[arch]
    return (
        f'<h3>{escape(what)}</h3><div class="simmore-cell"><div>{cell_graph(arch)}'
        f'<code aria-label="NATS-Bench string">{escape(space.to_string(arch))}</code></div>'
        f"<table><tr><th>cell {arch}</th><th>validation accuracy</th></tr>{accuracies}"
        f"<tr><td>score p</td><td>{score:.3f}</td></tr>"
        f"<tr><td>parameters</td><td>{data.parameters()[arch]:.3f} M</td></tr></table>"
        f"<table><tr><th>on</th>{names}</tr>{on_devices}</table></div>"
    )


def knowledge(trace: Trace, step: int) -> str:
    """What the searcher knew after a step: the cells measured, its guess of the device, and what it would answer."""
    then = trace.knowledge[step]
    name = escape(_short(trace.profile.device.name))
    head = (
        "<tr><th>cell</th><th>latency<br>ms</th><th>score p</th><th>ℓ̄<br>guessed</th><th>r<br>guessed</th>"
        '<th class="simmore-unknown">accuracy %<br>unknown</th><th class="simmore-unknown">r, true<br>unknown</th></tr>'
    )
    count = len(then.cells)
    return (
        f"<div><h3>{name} · step {step} of {len(trace) - 1} · {count} measured</h3>"
        f"<table>{head}{_measured(trace.profile, then)}</table>{_guess(trace.profile, then)}</div>"
    )


def _measured(profile: Profile, then: Knowledge) -> str:
    """A row a measured cell, the last ten; the one that would be the answer stands out."""
    rows = []
    cells: Any = then.cells.itertuples()
    for number, cell in list(enumerate(cells, start=1))[-10:]:
        arch = int(cell.arch)
        known = (f"{cell.latency_ms:.4g}", f"{cell.score:.3f}", f"{cell.inverse_latency:.2f}", f"{cell.reward:.2f}")
        unknown = (f"{data.accuracy('cifar10')[arch]:.1f}", f"{profile.reward[arch]:.2f}")
        mark, style = (" ✕", ' class="simmore-answer"') if arch == then.answer else ("", "")
        rows.append(
            f"<tr{style}><td>{number}. {arch}{mark}</td>{''.join(f'<td>{v}</td>' for v in known)}"
            f"{''.join(f'<td class=simmore-unknown>{v}</td>' for v in unknown)}</tr>"
        )
    return "".join(rows)


def _guess(profile: Profile, then: Knowledge) -> str:
    """What the searcher takes the device for, beside what it is."""
    truth = profile.device.latency_ms(space.single_operation_archs()) / space.N_EDGES
    finite = profile.latency_ms[np.isfinite(profile.latency_ms)]
    head = "".join(f"<th>{label}</th>" for label in (*OPERATION_LABELS, "fastest", "slowest"))
    guess = "".join(f"<td>{v:.3g}</td>" for v in (*then.operation_ms, *then.bounds_ms))
    true = "".join(f"<td class=simmore-unknown>{v:.3g}</td>" for v in (*truth, finite.min(), finite.max()))
    return (
        f"<table><tr><th>ms</th>{head}</tr><tr><td>guessed</td>{guess}</tr>"
        f"<tr><td class=simmore-unknown>true</td>{true}</tr></table>"
    )


def regret_chart(traces: Sequence[Trace], step: int) -> str:
    """Normalised regret over the steps in SVG: of the answer, and of the best cell measured; 1 is random search."""
    width, height, left, top, bottom = 380, 230, 40, 26, 36
    last = max(len(t) for t in traces) - 1
    highest = max(1.2, *(float(t.regret[np.isfinite(t.regret)].max(initial=0)) for t in traces))

    def x(k: float) -> float:
        return left + (width - left - 12) * k / max(last, 1)

    def y(regret: float) -> float:
        return top + (height - top - bottom) * (1 - min(regret, highest) / highest)

    parts = [
        f'<text x="{left}" y="12" font-size="12" font-weight="600">Normalised regret (0: h*, 1: random search)</text>'
    ]
    for value in np.arange(0, highest, 0.5 if highest < 4 else math.ceil(highest / 5)):
        parts.append(
            f'<path d="M{left} {y(value):.1f}H{width - 12}" stroke="{"#5a5a5a" if value == 1 else "#e6e6e6"}"/>'
        )
        parts.append(f'<text x="{left - 6}" y="{y(value) + 4:.1f}" text-anchor="end">{value:g}</text>')
    for k in range(0, last + 1, max(1, math.ceil(last / 10))):
        parts.append(f'<text x="{x(k):.1f}" y="{height - bottom + 15}" text-anchor="middle">{k}</text>')
    parts.append(f'<text x="{(left + width) / 2}" y="{height - 4}" text-anchor="middle">step</text>')
    parts.append(f'<path d="M{x(step):.1f} {top}V{height - bottom}" stroke="#8c8c8c" stroke-dasharray="3 3"/>')
    for each, colour in zip(traces, ("#0072B2", "#D55E00"), strict=False):
        for values, dash in ((each.regret_best, ' stroke-dasharray="5 3"'), (each.regret, "")):
            points = " ".join(f"{x(k):.1f},{y(v):.1f}" for k, v in enumerate(values) if np.isfinite(v))
            parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"{dash}/>')
        now = min(step, len(each) - 1)
        if np.isfinite(each.regret[now]):
            parts.append(f'<circle cx="{x(now):.1f}" cy="{y(each.regret[now]):.1f}" r="4" fill="{colour}"/>')
    legend = "".join(_regret_words(each, step, c) for each, c in zip(traces, ("#0072B2", "#D55E00"), strict=False))
    return (
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="Normalised regret over the steps" font-size="11" '
        f'style="width:100%;max-width:420px" font-family="system-ui, sans-serif">{"".join(parts)}</svg>{legend}'
    )


def _regret_words(trace: Trace, step: int, colour: str) -> str:
    """One device's regret at a step, in words; they are the chart's legend."""
    now = min(step, len(trace) - 1)
    return (
        f'<div><b style="color:{colour}">━</b> {escape(_short(trace.profile.device.name))}: answer '
        f'<b>{trace.regret[now]:.2f}</b>, <b style="color:{colour}">╌</b> best measured '
        f"<b>{trace.regret_best[now]:.2f}</b></div>"
    )


def picture(
    profiles: Sequence[Profile], traces: Sequence[Trace | None], x: Sequence[np.ndarray], y: np.ndarray,
    fronts: Sequence[np.ndarray], labels: tuple[str, str],
) -> Figure:  # fmt: skip
    """The planes as a figure for a paper: what is on the screen, a panel a device.

    Parameters
    ----------
    profiles, traces
        One a panel; a trace is None where nothing was searched.
    x, fronts
        Of each panel, where the cells stand ``(15625,)``, and the Pareto front.
    y
        ``(15625,)``.
    labels
        Of the two axes.
    """
    from matplotlib.figure import Figure

    from simmore.plots import paper as plots

    figure = Figure(figsize=(plots.PAGE * (0.6 if len(profiles) == 1 else 1), 3.0), layout="constrained")
    axes = figure.subplots(1, len(profiles), sharey=True, squeeze=False)[0]
    for ax, profile, trace, at, front in zip(axes, profiles, traces, x, fronts, strict=True):
        shown = np.isfinite(at)
        cloud = ax.scatter(
            at[shown], y[shown], c=profile.reward[shown], s=1.5, linewidths=0, rasterized=True, cmap="viridis"
        )
        ax.plot(at[front], y[front], color="black", linewidth=0.8, label="Pareto front")
        if trace is not None:
            archs = trace.archs
            ax.plot(at[archs], y[archs], "o-", color=plots.BLUE, linewidth=0.9, markersize=3, label="search")
            ax.plot(at[archs[0]], y[archs[0]], "*", color=plots.ORANGE, markersize=10, markeredgecolor="black",
                    markeredgewidth=0.5, linestyle="", label="start")  # fmt: skip
            end = trace.found.arch
            ax.plot(
                at[end], y[end], "x", color=plots.RED, markersize=7, markeredgewidth=2, linestyle="", label="answer"
            )
        ax.plot(at[profile.optimum], y[profile.optimum], "*", color=plots.RED, markersize=10, markeredgecolor="white",
                linestyle="", label="best cell h*")  # fmt: skip
        ax.set(xlabel=labels[0], title=_short(profile.device.name).replace("$", r"\$"))
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


def _rows(pairs: Sequence[tuple[str, str]]) -> str:
    """Rows of a table of two columns; labels and values are the explorer's own."""
    return "".join(f"<tr><td>{label}</td><td>{value}</td></tr>" for label, value in pairs)


def _short(name: str) -> str:
    """A device's name, cut where it would break the layout."""
    return name if len(name) <= 22 else f"{name[:21]}…"
