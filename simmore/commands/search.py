"""``simmore search``: search a stored table, or hardware that is measured during the search."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from simmore.commands.options import (
    Cores,
    Dataset,
    Json,
    MaxLatency,
    MaxParams,
    Score,
    Seed,
    Strategy,
    Top,
    Weight,
    batch_of_images,
    core_numbers,
    time_limit,
    whole,
)
from simmore.commands.options import (
    threads as threads_allowed,
)

if TYPE_CHECKING:
    from simmore.devices import Device
    from simmore.hardware.live import LiveSearch
    from simmore.strategies import Problem, Search


def search_command(
    device: Annotated[str, typer.Option(help="A stored table, see `simmore devices`.")] = "",
    latency_table: Annotated[str, typer.Option(help="CSV arch,latency_ms of your device: all cells or some.")] = "",
    live: Annotated[str, typer.Option(help="Measure this machine in a runtime: onnxruntime, openvino, …")] = "",
    strategy: Strategy = "expected_improvement",
    max_latency: MaxLatency = 0.0,
    weight: Weight = 1.0,
    max_params: MaxParams = 0.0,
    dataset: Dataset = "cifar10",
    score: Score = "freerea",
    budget: Annotated[
        int,
        typer.Option(
            help="Distinct cells that may be measured, the start included.",
            callback=whole("a budget is a number of cells", 1, 5**6),
        ),
    ] = 10,
    start: Annotated[
        str, typer.Option(help="First cell: NATS index, six digits or string; default: a random one.")
    ] = "",
    seed: Seed = 0,
    top: Top = 1,
    json: Json = False,
    out: Annotated[Path | None, typer.Option(help="Write the trajectory to this CSV.")] = None,
    export: Annotated[Path | None, typer.Option(help="Write the recommended network as ONNX.")] = None,
    precision: Annotated[str, typer.Option(help="With --live: fp32 or int8.")] = "fp32",
    threads: Annotated[
        int, typer.Option(help="With --live: number of threads, each on its own core.", callback=threads_allowed)
    ] = 1,
    batch: Annotated[int, typer.Option(help="With --live: images per run.", callback=batch_of_images)] = 1,
    cores: Cores = "",
    limit_seconds: Annotated[
        float, typer.Option(help="With --live: seconds after which a cell counts as failed.", callback=time_limit)
    ] = 120.0,
    dask: Annotated[str, typer.Option(help="With --live: measure on a worker of this Dask scheduler.")] = "",
    resource: Annotated[str, typer.Option(help="With --dask: a worker with this label.")] = "",
) -> None:
    """Search a device and print the recommended cell. Exit status 1: no measured cell keeps the limits."""
    from simmore import api, devices
    from simmore.commands import output
    from simmore.files import check_writable
    from simmore.strategies import Session

    if sum(map(bool, (device, latency_table, live))) != 1:
        raise ValueError("name one of --device, --latency-table and --live")
    read = {"--latency-table": latency_table, "--strategy": strategy if strategy.endswith(".safetensors") else ""}
    _check_distinct({"--out": out, "--export": export, **{name: Path(file) for name, file in read.items() if file}})
    for file in filter(None, (out, export)):
        check_writable(file)
    problem = make_problem(dataset, weight, max_latency, max_params, score)
    settings: dict[str, Any] = {"budget": budget, "start": start or None, "seed": seed}
    ended = None
    if live:
        from simmore.hardware.runtimes import Configuration

        wanted = Configuration(live, precision, threads, batch, core_numbers(cores))
        session = Session(strategy, problem, **settings)
        ended = _search_live(
            wanted, session, strategy=strategy, seed=seed, out=out, progress=not json,
            limit_seconds=limit_seconds, dask=dask or None, resource=resource or None,
        )  # fmt: skip
        found, where = ended.found, ended.device.name
    else:
        target: Device = devices.from_csv(latency_table) if latency_table else api.load_device(device)
        session = Session(
            strategy, problem.on(target), without=api.evaluated_names(device) if device else (), **settings
        )
        api.check_limit(target, problem.max_latency_ms)
        found, where = _search_table(session, target, out), target.name
    output.warn_implausible(found)
    first = int(found.trajectory["arch"].iloc[0])
    if json:
        doubt = {"doubt": ended.doubt} if ended is not None else {}
        output.print_json({"start": output.cell(first), **output.search_json(found, where, top), **doubt})
    else:
        print(f"start         {output.cell_text(first)}")
        output.print_search(found, where, budget, top, problem)
        if ended is not None:
            if ended.doubt:
                print(f"doubtful      {ended.doubt}; measure it again when nothing else runs")
            _print_cost(ended)
        if out is not None:
            print(f"trajectory    {out}")
    if found.arch is None:
        raise typer.Exit(1)
    if export is not None:
        from simmore.hardware import onnx_network

        onnx_network.export(found.arch, export)
        print(f"exported      {export}", file=sys.stderr if json else sys.stdout)


def make_problem(dataset: str, weight: float, max_latency: float, max_params: float, score: str) -> Problem:
    """The problem that options describe, where 0 is no limit."""
    from simmore.strategies import Problem

    return Problem.of(
        dataset, score=score, weight=weight, max_latency_ms=max_latency or None, max_params=max_params or None
    )


def _check_distinct(named: dict[str, Path | None]) -> None:
    """Refuse one file for two purposes before any work is done, because the second would overwrite the first."""
    purposes: dict[Path, str] = {}
    for option, file in named.items():
        if file is not None:
            other = purposes.setdefault(file.resolve(), option)
            if other != option:
                raise ValueError(f"{other} and {option} name the same file, {file}: name two files")


def _search_table(session: Any, target: Any, out: Path | None) -> Search:
    """Search a device whose latencies are known, and write the trajectory."""
    from simmore.strategies import MeasurementFailed, run

    try:
        found = run(session, target)
    except MeasurementFailed as failure:
        kept = ""
        if out is not None:
            _write(failure, out)
            kept = f"; what was measured is in {out}"
        raise ValueError(f"{failure}{kept}") from failure
    if out is not None:
        _write(found, out)
    return found


def _write(result: Any, out: Path) -> None:
    """Write the trajectory of a search or of a failure."""
    from simmore.files import replace

    replace(out, result.trajectory.to_csv(index=False, lineterminator="\n").encode())


def _search_live(wanted: Any, session: Any, **options: Any) -> LiveSearch:
    """Search hardware. After an interruption, say that the measurements are kept."""
    from simmore.hardware import live
    from simmore.strategies import MeasurementFailed

    kept = "what was measured is kept: the same command continues there"
    try:
        ended = live.search_live(wanted, session, **options)
    except KeyboardInterrupt:
        print(f"\n{kept}", file=sys.stderr)
        raise
    except MeasurementFailed as failure:
        if failure.trajectory.empty and isinstance(failure.__cause__, (ValueError, ImportError, OSError)):
            raise failure.__cause__ from None  # nothing was measured: the setting is wrong
        raise ValueError(f"{failure}; {kept}") from failure
    if ended.resumed:
        print(f"resumed       {ended.resumed} cells had been measured before the interruption", file=sys.stderr)
    return ended


def _print_cost(ended: LiveSearch) -> None:
    """Print the duration of the search, and of measuring all cells."""
    everything = ended.seconds_for_everything() / 60
    print(f"took          {ended.seconds:.1f} s; all cells would take {everything:.0f} min")
