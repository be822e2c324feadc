"""The words of the explorer: every term with its meaning, and the steps of the guided tour.

In a term, ``{label}`` and ``{description}`` are those of the chosen score.
"""

from __future__ import annotations

from html import escape

from simmore import proxies

TERMS = {
    "cell": (
        "cell",
        "A cell is a graph of six operations. A network stacks copies of one cell. The search space has 15,625 cells, "
        "and every point is one of them. The accuracies are of trained networks (NATS-Bench).",
    ),
    "operation": (
        "operation",
        "What happens on an edge of a cell: none, skip, a convolution of 1×1 or 3×3, or average pooling of 3×3. Each "
        "slider sets how long one operation takes on the device.",
    ),
    "latency": ("latency", "How long a network takes for one batch on the device, in milliseconds."),
    "xi": (
        "Ξ and σ",
        "Ξ is the paper's distribution of synthetic devices: one Gaussian per operation, the bell over its slider. "
        "Short lines under the bell are measured devices. +1 σ is one standard deviation slower than the mean.",
    ),
    "score": (
        "score {label}",
        "A training-free score, from 0 to 1. It estimates accuracy without training: {description}.",
    ),
    "inverse": (
        "ℓ̄",
        "Inverse latency: 1 for the fastest cell of the device, 0 for the slowest, and linear between them.",
    ),
    "reward": ("reward r", "r = {label} + ℓ̄. A cell with a high reward is fast on this device and scores well."),
    "best": (
        "best cell h*",
        "The cell with the highest reward on the device. It is known here because all latencies are. A search does not "
        "know it.",
    ),
    "front": (
        "Pareto front",
        "The cells that no other cell beats in both latency and height. The staircase shows the highest cell within "
        "each latency.",
    ),
    "limit": ("limit", "A latency limit. With it, the search looks for the highest score within the limit."),
    "strategy": (
        "strategy",
        "How a search chooses the next cell to measure. The default is expected improvement over simulated devices.",
    ),
    "budget": ("budget", "How many distinct cells a search may measure, the start included."),
    "start": ("start", "The first cell that a search measures: random, or the one that you type."),
    "seed": ("seed", "The same seed, start and device give the same search."),
    "recommendation": (
        "recommendation",
        "The measured cell that the search expects to be the best, with what it knows after each measurement.",
    ),
    "regret": (
        "normalised regret",
        "How far a cell's reward is below that of h*: 0 is h*, and 1 is the best of ten random cells on average.",
    ),
    "simple": ("best measured", "The regret of the best cell measured so far, whether it is recommended or not."),
    "estimated": (
        "estimated",
        "What the search believes from its measurements. It does not see the values in italics.",
    ),
}

TOUR = [
    {
        "title": "Every point is a network",
        "text": "To the right it takes longer on device A. Higher up it has a better training-free score, which "
        "estimates accuracy without training. Point at a cell, or tap it, to see its graph and its accuracies.",
        "at": ".simmore-plane",
    },
    {
        "title": "Sliders make a device",
        "text": "Each slider sets how long one operation takes. The bell is the paper's distribution of synthetic "
        "devices, and the short lines are measured ones. Move conv 3×3, and the points move.",
        "at": ".simmore-sliders",
    },
    {
        "title": "The reward, and the best cell h*",
        "text": "The colour is the reward r, the score plus ℓ̄. Here ℓ̄ is 1 for the fastest cell of the device and 0 "
        "for the slowest. The red star is h*, the cell with the highest reward.",
        "at": ".simmore-legend",
    },
    {
        "title": "A search sees only what it measures",
        "text": "Press Search. The search measures at most ten of the 15,625 cells, one per step, and does not know "
        "h*. It recommends one of them. The curve shows how far its recommendation is from h*: 0 is h*, 1 is the best "
        "of ten random cells.",
        "at": ".simmore-search",
    },
    {
        "title": "Your own device",
        "text": "Choose “I measure” to search a device that only you can measure: type or paste your latencies, and "
        "get the next cell. Press a term under the explorer to read what it means.",
        "at": ".simmore-search",
    },
]


def term(key: str, text: str = "") -> str:
    """A term in HTML, which opens its meaning when it is pressed."""
    text = text or TERMS[key][0]
    return f'<button type="button" class="simmore-term" popovertarget="simmore-term-{key}">{text}</button>'


def glossary(score: str) -> str:
    """All terms in HTML, with the meanings that `term` opens, for a named score."""
    chosen, shown, meanings = proxies.SCORES[score], [], []
    for key, texts in TERMS.items():
        name, meaning = (escape(text.format(label=chosen.label, description=chosen.description)) for text in texts)
        shown.append(term(key, name))
        words = f"<b>{name}</b><br>{meaning}"
        meanings.append(f'<div popover id="simmore-term-{key}" class="simmore-meaning">{words}</div>')
    return f'<div class="simmore-terms">What is …? {" ".join(shown)}</div>{"".join(meanings)}'
