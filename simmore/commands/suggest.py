"""``simmore suggest``: the next cell for a device that the user measures by hand."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Annotated, Any

import typer

from simmore.commands.options import Dataset, Json, MaxLatency, MaxParams, Score, Seed, Strategy, Top, Weight, whole
from simmore.commands.search import make_problem
from simmore.errors import InputWarning


def suggest_command(
    measured: Annotated[Path | None, typer.Argument(help="CSV arch,latency_ms of the measurements so far.")] = None,
    batch: Annotated[
        int,
        typer.Option(
            help="Number of cells to suggest at once; they are chosen together.",
            callback=whole("a batch is a number of cells", 1, 1_024),
        ),
    ] = 1,
    export: Annotated[Path | None, typer.Option(help="Write the networks to measure to this folder.")] = None,
    strategy: Strategy = "expected_improvement",
    max_latency: MaxLatency = 0.0,
    weight: Weight = 1.0,
    max_params: MaxParams = 0.0,
    dataset: Dataset = "cifar10",
    score: Score = "freerea",
    start: Annotated[
        str, typer.Option(help="First cell: NATS index, six digits or string; default: a random one.")
    ] = "",
    seed: Seed = 0,
    top: Top = 1,
    json: Json = False,
) -> None:
    """Print the next cell to measure, and the recommendation so far.

    Append each result to the CSV: the cell's index or string, and its latency in ms, or ``failed``. Repeated rows of a
    cell are combined by the median of their numbers. The CSV is the whole session.
    """
    from simmore import data
    from simmore.commands import output
    from simmore.strategies import BUDGET, Search, Session

    problem = make_problem(dataset, weight, max_latency, max_params, score)
    known: list[tuple[int, float]] = []
    if measured is not None and not measured.exists():
        print(f"{measured} does not exist yet: nothing has been measured so far", file=sys.stderr)
    elif measured is not None and not (measured.is_file() and not measured.stat().st_size):
        archs, latency = data.measured_csv(measured)
        known = list(zip(archs.tolist(), latency.tolist(), strict=True))
        _check_limit(latency[latency < float("inf")], problem.max_latency_ms)
    budget = max(BUDGET, len({arch for arch, _ in known}) + batch)
    session = Session(strategy, problem, measured=known, budget=budget, start=start or None, seed=seed)
    cells = session.ask_batch(batch)
    files = _export(cells, export) if export is not None else {}
    found = Search.of(session)
    output.warn_implausible(found)
    first = {"start": output.cell(session.start)} if start else {}
    if json:
        suggested = [{**output.cell(arch), **({"files": files[arch]} if arch in files else {})} for arch in cells]
        rest = output.search_json(found, "your device", top) if known else {"n_measured": 0, "recommendation": None}
        output.print_json({**first, "next": suggested, **rest})
        return
    if start:
        unused = ", which is not used: cells have been measured" if known else ""
        print(f"start         {output.cell_text(session.start)}{unused}")
    _print(cells, files, found, session, top)


def _check_limit(latency_ms: Any, max_latency_ms: float | None) -> None:
    """Warn if a limit is far from all measured latencies, for example because it is in seconds."""
    if max_latency_ms is None or not len(latency_ms):
        return
    low, high = latency_ms.min(), latency_ms.max()
    if low / 10 <= max_latency_ms <= 10 * high:
        return
    where = "below" if max_latency_ms < low else "above"
    warnings.warn(
        f"the limit of {max_latency_ms:g} ms is more than 10 times {where} all measured latencies, "
        f"{low:.4g} to {high:.4g} ms; check that both are in ms.",
        InputWarning,
        stacklevel=2,
    )


def _print(cells: list[int], files: dict[int, list[str]], found: Any, session: Any, top: int) -> None:
    import numpy as np

    from simmore import space
    from simmore.commands import output

    history, problem = session.history, session.problem
    for arch in cells:
        print(f"measure next  {output.cell_text(arch)}")
        for file in files.get(arch, []):
            print(f"              {file}")
    if not cells:
        print("measure next  nothing: no other cell is expected to be better")
    if not len(history):
        print("recommended   nothing yet: no cell has been measured")
        return
    n, failed = len(history), int(np.isinf(history.latency_ms).sum())
    print(f"measured      {n} cell{'s' * (n != 1)}" + (f", {failed} of them failed" if failed else ""))
    if found.arch is None:
        why = "every measured cell failed" if failed == n else "no measured cell keeps the limits"
        print(f"recommended   nothing: {why}")
        return
    print(f"recommended   {output.cell_text(found.arch)}, {found.latency_ms:.4g} ms")
    if found.expected_regret is not None:
        print(f"regret        {output.regret(found.expected_regret, problem)}")
    for place, arch in enumerate(found.ranked[:top] if top > 1 else [], start=1):
        score = f"{problem.label} {problem.score[arch]:.3f}"
        print(f"{place:>3}. {arch:5}  {history[arch]:9.4g} ms  {score}  {space.to_string(arch)}")


def _export(cells: list[int], folder: Path) -> dict[int, list[str]]:
    """Write the networks of cells as ONNX and LiteRT, and return their files."""
    from simmore.files import replace
    from simmore.hardware import onnx_network, tflite_network

    files: dict[int, list[str]] = {}
    for arch in cells:
        onnx, tflite = folder / f"cell_{arch}.onnx", folder / f"cell_{arch}.tflite"
        replace(onnx, onnx_network.model(arch).SerializeToString())
        replace(tflite, tflite_network.model(arch))
        files[arch] = [str(onnx), str(tflite)]
    return files
