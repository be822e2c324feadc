"""The command line: ``simmore COMMAND``, or ``python -m simmore COMMAND``."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.exceptions import TyperException

from simmore.commands.options import (
    Cores,
    Dataset,
    Json,
    Score,
    Seed,
    batch_of_images,
    checked,
    core_numbers,
    time_limit,
    whole,
)
from simmore.commands.options import threads as threads_allowed
from simmore.commands.search import search_command
from simmore.commands.suggest import suggest_command
from simmore.errors import InputWarning

app = typer.Typer(
    help="Search fast and accurate NATS-Bench cells for a device from at most ten latency measurements.",
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("search")(search_command)
app.command("suggest")(suggest_command)

Cells = Annotated[list[str], typer.Argument(help="NATS indices, six digits, or strings.")]
_whole_rollouts = checked("steps are a positive multiple of 5,000", lambda steps: steps > 0 and steps % 5_000 == 0)
Dask = Annotated[str, typer.Option(envvar="SIMMORE_DASK", help="Address of a Dask scheduler, if any.")]


@app.command("measure")
def measure_command(
    cells: Cells,
    runtime: Annotated[
        str, typer.Option(help="onnxruntime, openvino, ncnn, litert, torch or torch_compile.")
    ] = "onnxruntime",
    precision: Annotated[str, typer.Option(help="fp32, or int8 in onnxruntime and openvino.")] = "fp32",
    threads: Annotated[int, typer.Option(help="Each on a core of its own.", callback=threads_allowed)] = 1,
    batch: Annotated[int, typer.Option(help="Images per run.", callback=batch_of_images)] = 1,
    cores: Cores = "",
    limit_seconds: Annotated[
        float, typer.Option(help="Seconds after which a cell counts as failed.", callback=time_limit)
    ] = 120.0,
    dask: Annotated[str, typer.Option(help="Measure on a worker of this Dask scheduler.")] = "",
    resource: Annotated[str, typer.Option(help="A worker with this label.")] = "",
    json: Json = False,
) -> None:
    """Measure cells on this machine. Exit status 1: none could be measured."""
    import math

    import pandas as pd

    from simmore import space
    from simmore.hardware import measure

    found = measure.measure_many(
        cells,
        measure.Configuration(runtime, precision, threads, batch, core_numbers(cores)),
        limit_seconds=limit_seconds,
        dask=dask or None,
        resource=resource or None,
    )
    rows = pd.DataFrame(found)
    rows.insert(1, "arch_str", [space.to_string(one.arch) for one in found])
    if json:
        print(rows.to_json(orient="records", indent=2))
    else:
        where = found[0]
        print(f"measured on   {where.host} ({', '.join([where.processor, *map(' '.join, where.versions.items())])})")
        print(rows.drop(columns=["host", "processor", "versions"]).to_string(index=False))
    if not any(math.isfinite(one.latency_ms) for one in found):
        raise typer.Exit(1)


@app.command("score")
def score_command(cells: Cells, dataset: Dataset = "cifar10", score: Score = "freerea", json: Json = False) -> None:
    """Compute the training-free scores of cells. The values are those of the stored table."""
    import simmore

    table = simmore.score(cells, dataset, terms=score)
    print(table.reset_index().to_json(orient="records", indent=2) if json else table.to_string())


@app.command("train")
def train_command(
    out: Annotated[Path, typer.Argument(help="Writes OUT.safetensors.")],
    without: Annotated[list[str] | None, typer.Option(help="Devices to leave out of Ξ, with their families.")] = None,
    steps: Annotated[int, typer.Option(help="Transitions, a multiple of 5,000.", callback=_whole_rollouts)] = 500_000,
    seed: Seed = 0,
    dataset: Dataset = "cifar10",
    force: Annotated[bool, typer.Option(help="Overwrite an existing file.")] = False,
) -> None:
    """Train a policy on synthetic devices; an interrupted training continues."""
    import simmore
    from simmore.files import check_writable
    from simmore.rl import policy

    file = policy.new_file(out, overwrite=force)  # refuses before the training, not after it
    file.parent.mkdir(parents=True, exist_ok=True)
    check_writable(file)
    trained = simmore.train(without or (), steps=steps, seed=seed, dataset=dataset)
    print(f"wrote {trained.save(out, overwrite=force)}")


@app.command("devices")
def devices_command() -> None:
    """List the devices that a search can be tried on, and whether their tables are on this machine."""
    from simmore import data, devices

    there = data.status().set_index("name")["where"]
    for name in (*data.BENCHMARKED, *data.MEASURED):
        print(f"{name:26} measured, {there[f'latency/{name}']}")
    for name in data.BLIND:
        print(f"{name:26} blind: a measured sample of cells, not for design; {there[f'latency/{name}']}")
    print(f"{'nats_gpu':26} measured, package")
    print(f"{'mean':26} the mean synthetic device")
    for name in devices.PAPER_DEVICES:
        print(f"{name + '_lut':26} the sum of its operations")


@app.command("strategies")
def strategies_command() -> None:
    """List the search strategies, and what each knows of other devices."""
    from simmore.strategies import STRATEGIES

    for name, entry in STRATEGIES.items():
        print(f"{name:22} {entry.description}; knows {entry.knows} of other devices")


@app.command("data")
def data_command() -> None:
    """Fetch the measured tables, and say which are on this machine. Exit status 1: some are missing."""
    from simmore import data

    tables = data.fetch_all()
    width = tables["name"].str.len().max()
    for table in tables.itertuples():
        print(f"{table.name:{width}}  {table.where:8} {table.unit:22} {table.licence}")
    absent = tables[tables["where"].isin(["missing", "altered"])]
    if len(absent):
        problems = [f"- {problem}" for problem in absent["problem"][:3]]
        more = [f"- and {len(absent) - 3} more"] if len(absent) > 3 else []
        print(
            f"\n{len(absent)} of {len(tables)} tables are missing:", *problems, *more,
            "Figures and claims about these devices are then not evaluated; everything else works.",
            sep="\n", file=sys.stderr,
        )  # fmt: skip
        raise typer.Exit(1)


@app.command("claims")
def claims_command() -> None:
    """Print the claims of the paper that were checked, and the goals of this project, as tables."""
    from simmore import paths
    from simmore.experiments import claims

    print(claims.markdown(paths.FIGURES))


@app.command("outdated", hidden=True)
def outdated_command(
    folder: Path,
    figures: list[str],
    quick: Annotated[bool, typer.Option(help="Figures of a quick run are wanted.")] = False,
) -> None:
    """Print the figures in a folder that are missing, from the other kind of run, or from other tables."""
    from simmore.experiments import record

    print(*record.outdated(folder, figures, quick=quick))


@app.command("proxies", hidden=True)
def proxies_command(
    dataset: Dataset = "cifar10",
    seeds: Annotated[
        int,
        typer.Option(
            help="Initialisations to average over.", callback=whole("seeds are a number of initialisations", 1, 100)
        ),
    ] = 1,
    dask: Dask = "",
    samples: Annotated[bool, typer.Option(help="The spread and natural-like input, on samples of cells.")] = False,
    az: Annotated[bool, typer.Option("--az", help="AZ-NAS's terms, for the data set's size of images.")] = False,
    jobs: Annotated[int, typer.Option(help="Processes, one per core if -1.")] = -1,
) -> None:
    """Compute the stored scores of all cells; an interrupted run continues."""
    from simmore import data
    from simmore.experiments import score_checks
    from simmore.proxies import scoring

    if samples:
        score_checks.make_samples(dask=dask or None)
        print(f"wrote {score_checks.SPREAD} and {score_checks.NATURAL}")
        return
    if az:
        size = data.task(dataset).size
        print(f"wrote {scoring.az_all(size, seeds=range(seeds), n_jobs=jobs, dask=dask or None)}")
        return
    print(f"wrote {scoring.score_all(dataset, seeds=range(seeds), n_jobs=jobs, dask=dask or None)}")


@app.command("own-devices", hidden=True)
def own_devices_command(
    names: Annotated[list[str] | None, typer.Argument(help="Such as onnxruntime_int8; all if none.")] = None,
    jobs: Annotated[int, typer.Option(help="Measuring processes, a core each; -1: one per core.")] = -1,
) -> None:
    """Measure the tables of the benchmarked runtimes; an interrupted run continues."""
    from simmore import data
    from simmore.hardware import benchmarked

    names = names or [*data.BENCHMARKED, *data.BLIND]
    for number in range(max(map(benchmarked.passes, names))):  # each pass at another time
        for name in names:
            if number < benchmarked.passes(name):
                benchmarked.measure_pass(name, number, n_jobs=jobs)
    for name in names:
        print(f"wrote {benchmarked.write_table(name)}")


@app.command("train-strategies", hidden=True)
def train_strategies_command() -> None:
    """Fit the prior of simulated devices, and train controllers and ablations; interrupted trainings continue."""
    from simmore import devices, proxies
    from simmore.experiments import comparison
    from simmore.models import simulated
    from simmore.rl import ablations, context_training

    score = proxies.stored_score()
    simulated.save(simulated.fit())
    context_training.train_all()
    ablations.train_all(score, [*comparison.measured_devices(), devices.load("nats_gpu")])


@app.command("training-choices", hidden=True)
def training_choices_command() -> None:
    """Train policies with other widths of Ξ, T, γ and history, and judge them; an interrupted run continues."""
    from simmore.experiments import training_choices

    training_choices.run_all()
    print(f"wrote {training_choices.TABLE} and {training_choices.TRACES}")


@app.command("bench", hidden=True)
def bench_command() -> None:
    """Measure speed and memory, and print them as a table."""
    from simmore.experiments import bench

    print(bench.table().to_string(index=False))


@contextlib.contextmanager
def _notes() -> Iterator[None]:
    """Print each `InputWarning` as one line on the error stream."""
    with warnings.catch_warnings():
        warnings.simplefilter("always", InputWarning)
        usual = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *place: Any, **stream: Any) -> None:
            if issubclass(category, InputWarning):
                print(f"note: {message}", file=sys.stderr)
            else:
                usual(message, category, *place, **stream)

        warnings.showwarning = show  # restored at the end
        yield


def main() -> None:
    """Run a command. Wrong input is one sentence on the error stream, and exit status 2; an interruption is 130."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # SIGTERM cleans up as Ctrl-C does
    try:
        with _notes():
            status = app(sys.argv[1:] or ["--help"], standalone_mode=False)
        print(end="", flush=True)
    except KeyboardInterrupt:
        status = 130
    except BrokenPipeError:  # the reader of the output has ended, for example `head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # Python flushes once more when it ends
        status = 1
    except TyperException as error:  # an option's value, or an unknown option
        print(f"error: {error.format_message()}", file=sys.stderr)
        status = 2
    except (ValueError, LookupError, ImportError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        status = 2
    if status == 130:
        print("interrupted", file=sys.stderr)
    sys.exit(status)


if __name__ == "__main__":
    main()
