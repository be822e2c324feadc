"""The command line: ``simmore COMMAND``, or ``python -m simmore COMMAND``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from simmore.commands.search import search_command
from simmore.commands.suggest import suggest_command

app = typer.Typer(
    help="Search fast and accurate NATS-Bench cells for a device from at most ten latency measurements.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("search")(search_command)
app.command("suggest")(suggest_command)

Dataset = Annotated[str, typer.Option(help="cifar10, cifar100 or ImageNet16-120.")]
Cells = Annotated[list[str], typer.Argument(help="NATS indices, six digits, or strings.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Dask = Annotated[str, typer.Option(envvar="SIMMORE_DASK", help="Address of a Dask scheduler, if any.")]


@app.command("measure")
def measure_command(
    cells: Cells,
    runtime: Annotated[
        str, typer.Option(help="onnxruntime, openvino, ncnn, litert, torch or torch_compile.")
    ] = "onnxruntime",
    precision: Annotated[str, typer.Option(help="fp32, or int8 in onnxruntime and openvino.")] = "fp32",
    threads: Annotated[int, typer.Option(help="Each on a core of its own.")] = 1,
    batch: Annotated[int, typer.Option(help="Images a run.")] = 1,
    limit_seconds: Annotated[float, typer.Option(help="After which a cell counts as failed.")] = 120.0,
    dask: Annotated[str, typer.Option(help="Measure on a worker of this Dask scheduler.")] = "",
    resource: Annotated[str, typer.Option(help="A worker with this label.")] = "",
    json: Json = False,
) -> None:
    """Measure cells on this machine. Exit status 1: none could be measured."""
    import math

    import pandas as pd

    from simmore.hardware import measure

    found = measure.measure_many(
        cells,
        measure.Configuration(runtime, precision, threads, batch),
        limit_seconds=limit_seconds,
        dask=dask or None,
        resource=resource or None,
    )
    rows = pd.DataFrame(found)
    print(rows.to_json(orient="records", indent=2) if json else rows.to_string(index=False))
    if not any(math.isfinite(one.latency_ms) for one in found):
        raise typer.Exit(1)


@app.command("score")
def score_command(cells: Cells, dataset: Dataset = "cifar10", json: Json = False) -> None:
    """Compute the training-free scores of cells; they get the numbers of the stored table."""
    import simmore

    table = simmore.score(cells, dataset)
    print(table.reset_index().to_json(orient="records", indent=2) if json else table.to_string())


@app.command("train")
def train_command(
    out: Annotated[Path, typer.Argument(help="Writes OUT.safetensors.")],
    without: Annotated[list[str] | None, typer.Option(help="Devices to leave out of Ξ, with their families.")] = None,
    steps: Annotated[int, typer.Option(help="Transitions, a multiple of 5,000.")] = 500_000,
    seed: Annotated[int, typer.Option(help="Seed of everything that is drawn.")] = 0,
    dataset: Dataset = "cifar10",
    force: Annotated[bool, typer.Option(help="Overwrite an existing file.")] = False,
) -> None:
    """Train a policy on synthetic devices; an interrupted training continues."""
    import simmore
    from simmore.rl import policy

    policy.new_file(out, overwrite=force)  # refuses before the training, not after it
    trained = simmore.train(without or (), steps=steps, seed=seed, dataset=dataset)
    print(f"wrote {trained.save(out, overwrite=force)}")


@app.command("devices")
def devices_command() -> None:
    """List the devices that a search can be tried on, and whether their tables are on this machine."""
    from simmore import data, devices

    there = data.status().set_index("name")["where"]
    for name in (*data.BENCHMARKED, *data.MEASURED):
        print(f"{name:18} measured, {there[f'latency/{name}']}")
    print(f"{'nats_gpu':18} measured, package")
    print(f"{'mean':18} the mean synthetic device")
    for name in devices.PAPER_DEVICES:
        print(f"{name + '_lut':18} the sum of its operations")


@app.command("strategies")
def strategies_command() -> None:
    """List the search strategies, and what each knows of other devices."""
    from simmore.strategies import STRATEGIES

    for name, entry in STRATEGIES.items():
        print(f"{name:22} {entry.description}; knows {entry.knows} of other devices")


@app.command("data")
def data_command() -> None:
    """Fetch the measured tables, and say which are on this machine."""
    from simmore import data

    tables = data.fetch_all()
    width = tables["name"].str.len().max()
    for table in tables.itertuples():
        print(f"{table.name:{width}}  {table.where:8} {table.unit:22} {table.licence}")
    absent = tables[tables["where"].isin(["missing", "altered"])]
    if len(absent):
        print(
            f"\n{len(absent)} tables of measured devices and published scores are missing: "
            f"{absent['problem'].iloc[0]}\n"
            "Figures and claims about these devices are then not evaluated; everything else works."
        )


@app.command("claims")
def claims_command() -> None:
    """Print the claims that were checked, as a table."""
    from simmore import paths
    from simmore.experiments import claims

    print(claims.markdown(paths.FIGURES))


@app.command("proxies", hidden=True)
def proxies_command(
    dataset: Dataset = "cifar10",
    seeds: Annotated[int, typer.Option(help="Initialisations to average over.")] = 1,
    dask: Dask = "",
    samples: Annotated[bool, typer.Option(help="The spread and natural-like input, on samples of cells.")] = False,
) -> None:
    """Compute the stored scores of all cells; an interrupted run continues."""
    from simmore.experiments import score_checks
    from simmore.proxies import scoring

    if samples:
        score_checks.make_samples(dask=dask or None)
        print(f"wrote {score_checks.SPREAD} and {score_checks.NATURAL}")
        return
    print(f"wrote {scoring.score_all(dataset, seeds=range(seeds), dask=dask or None)}")


@app.command("own-devices", hidden=True)
def own_devices_command(
    names: Annotated[list[str] | None, typer.Argument(help="Such as onnxruntime_int8; all if none.")] = None,
    jobs: Annotated[int, typer.Option(help="Measuring processes, a core each; -1: as many as there are cores.")] = -1,
) -> None:
    """Measure all cells in the benchmarked runtimes; an interrupted run continues."""
    from simmore import data
    from simmore.hardware import benchmarked, repeatability

    for name in names or data.BENCHMARKED:
        print(f"wrote {benchmarked.measure_all(name, n_jobs=jobs)}", flush=True)
    if not names:
        for wanted in repeatability.measure_all():
            print(f"measured twice in {wanted.name}", flush=True)


@app.command("train-strategies", hidden=True)
def train_strategies_command() -> None:
    """Fit the prior's variances, and train the shortlist networks and the ablations; finished ablations are reused."""
    from simmore import devices, proxies
    from simmore.experiments import comparison
    from simmore.models import variances
    from simmore.rl import ablations, shortlist_training

    score = proxies.stored_score()
    variances.fit_all()
    shortlist_training.train_all(score)
    ablations.train_all(score, [*comparison.measured_devices(), devices.load("nats_gpu")])


@app.command("bench", hidden=True)
def bench_command() -> None:
    """Measure speed and memory, and print them as a table."""
    from simmore.experiments import bench

    print(bench.table().to_string(index=False))


def main() -> None:
    """Run a command; wrong input is one sentence on the error stream, and exit status 2."""
    try:
        app()
    except (ValueError, LookupError, ImportError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
