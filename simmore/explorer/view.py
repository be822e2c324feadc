"""The texts and charts of the explorer, as HTML and SVG. Every text from outside is escaped."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from simmore import data, space
from simmore.explorer.model import Belief, Profile, Trace
from simmore.explorer.terms import term
from simmore.plots.labels import OPERATION_LABELS
from simmore.strategies import Problem

if TYPE_CHECKING:
    from simmore.explorer.suggest import Suggestion

DATASET_LABELS = {"cifar10": "CIFAR-10", "cifar100": "CIFAR-100", "ImageNet16-120": "ImageNet16-120"}
_DEVICE_COLOURS = ("#0072B2", "#D55E00")
_COLOURS = (
    "#8c8c8c",
    "#1a1a1a",
    "#0072B2",
    "#D55E00",
    "#009E73",
)  # of the operations; they differ without colour vision, too
_NODES = ((18, 96), (112, 96), (206, 96), (300, 96))
# Of each edge, in the order of space.EDGES: its path, and the position of its label.
_PATHS = (
    ("M28 96H100", (64, 90)),
    ("M24 87C60 36 160 36 198 86", (112, 44)),
    ("M122 96H194", (158, 90)),
    ("M18 86C18 -10 300 -10 300 84", (159, 10)),
    ("M119 104C156 152 260 152 293 106", (206, 152)),
    ("M216 96H288", (252, 90)),
)


def error(message: str) -> str:
    """A message that an input was refused; screen readers announce it at once."""
    return f'<div class="simmore-error" role="alert">{escape(message)}</div>' if message else ""


def note(message: str) -> str:
    """A line of explanation."""
    return f'<div class="simmore-note" role="status">{escape(message)}</div>'


def cell_graph(arch: int) -> str:
    """The cell as a graph in SVG: four nodes, six edges, each with the name and the colour of its operation."""
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
    """One cell: its graph, its string, its accuracies, and its latency and reward on each device."""
    label, score = escape(profiles[0].label), profiles[0].score[arch]
    accuracies = _rows([(label, f"{data.accuracy(name)[arch]:.2f} %") for name, label in DATASET_LABELS.items()])
    values: list[tuple[str, Callable[[Profile], str]]] = [
        (term("latency"), lambda p: f"{p.latency_ms[arch]:.4g} ms"),
        ("faster than", lambda p: f"{p.percentile(arch):.1f} %"),
        (f"{term('inverse')} (1: fastest)", lambda p: f"{p.inverse_latency[arch]:.3f}"),
        (f"{term('reward')} = {label} + ℓ̄", lambda p: f"{p.reward[arch]:.3f}"),
        ("rank by reward", lambda p: f"{1 + int((p.reward > p.reward[arch]).sum()):,}"),
    ]
    names = "".join(f"<th>{escape(short(p.device.name))}</th>" for p in profiles)
    on_devices = "".join(
        f"<tr><td>{name}</td>{_fields(['–' if np.isnan(p.latency_ms[arch]) else field(p) for p in profiles])}</tr>"
        for name, field in values
    )
    return (
        f'<h3>{escape(what)}</h3><div class="simmore-cell"><div>{cell_graph(arch)}'
        f'<code aria-label="NATS-Bench string">{escape(space.to_string(arch))}</code></div>'
        f"<table><tr><th>cell {arch}</th><th>validation accuracy</th></tr>{accuracies}"
        f"<tr><td>{term('score', f'score {label}')}</td><td>{score:.3f}</td></tr>"
        f"<tr><td>parameters</td><td>{data.parameters()[arch]:.3f} M</td></tr></table>"
        f"<table><tr><th>on</th>{names}</tr>{on_devices}</table></div>"
    )


def belief(trace: Trace, step: int) -> str:
    """What the recommendation rule believes after a step: the measured cells, and the device beside the true one."""
    step = min(step, len(trace) - 1)
    now, profile = trace.beliefs[step], trace.profile
    return (
        f"<div><h3>{escape(short(profile.device.name))} · step {step} of {len(trace) - 1} · {len(now.cells)} measured"
        f"</h3><table>{_measured(profile, now)}</table><table>{_device(profile, now)}</table></div>"
    )


def _measured(profile: Profile, now: Belief) -> str:
    """A row per measured cell, the last ten; the recommendation is marked."""
    score = term("score", f"score {escape(profile.label)}")
    head = (
        f"<tr><th>cell</th><th>latency<br>ms</th><th>{score}</th><th>ℓ̄<br>{term('estimated')}</th>"
        f"<th>r<br>{term('estimated')}</th>"
        '<th class="simmore-unknown">accuracy %<br>unknown</th><th class="simmore-unknown">r, true<br>unknown</th></tr>'
    )
    rows = []
    cells: Any = now.cells.itertuples()
    for number, cell in list(enumerate(cells, start=1))[-10:]:
        known = (f"{cell.latency_ms:.4g}", f"{cell.score:.3f}", f"{cell.inverse_latency:.2f}", f"{cell.reward:.2f}")
        unknown = (f"{data.accuracy('cifar10')[cell.arch]:.1f}", f"{profile.reward[cell.arch]:.2f}")
        mark, style = (" ✕", ' class="simmore-recommended"') if cell.arch == now.recommended else ("", "")
        rows.append(
            f"<tr{style}><td>{number}. {cell.arch}{mark}</td>{_fields(known)}{_fields(unknown, unknown=True)}</tr>"
        )
    return head + "".join(rows)


def _device(profile: Profile, now: Belief) -> str:
    """Latencies of the device, estimated and true: its operations, its fastest and its slowest cell."""
    head = "".join(f"<th>{label}</th>" for label in (*OPERATION_LABELS, "fastest", "slowest"))
    operations = [np.nan] * space.N_OPERATIONS if now.operation_ms is None else now.operation_ms
    estimated = (*operations, *(now.range_ms or (np.nan, np.nan)))
    true = (*profile.operation_ms, *profile.range_ms)
    shown, hidden = (["–" if np.isnan(v) else f"{v:.3g}" for v in values] for values in (estimated, true))
    return (
        f"<tr><th>ms</th>{head}</tr>"
        f"<tr><td>estimated</td>{_fields(shown)}</tr>"
        f"<tr><td class=simmore-unknown>true</td>{_fields(hidden, unknown=True)}</tr>"
    )


def regret_chart(traces: Sequence[Trace], step: int) -> str:
    """Regret until a step, in SVG: inference regret (recommended) and simple regret (best measured)."""
    width, height, left, top, bottom = 420, 170, 34, 8, 34
    last = max(len(t) for t in traces) - 1
    highest = max(1.2, *(t.inference_regret[np.isfinite(t.inference_regret)].max(initial=0) for t in traces))

    def x(k: float) -> float:
        return left + (width - left - 12) * k / max(last, 1)

    def y(regret: float) -> float:
        return top + (height - top - bottom) * (1 - min(regret, highest) / highest)

    parts = []
    for value in np.arange(0, highest, 0.5 if highest < 4 else math.ceil(highest / 5)):
        parts.append(
            f'<path d="M{left} {y(value):.1f}H{width - 12}" stroke="{"#5a5a5a" if value == 1 else "#e6e6e6"}"/>'
        )
        parts.append(f'<text x="{left - 6}" y="{y(value) + 4:.1f}" text-anchor="end">{value:g}</text>')
    parts.append(
        f'<text x="{width - 14}" y="{y(1) - 4:.1f}" text-anchor="end" fill="#5a5a5a">best of ten random cells</text>'
    )
    for k in range(0, last + 1, max(1, math.ceil(last / 10))):
        parts.append(f'<text x="{x(k):.1f}" y="{height - bottom + 15}" text-anchor="middle">{k}</text>')
    parts.append(f'<text x="{(left + width) / 2}" y="{height - 4}" text-anchor="middle">step</text>')
    legend = ""
    for each, colour in zip(traces, _DEVICE_COLOURS, strict=False):
        now = min(step, len(each) - 1)
        for values, dash in ((each.simple_regret, ' stroke-dasharray="5 3"'), (each.inference_regret, "")):
            points = " ".join(f"{x(k):.1f},{y(v):.1f}" for k, v in enumerate(values[: now + 1]) if np.isfinite(v))
            parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"{dash}/>')
        inference, simple = each.inference_regret[now], each.simple_regret[now]
        if np.isfinite(inference):
            parts.append(f'<circle cx="{x(now):.1f}" cy="{y(inference):.1f}" r="4" fill="{colour}"/>')
        recommended = "–" if np.isnan(inference) else f"{inference:.2f}"
        legend += (
            f'<div><b style="color:{colour}">━</b> {escape(short(each.profile.device.name))}: recommended '
            f'<b>{recommended}</b>, <b style="color:{colour}">╌</b> {term("simple")} <b>{simple:.2f}</b></div>'
        )
    return (
        f"<div>{term('regret', 'Normalised regret')} (0: h*, 1: the best of ten random cells)</div>"
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="Normalised regret until step {step}" '
        f'font-size="11" style="width:100%;max-width:{width}px" font-family="system-ui, sans-serif">'
        f"{''.join(parts)}</svg>{legend}"
    )


def suggestion(suggested: Suggestion) -> str:
    """The next cell to measure, the recommendation so far, and notes on the measurements."""
    arch, found, limit = suggested.next, suggested.found, suggested.problem.max_latency_ms
    lines = [
        "No other cell is expected to be better."
        if arch is None
        else f"<b>Measure next: cell {arch}</b> <code>{escape(space.to_string(arch))}</code>"
    ]
    if found is not None and found.arch is None:
        failed = limit is None or np.isinf(found.trajectory["latency_ms"]).all()
        why = "every measured cell failed" if failed else f"no measured cell keeps the limit of {limit:.4g} ms"
        lines.append(f"Nothing is recommended: {why}.")
    elif found is not None:
        regret = "" if found.expected_regret is None else f", {_expected(found.expected_regret, suggested.problem)}"
        lines.append(
            f"{term('recommendation', 'Recommended')} of {found.n_measured} measured: <b>cell {found.arch}</b>, "
            f"{found.latency_ms:.4g} ms{regret} <code>{escape(found.arch_str)}</code>"
        )
        lines += [
            f"Cell {each} is implausible beside the others: measure it again, and add the second reading."
            for each in found.implausible
        ]
    lines += [escape(note) for note in suggested.notes]
    return f'<div role="status">{"".join(f"<p>{line}</p>" for line in lines)}</div>'


def _expected(regret: float, problem: Problem) -> str:
    """An expected regret in words."""
    if problem.max_latency_ms is None:
        return f"expected {term('regret')} {regret:.2f}"
    within = f"within the {term('limit')} of {problem.max_latency_ms:.4g} ms"
    return f"{regret:.3f} of the score {problem.label} expected to be lost {within}"


def _fields(values: Iterable[str], *, unknown: bool = False) -> str:
    """Fields of a row; `unknown`: values that a search does not see."""
    start = "<td class=simmore-unknown>" if unknown else "<td>"
    return "".join(f"{start}{value}</td>" for value in values)


def _rows(pairs: Sequence[tuple[str, str]]) -> str:
    """Rows of a table with two columns; neither is escaped."""
    return "".join(f"<tr><td>{label}</td><td>{value}</td></tr>" for label, value in pairs)


def short(name: str) -> str:
    """A device's name, shortened to fit the layout."""
    return name if len(name) <= 22 else f"{name[:21]}…"
