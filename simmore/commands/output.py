"""Output of the commands: text, or one JSON object."""

from __future__ import annotations

import json
import sys
from typing import Any

from simmore import data, space
from simmore.strategies import Problem, Search


def print_json(content: dict[str, Any]) -> None:
    """Print one JSON object."""
    print(json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False))


def cell(arch: int, latency_ms: float | None = None) -> dict[str, Any]:
    """A cell as JSON."""
    facts: dict[str, Any] = {"arch": arch, "arch_str": space.to_string(arch)}
    return facts if latency_ms is None else {**facts, "latency_ms": latency_ms}


def cell_text(arch: int) -> str:
    """A cell as text."""
    return f"{space.to_string(arch)}  (NATS index {arch})"


def search_json(found: Search, device: str, top: int) -> dict[str, Any]:
    """A search as JSON."""
    latency = found.trajectory.drop_duplicates("arch").set_index("arch")["latency_ms"]
    content: dict[str, Any] = {"device": device, "n_measured": found.n_measured, "recommendation": None}
    if found.arch is not None:
        content["recommendation"] = {
            **cell(found.arch, found.latency_ms),
            "expected_regret": found.expected_regret,
            "val_accuracy": {name: float(data.accuracy(name)[found.arch]) for name in data.DATASETS},
        }
    content["recommendation_uses"] = found.rule_uses
    content["top"] = [cell(arch, float(latency[arch])) for arch in found.ranked[:top]]
    return content


def print_search(found: Search, device: str, budget: int, top: int, problem: Problem) -> None:
    """A search as text."""
    if found.arch is None:
        limits = [f"within {problem.max_latency_ms:g} ms"] if problem.max_latency_ms else []
        limits += ["with so few parameters"] if problem.allowed is not None else []
        print(f"no cell {' and '.join(limits) or 'that works'} among the {found.n_measured} measured")
        return
    print(f"cell          {found.arch_str}")
    print(f"NATS index    {found.arch}")
    print(f"latency       {found.latency_ms:.4g} ms on {device}")
    for dataset in data.DATASETS:
        print(f"{dataset:14} {data.accuracy(dataset)[found.arch]:.2f} % validation accuracy")
    print(f"measured      {found.n_measured} of {budget} cells")
    print(f"chosen by     {found.rule_uses}")
    if found.expected_regret is not None:
        print(f"regret        {regret(found.expected_regret, problem)}")
    latency = found.trajectory.drop_duplicates("arch").set_index("arch")["latency_ms"]
    for place, arch in enumerate(found.ranked[:top] if top > 1 else [], start=1):
        score = f"{problem.label} {problem.score[arch]:.3f}"
        print(f"{place:>3}. {arch:5}  {latency[arch]:9.4g} ms  {score}  {space.to_string(arch)}")


def warn_implausible(found: Search) -> None:
    """Print the measured cells whose latency is implausible, to the error stream."""
    for arch in found.implausible:
        latency = found.trajectory.loc[found.trajectory["arch"] == arch, "latency_ms"].median()
        print(
            f"cell {arch}: {latency:,.4g} ms is implausible beside the others: measure it again "
            "(it is left out until a second reading agrees)",
            file=sys.stderr,
        )


def regret(expected: float, problem: Problem) -> str:
    """An expected regret in words."""
    if problem.max_latency_ms is not None:
        return f"{expected:.3f} of the score {problem.label} expected to be lost within the limit"
    return f"{expected:.2f} expected (0: the best cell, 1: the best of ten random cells)"
