"""The command line: ``python -m simmore COMMAND``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from simmore.commands.search import search_command

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
    from simmore.experiments import score_checks
    from simmore.proxies import scoring

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
    from simmore.proxies import scoring

    print(scoring.score(cells, dataset).to_string())


app.command("search")(search_command)


@app.command("measure")
def measure_command(
    cells: Annotated[list[str], typer.Argument(help="NATS indices, six digits, or strings.")],
    runtime: Annotated[
        str, typer.Option(help="onnxruntime, openvino, ncnn, litert, torch or torch_compile.")
    ] = "onnxruntime",
    precision: Annotated[str, typer.Option(help="fp32, or int8 in onnxruntime and openvino.")] = "fp32",
    threads: Annotated[int, typer.Option(help="Each on a core of its own.")] = 1,
    batch: Annotated[int, typer.Option(help="Images a run.")] = 1,
    limit_seconds: Annotated[float, typer.Option(help="After which a cell counts as failed.")] = 120.0,
    dask: Annotated[str, typer.Option(help="Measure on a worker of this Dask scheduler.")] = "",
    resource: Annotated[str, typer.Option(help="A worker with this label.")] = "",
) -> None:
    """Measure any cells here and now, in turns."""
    import pandas as pd

    from simmore.hardware import measure

    found = measure.measure_many(
        cells,
        measure.Configuration(runtime, precision, threads, batch),
        limit_seconds=limit_seconds,
        dask=dask or None,
        resource=resource or None,
    )
    print(pd.DataFrame([measure.as_row(one) for one in found]).to_string(index=False))


@app.command("own-devices")
def own_devices_command(
    names: Annotated[list[str] | None, typer.Argument(help="Such as onnxruntime_int8; all if none.")] = None,
    jobs: Annotated[int, typer.Option(help="Measuring processes, a core each; -1: as many as there are cores.")] = -1,
) -> None:
    """Measure all cells in the project's runtimes; a run that was stopped goes on where it was."""
    from simmore import data
    from simmore.hardware import benchmarked, repeatability

    for name in names or data.OWN:
        print(f"wrote {benchmarked.measure_all(name, n_jobs=jobs)}", flush=True)
    if not names:
        for wanted in repeatability.measure_all():
            print(f"measured twice in {wanted.name}", flush=True)


@app.command("train")
def train_command(
    out: Annotated[Path, typer.Argument(help="Writes OUT.safetensors and OUT.json.")],
    without: Annotated[list[str] | None, typer.Option(help="Devices to leave out of the distribution.")] = None,
    steps: Annotated[int, typer.Option(help="Transitions, a multiple of 5,000.")] = 500_000,
    seed: Annotated[int, typer.Option(help="Of everything that is drawn.")] = 0,
) -> None:
    """Train a controller on synthetic devices; an interrupted training goes on where it was."""
    from simmore import devices, paths, proxies
    from simmore.rl import training

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
    from simmore import paths
    from simmore.experiments import record

    print(record.claims_markdown(paths.FIGURES))


@app.command("train-strategies")
def train_strategies_command() -> None:
    """Fit the prior, train the controller's networks and the ablations anew; finished ablations are read back."""
    from simmore import devices, proxies
    from simmore.experiments import comparison
    from simmore.models import priors
    from simmore.rl import ablations, shortlist_training

    score = proxies.stored_score()
    priors.fit_all()
    shortlist_training.train_all(score)
    ablations.save(ablations.train(score, [*comparison.measured_devices(), devices.load("nats_gpu")]))


@app.command("bench")
def bench_command() -> None:
    """Measure speed and memory, and print them as a table."""
    from simmore.experiments import bench

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
