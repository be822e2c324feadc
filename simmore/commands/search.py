"""``python -m simmore search``: a table is searched at once, hardware while it is measured."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from simmore.devices.device import Device
    from simmore.hardware.live import LiveSearch
    from simmore.hardware.measure import Configuration
    from simmore.strategies.loop import Search, Strategy


def search_command(
    device: Annotated[str, typer.Option(help="A table: measured device, nats_gpu, mean, or <device>_lut.")] = "",
    latency_table: Annotated[str, typer.Option(help="A CSV of your own device: arch,latency_ms.")] = "",
    live: Annotated[str, typer.Option(help="Measure this machine in a runtime: onnxruntime, openvino, …")] = "",
    strategy: Annotated[str, typer.Option(help="One of those in simmore.strategies.")] = "expected_improvement",
    controller: Annotated[
        str, typer.Option(help="Follow this policy of the paper's kind instead: heldout, paper, a .safetensors file.")
    ] = "",
    max_latency: Annotated[float, typer.Option(help="Limit in ms: the highest score within it; 0 is none.")] = 0.0,
    budget: Annotated[int, typer.Option(help="Distinct cells that may be measured, the start included.")] = 10,
    start: Annotated[str, typer.Option(help="First cell: NATS index, six digits or string; drawn if none.")] = "",
    seed: Annotated[int, typer.Option(help="Of everything that is drawn.")] = 0,
    out: Annotated[Path, typer.Option(help="Where the trajectory is written.")] = Path("trajectory.csv"),
    precision: Annotated[str, typer.Option(help="With --live: fp32 or int8.")] = "fp32",
    threads: Annotated[int, typer.Option(help="With --live: threads, each on a core of its own.")] = 1,
    batch: Annotated[int, typer.Option(help="With --live: images a run.")] = 1,
    limit_seconds: Annotated[float, typer.Option(help="With --live: after which a cell counts as failed.")] = 120.0,
    dask: Annotated[str, typer.Option(help="With --live: measure on a worker of this Dask scheduler.")] = "",
    resource: Annotated[str, typer.Option(help="With --dask: a worker with this label.")] = "",
    export: Annotated[Path | None, typer.Option(help="Write the answer's network as ONNX.")] = None,
) -> None:
    """Search a cell for one device, print the answer and write the trajectory."""
    from simmore import data, devices, space
    from simmore.hardware import live as living
    from simmore.rl import policy as controllers
    from simmore.strategies import catalogue as strategies
    from simmore.strategies import loop as searching

    if sum(map(bool, (device, latency_table, live))) != 1:
        raise ValueError("name a --device, a --latency-table or a --live runtime, one of them")
    if not max_latency >= 0:
        raise ValueError(f"a latency limit is a positive number of ms, got {max_latency}")
    for file in (out, export) if export else (out,):
        living.check_writable(file)
    limit = max_latency or None
    policy = controllers.load(controller) if controller else None

    def search_strategy(name: str) -> Strategy:
        return searching.follow(policy) if policy else strategies.make(strategy, name, limit)

    first = space.to_arch(start) if start else None
    if live:
        from simmore.hardware.measure import Configuration

        wanted = Configuration(live, precision, threads, batch)
        ended = _search_live(
            wanted,
            search_strategy(wanted.name),
            strategy_name=controller or strategy,
            out=out,
            start=first,
            budget=budget,
            seed=seed,
            max_latency_ms=limit,
            limit_seconds=limit_seconds,
            dask=dask or None,
            resource=resource or None,
        )
        found, where = ended.found, ended.device.name
    else:
        if latency_table:
            target: Device = devices.TableDevice(Path(latency_table).stem, data.latency_csv(latency_table))
        else:
            target = devices.load(device)
        found, where = _search_table(target, search_strategy(target.name), out, first, budget, seed, limit), target.name
    _print_answer(found, where, budget, max_latency, out)
    if live:
        _print_cost(ended)
    if export and found.arch is not None:
        from simmore.hardware import onnx_network

        error = onnx_network.export(found.arch, export)
        print(f"exported      {export}: initial weights; differs from torch by {error:.1e} of the largest logit")


def _search_table(
    target: Device, strategy: Strategy, out: Path, start: int | None, budget: int, seed: int, limit: float | None
) -> Search:
    """Search a device whose latencies are known, and write the trajectory."""
    from simmore.strategies import loop

    try:
        found = loop.search(target, strategy, start=start, budget=budget, seed=seed, max_latency_ms=limit)
    except loop.MeasurementFailed as failure:
        failure.trajectory.to_csv(out, index=False)
        raise ValueError(f"{failure}; what was measured is in {out}") from failure
    found.trajectory.to_csv(out, index=False)
    return found


def _search_live(wanted: Configuration, strategy: Strategy, **settings: Any) -> LiveSearch:
    """Search hardware, a line a measurement; what an interruption leaves behind is said."""
    from simmore.hardware import live
    from simmore.strategies import loop

    kept = f"what was measured is kept in {live.journal_of(settings['out'])}: the same command goes on there"
    try:
        ended = live.search_live(wanted, strategy, **settings)
    except KeyboardInterrupt:
        print(f"\ninterrupted; {kept}", file=sys.stderr)
        raise typer.Exit(130) from None
    except loop.MeasurementFailed as failure:
        if failure.trajectory.empty and isinstance(failure.__cause__, (ValueError, ImportError, OSError)):
            raise failure.__cause__ from None  # nothing was measured: the setting is wrong
        raise ValueError(f"{failure}; {kept}") from failure
    if ended.resumed:
        print(f"resumed       {ended.resumed} cells had been measured before the interruption")
    return ended


def _print_answer(found: Search, device: str, budget: int, max_latency: float, out: Path) -> None:
    """The answer, its latency and its accuracy."""
    from simmore import data

    if found.arch is None:
        print(f"no cell within {max_latency:g} ms among the {found.measurements} measured")
    else:
        print(f"cell          {found.arch_str}")
        print(f"NATS index    {found.arch}")
        print(f"latency       {found.latency_ms:.4g} ms on {device}")
        for dataset in data.DATASETS:
            print(f"{dataset:13} {data.accuracy(dataset)[found.arch]:.2f} % validation accuracy")
        print(f"measured      {found.measurements} of {budget} cells")
    print(f"trajectory    {out}")


def _print_cost(ended: LiveSearch) -> None:
    """What the search cost, and what measuring everything would have."""
    everything = ended.seconds_for_everything() / 60
    print(f"took          {ended.seconds:.1f} s; all 15,625 cells would take {everything:.0f} min")
