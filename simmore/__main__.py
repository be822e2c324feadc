"""The command line: ``python -m simmore COMMAND``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    help="Search fast and accurate NATS-Bench cells for a device from at most ten latency measurements.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.command("data")
def data_command() -> None:
    """Fetch the measured tables, and say which tables are there."""
    from simmore import data

    tables = data.fetch_all()
    width = tables["name"].str.len().max()
    for table in tables.itertuples():
        print(f"{table.name:{width}}  {table.where:8} {table.unit:22} {table.licence}")
    absent = tables[tables["where"].isin(["missing", "altered"])]
    if len(absent):
        print(
            f"\n{len(absent)} tables of measured devices and published scores are not there: "
            f"{absent['problem'].iloc[0]}\n"
            "Every figure is drawn all the same, from the embedded tables."
        )


@app.command("proxies")
def proxies_command(
    dataset: Annotated[str, typer.Option(help="cifar10, cifar100 or ImageNet16-120.")] = "cifar10",
    seeds: Annotated[int, typer.Option(help="Initialisations to average over.")] = 1,
    dask: Annotated[str, typer.Option(envvar="SIMMORE_DASK", help="Address of a Dask scheduler, if any.")] = "",
    samples: Annotated[bool, typer.Option(help="The spread and natural-like input, on samples of cells.")] = False,
) -> None:
    """Compute the training-free scores of all cells; a run that was stopped goes on where it was."""
    from simmore import score_checks, scoring

    if samples:
        score_checks.make_samples(dask=dask or None)
        print(f"wrote {score_checks.SPREAD} and {score_checks.NATURAL}")
        return
    print(f"wrote {scoring.score_all(dataset, seeds=range(seeds), dask=dask or None)}")


@app.command("score")
def score_command(
    cells: Annotated[list[str], typer.Argument(help="NATS indices, six digits, or strings.")],
    dataset: Annotated[str, typer.Option(help="cifar10, cifar100 or ImageNet16-120.")] = "cifar10",
) -> None:
    """Score any cells here and now: the numbers that the stored table has."""
    from simmore import scoring

    print(scoring.score(cells, dataset).to_string())


@app.command("search")
def search_command(
    device: Annotated[str, typer.Option(help="A measured device, nats_gpu, mean, or <device>_lut.")] = "",
    latency_table: Annotated[str, typer.Option(help="A CSV of your own device: arch,latency_ms.")] = "",
    strategy: Annotated[str, typer.Option(help="One of those in simmore.strategies.")] = "expected_improvement",
    controller: Annotated[
        str, typer.Option(help="Follow this policy of the paper's kind instead: heldout, paper, a .safetensors file.")
    ] = "",
    max_latency: Annotated[float, typer.Option(help="Limit in ms: the highest score within it; 0 is none.")] = 0.0,
    budget: Annotated[int, typer.Option(help="Distinct cells that may be measured, the start included.")] = 10,
    start: Annotated[str, typer.Option(help="First cell: NATS index, six digits or string; drawn if none.")] = "",
    seed: Annotated[int, typer.Option(help="Of everything that is drawn.")] = 0,
    out: Annotated[Path, typer.Option(help="Where the trajectory is written.")] = Path("trajectory.csv"),
) -> None:
    """Search a cell for one device, print the answer and write the trajectory."""
    from simmore import controller as controllers
    from simmore import data, devices, search, space, strategies

    if bool(device) == bool(latency_table):
        raise ValueError("name either a --device or a --latency-table")
    if not max_latency >= 0:
        raise ValueError(f"a latency limit is a positive number of ms, got {max_latency}")
    limit = max_latency or None
    if not out.parent.is_dir():
        raise ValueError(f"the folder of --out {out} does not exist: create it, or name another")
    if latency_table:
        target: devices.Device = devices.TableDevice(Path(latency_table).stem, data.latency_csv(latency_table))
    else:
        target = devices.load(device)
    policy = controllers.load(controller) if controller else None
    way = search.follow(policy) if policy else strategies.make(strategy, target.name, limit)
    first = space.to_arch(start) if start else None
    try:
        found = search.search(target, way, start=first, budget=budget, seed=seed, max_latency_ms=limit)
    except search.MeasurementFailed as failure:
        failure.trajectory.to_csv(out, index=False)
        raise ValueError(f"{failure}; what was measured is in {out}") from failure
    found.trajectory.to_csv(out, index=False)
    if found.arch is None:
        print(f"no cell within {max_latency:g} ms among the {found.measurements} measured")
        print(f"trajectory    {out}")
        return
    print(f"cell          {found.arch_str}")
    print(f"NATS index    {found.arch}")
    print(f"latency       {found.latency_ms:.4g} ms on {target.name}")
    for dataset in data.DATASETS:
        print(f"{dataset:13} {data.accuracy(dataset)[found.arch]:.2f} % validation accuracy")
    print(f"measured      {found.measurements} of {budget} cells")
    print(f"trajectory    {out}")


@app.command("train")
def train_command(
    out: Annotated[Path, typer.Argument(help="Writes OUT.safetensors and OUT.json.")],
    without: Annotated[list[str] | None, typer.Option(help="Devices to leave out of the distribution.")] = None,
    steps: Annotated[int, typer.Option(help="Transitions, a multiple of 5,000.")] = 500_000,
    seed: Annotated[int, typer.Option(help="Of everything that is drawn.")] = 0,
) -> None:
    """Train a controller on synthetic devices; an interrupted training goes on where it was."""
    from simmore import devices, paths, proxies, training

    unknown = set(without or ()) - set(devices.PAPER_DEVICES)
    if unknown:
        raise ValueError(f"not among the paper's devices: {', '.join(sorted(unknown))}")
    sampler = devices.SyntheticDevices.fit(devices.without_family(devices.PAPER_DEVICES, without or ()))
    settings = training.Settings(seed=seed, total_steps=steps)
    result = training.train(settings, sampler, proxies.stored_score(), folder=paths.BUILD / "training")
    result.controller.save(out)
    last = result.curve.iloc[-1]
    print(f"{out}.safetensors: score {last['score']:.3f}, inverse latency {last['inverse_latency']:.3f}")


@app.command("claims")
def claims_command() -> None:
    """Print the claims that were checked, as the README's table."""
    from simmore import paths, record

    print(record.claims_markdown(paths.FIGURES))


@app.command("train-strategies")
def train_strategies_command() -> None:
    """Fit the prior, train the controller's networks and the ablations anew; finished ablations are read back."""
    from simmore import ablations, acquisition_training, comparison, device_prior, devices, proxies

    score = proxies.stored_score()
    device_prior.fit_all()
    acquisition_training.train_all(score)
    ablations.save(ablations.train(score, [*comparison.measured_devices(), devices.load("nats_gpu")]))


@app.command("bench")
def bench_command() -> None:
    """Measure speed and memory, and print them as a table."""
    from simmore import bench

    print(bench.table().to_string(index=False))


def main() -> None:
    """Run a command; what is wrong with its input is said in a sentence, without a traceback."""
    try:
        app()
    except (ValueError, LookupError, ImportError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
