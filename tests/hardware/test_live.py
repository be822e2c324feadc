"""Searches on hardware: ten real measurements, interruptions, journals, and settings that are wrong."""

import contextlib
import dataclasses
import json
import math
import re
import signal
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from simmore import devices, space
from simmore.__main__ import main
from simmore.errors import MissingPackage
from simmore.experiments import comparison
from simmore.hardware import live, measure, runtimes
from simmore.hardware.worker import failed
from simmore.models.knowledge import Knowledge
from simmore.strategies import MeasurementFailed, Problem, Session

FP32 = measure.Configuration()
MEAN = Knowledge().simulated.shape
# the command line on a machine that measures 1 ms + arch / 1000; it hangs at its third cell if told to
SIMULATED = """
import signal, sys, threading
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may start tests in the background, which ignore it
signal.signal(signal.SIGHUP, signal.SIG_DFL)
from simmore.__main__ import main
from simmore.hardware import measure
measured = 0

def measure_many(archs, wanted, **settings):
    global measured
    measured += archs != [measure.REFERENCE]
    if hangs and measured == 3:
        threading.Event().wait()
    return [measure.Measurement(arch, 1 + arch / 1000, seconds=1.0) for arch in archs]

hangs = sys.argv.pop(1) == "hangs"
measure.measure_many = measure_many
main()
"""


def search(*arguments, program=("-m", "simmore"), cwd):
    command = [sys.executable, *program, "search", "--live", "onnxruntime", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd)


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    """A cache folder for journals."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("SIMMORE_CACHE", str(folder))
    return folder


@pytest.mark.slow
def test_ten_measurements_a_recommendation_and_its_file(tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    done = search("--out", "trajectory.csv", "--export", "best.onnx", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert re.search(r"^ 10 of 10 +\d+\.\d+ ms ± ", done.stdout, re.M) and "ms on onnxruntime_fp32" in done.stdout
    assert done.stdout.count("validation accuracy") == 3 and "all cells would take" in done.stdout
    steps = pd.read_csv(tmp_path / "trajectory.csv")
    assert steps["n_measured"].max() == 10 and (steps["latency_ms"] > 0).all() and {"spread", "stable"} <= set(steps)
    session = onnxruntime.InferenceSession(tmp_path / "best.onnx", providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].shape == [1, 3, 32, 32]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best.onnx", "trajectory.csv"]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
@pytest.mark.parametrize("out", [["--out", "steps.csv"], []])
def test_an_interrupted_search_continues_with_what_it_has_measured(tmp_path, own_cache, how, out):
    pytest.importorskip("onnxruntime")
    arguments = ["search", "--live", "onnxruntime", "--strategy", "random", *out]
    with subprocess.Popen(
        [sys.executable, "-c", SIMULATED, "hangs", *arguments],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        while not process.stdout.readline().startswith("  2 of 10"):
            assert process.poll() is None, process.stderr.read()
        process.send_signal(how)
        _, said = process.communicate()
    (journal,) = [*tmp_path.glob("steps.csv.*.journal.json"), *own_cache.rglob("*.json")]
    kept = json.loads(journal.read_text())["measurements"]
    assert len(kept) == 2
    if how != signal.SIGKILL:
        assert process.returncode == 130 and "what was measured is kept" in said and "Traceback" not in said
    done = search(*arguments[3:], program=("-c", SIMULATED, "finishes"), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "resumed       2 cells" in done.stderr and done.stdout.count(" of 10  ") == 8
    assert not journal.exists()
    if out:
        steps = pd.read_csv(tmp_path / "steps.csv")
        assert steps["arch"][:2].tolist() == [row["arch"] for row in kept] and steps["n_measured"].max() == 10


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--threads", "999"], "more than the"),
        (["--batch", "0"], "batch is a whole number"),
        (["--precision", "fp64"], "precision"),
        (["--out", "nowhere/t.csv"], "does not exist"),
        (["--export", "nowhere/best.onnx"], "does not exist"),
        (["--out", "."], "is a folder"),
        (["--device", "mean"], "one of"),
        (["--resource", "raspi5"], "name their scheduler's address"),
        (["--limit-seconds", "0"], "positive number of seconds"),
    ],
)
def test_a_wrong_setting_is_one_sentence_without_a_traceback(arguments, message, tmp_path):
    pytest.importorskip("onnxruntime")
    done = search(*arguments, cwd=tmp_path)
    assert done.returncode == 2 and message in done.stderr and "Traceback" not in done.stderr, done.stderr
    assert done.stdout == "" and not list(tmp_path.iterdir())


@pytest.fixture
def simulated(monkeypatch):
    """A machine that measures 1 ms + arch / 1000; cells for which `fails` is true fail, and after `n` it is gone.

    ``change(k, measurement)`` may return another measurement in the place of the k-th one.
    """

    def simulate(fails=lambda arch: False, n=math.inf, change=lambda k, one: one, latency=lambda arch: 1 + arch / 1000):
        measured = []

        def measure_many(archs, wanted, **settings):
            (arch,) = archs
            if arch == measure.REFERENCE and not measured:
                return [measure.Measurement(arch, 1.0, reference_ms=1.0, host="board")]
            if len(measured) == n:
                raise ConnectionError("the machine is gone")
            measured.append(arch)
            one = measure.Measurement(arch, latency(arch), reference_ms=1.0, host="board")
            if fails(arch):
                one = dataclasses.replace(failed(arch, "no such operator"), host="board")
            return [change(len(measured) - 1, one)]

        monkeypatch.setattr(measure, "measure_many", measure_many)
        return measured

    monkeypatch.setattr(measure, "WAIT_SECONDS", (0, 0))
    simulate()
    return simulate


def search_live(budget=10, **settings):
    session = Session("random", budget=budget)
    return live.search_live(FP32, session, strategy="random", seed=0, progress=False, **settings)


def test_a_runtime_that_is_not_installed_names_the_command_that_installs_it(monkeypatch):
    absent = runtimes.Runtime(runtimes.RUNTIMES["onnxruntime"].compile, ("onnxruntime-of-tomorrow",))
    monkeypatch.setitem(runtimes.RUNTIMES, "onnxruntime", absent)
    with pytest.raises(MissingPackage, match=r"pip install 'simmore\[measure\]'"):
        search_live()


def test_a_search_continues_where_cells_fail_and_recommends_one_that_runs(simulated):
    simulated(fails=lambda arch: arch % 2)
    ended = search_live()
    assert ended.found.arch % 2 == 0 and np.isfinite(ended.found.latency_ms)
    assert np.isinf(ended.found.trajectory["latency_ms"]).any() and ended.found.n_measured == 10


def test_a_search_in_which_every_cell_fails_is_an_error_that_names_the_reason(simulated, own_cache, tmp_path):
    for strategy in ("random", "expected_improvement"):
        simulated(fails=lambda arch: True)
        session = Session(strategy)
        with pytest.raises(measure.CannotMeasure, match=r"none of the \d+ measured cells runs .*: no such operator$"):
            live.search_live(FP32, session, strategy=strategy, seed=0, progress=False, out=tmp_path / "steps.csv")
    assert not list(own_cache.rglob("*.json")) and not list(tmp_path.iterdir())


def test_a_runtime_that_does_not_work_is_an_error_before_any_cell_is_measured(monkeypatch, tmp_path, own_cache):
    def measure_many(archs, wanted, **settings):
        assert archs == [measure.REFERENCE]
        raise measure.CannotMeasure("onnxruntime_fp32 does not work on this machine")

    monkeypatch.setattr(measure, "measure_many", measure_many)
    with pytest.raises(measure.CannotMeasure, match="does not work"):
        search_live(out=tmp_path / "steps.csv")
    assert not list(tmp_path.iterdir()) and not list(own_cache.rglob("*.json"))


def disturbed(one):
    return dataclasses.replace(one, latency_ms=5 * one.latency_ms, disturbed=True, preempted=1.0)


def test_a_disturbed_cell_is_measured_again(simulated):
    measured = simulated(change=lambda k, one: disturbed(one) if k == 2 else one)
    ended = search_live()
    assert measured[2] == measured[3] and len(measured) == 11
    assert not ended.found.trajectory["disturbed"].any() and ended.doubt == ""


def test_a_recommendation_that_rests_on_a_disturbed_cell_says_so(simulated, tmp_path, capsys, monkeypatch):
    simulated(change=lambda k, one: disturbed(one))
    ended = search_live()
    assert (
        ended.found.trajectory["disturbed"].all() and "other programs took the core in 100 % of the runs" in ended.doubt
    )
    monkeypatch.setattr(sys, "argv", ["simmore", "search", "--live", "onnxruntime", "--strategy", "random"])
    with contextlib.suppress(SystemExit):
        main()
    assert "doubtful      disturbed: other programs" in capsys.readouterr().out


@pytest.mark.parametrize("which", [0, 1, 5])
def test_an_implausible_latency_is_measured_again(simulated, which):
    def spike(k, one):
        return dataclasses.replace(one, latency_ms=1000 * one.latency_ms) if k == which else one

    measured = simulated(change=spike, latency=lambda arch: float(MEAN[arch]))
    found = search_live().found  # of two readings, nothing shows which one is wrong; the third one does
    assert measured[which] == measured[max(which + 1, 3)] and len(measured) == 11
    assert found.trajectory["latency_ms"].max() < 10 * MEAN.max() and found.implausible == []


def test_an_implausible_latency_that_is_measured_twice_counts(simulated, tmp_path, capsys):
    def slow(arch):  # the cell that is measured third is a thousand times slower, whenever it is measured
        return float(MEAN[arch]) * (1000 if arch == third else 1)

    third = None
    simulated(latency=slow)
    third = int(search_live().found.trajectory["arch"].unique()[2])
    measured = simulated(latency=slow)
    found = search_live().found
    assert measured.count(third) == 2 and found.implausible == []
    assert found.trajectory.set_index("arch")["latency_ms"][third] > 100 * MEAN[third]


def test_measurements_of_two_machines_are_never_mixed(simulated, own_cache):
    simulated(change=lambda k, one: dataclasses.replace(one, host="board" if k < 2 else "other board"))
    with pytest.raises(MeasurementFailed, match=r"measured by other board .*, but this search measures on board"):
        search_live()
    (journal,) = own_cache.rglob("*.json")
    assert {row["host"] for row in json.loads(journal.read_text())["measurements"]} == {"board"}


def interrupted(simulated, folder):
    """The output file and the journal of a search whose machine is gone after two cells."""
    out = folder / "t.csv"
    simulated(n=2)
    with pytest.raises(MeasurementFailed):
        search_live(out=out)
    (journal,) = folder.iterdir()
    return out, journal


def test_a_search_does_not_continue_on_another_machine(simulated, tmp_path, monkeypatch, capsys):
    out, journal = interrupted(simulated, tmp_path)
    simulated()
    first = measure.measure_many

    def elsewhere(archs, wanted, **settings):
        return [dataclasses.replace(one, host="other board") for one in first(archs, wanted, **settings)]

    monkeypatch.setattr(measure, "measure_many", elsewhere)
    assert search_live(out=out).resumed == 0
    assert journal.exists() and str(journal) in capsys.readouterr().err
    assert set(pd.read_csv(out)["host"]) == {"other board"}


DISTURBANCES = {
    "none": lambda k: 1.0,
    "1.4 times slower after the fourth cell": lambda k: 1.4 if k >= 4 else 1.0,
    "twice as slow after the fourth cell": lambda k: 2.0 if k >= 4 else 1.0,
    "three times slower at the first cell": lambda k: 3.0 if k == 0 else 1.0,
}


@pytest.mark.slow
def test_a_machine_that_changes_its_speed_costs_at_most_0_03_of_regret(monkeypatch):
    """On 17 measured devices (on the benchmarked runtimes if they are not here), with noise of 1 % in every latency."""
    problem = Problem.of()
    mean = {}
    for name, speed in DISTURBANCES.items():
        found = []
        for device in comparison.measured_devices() or devices.benchmarked_devices():
            table = device.latency_ms(np.arange(space.N_ARCHS))
            noise = np.random.default_rng(0)
            measured = []

            def measure_many(archs, wanted, table=table, noise=noise, measured=measured, speed=speed, **settings):
                cell, reference = noise.normal(1, 0.01, 2) * (speed(len(measured)) if archs != [4317] else 1.0)
                measured.extend(arch for arch in archs if arch != measure.REFERENCE)
                (arch,) = archs
                return [measure.Measurement(arch, table[arch] * cell, reference_ms=table[4317] * reference)]

            monkeypatch.setattr(measure, "measure_many", measure_many)
            session = Session("expected_improvement", problem, without=[device.name], seed=1)
            ended = live.search_live(FP32, session, strategy="expected_improvement", seed=1, progress=False)
            rewards = devices.reward(problem.score, table)
            found.append(float(devices.normalised_regret(rewards, ended.found.arch)))
        mean[name] = np.mean(found)
    assert all(value <= mean["none"] + 0.03 for value in mean.values()), mean


def test_latencies_are_given_at_the_usual_speed_of_the_machine(simulated):
    """The first measurement is made on a machine that is three times slower; the others at its usual speed."""

    def slow(k, one):
        factor = 3.0 if k == 0 else 1.0
        return dataclasses.replace(one, latency_ms=factor * one.latency_ms, reference_ms=factor)

    simulated(change=slow)
    steps = search_live().found.trajectory
    np.testing.assert_allclose(steps["latency_ms"], 1 + steps["arch"] / 1000)
    assert steps["reference_ms"][0] == 3


def test_a_search_whose_machine_is_gone_continues_with_what_it_has_measured(simulated):
    simulated(n=2)
    with pytest.raises(MeasurementFailed, match="after 2 steps: the machine is gone"):
        search_live()
    simulated()
    assert search_live().resumed == 2


def test_the_journal_of_a_search_with_other_settings_is_kept_and_not_used(simulated, tmp_path, capsys):
    out, journal = interrupted(simulated, tmp_path)
    simulated()
    assert search_live(budget=3, out=out).resumed == 0
    assert journal.exists() and str(journal) in capsys.readouterr().err
    assert search_live(out=out).resumed == 2 and list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize("content", ['{"settings": {}}', "{", "[]", '{"measurements": [{"speed": 1}]}', ""])
def test_a_journal_that_cannot_be_read_is_set_aside(simulated, tmp_path, capsys, content):
    out, journal = interrupted(simulated, tmp_path)
    journal.write_text(content)
    simulated()
    assert search_live(out=out).resumed == 0
    (aside,) = set(tmp_path.iterdir()) - {out}
    assert aside.read_text() == content and aside.name in capsys.readouterr().err


@pytest.mark.parametrize(
    "changed", [{"latency_ms": "x"}, {"latency_ms": -5.0}, {"latency_ms": math.nan}, {"reference_ms": 0.0},
                {"arch": 15_625}, {"host": "other board"}, {"confirmed": ["a"]}],
)  # fmt: skip
def test_a_journal_with_values_that_no_search_writes_is_set_aside(simulated, tmp_path, capsys, changed):
    out, journal = interrupted(simulated, tmp_path)
    content = json.loads(journal.read_text())
    (content if "confirmed" in changed else content["measurements"][1]).update(changed)
    journal.write_text(json.dumps(content))
    simulated()
    assert search_live(out=out).resumed == 0 and "is damaged" in capsys.readouterr().err


def test_the_line_of_a_measurement_names_the_failure_or_an_unstable_latency():
    arch = 7
    assert live.line(failed(arch, "no such operator"), 3, 10).startswith("  3 of 10  failed: no such operator")
    unstable = measure.Measurement(arch, 1.5, spread=0.2, stable=False)
    assert "0.750 ms ± 0.0 %, corrected: the machine takes 2.00 of its usual time" in live.line(
        measure.Measurement(arch, 1.5), 3, 10, 2.0
    )
    assert "1.500 ms ± 20.0 %, unstable: the machine is busy" in live.line(unstable, 3, 10)
    assert live.line(unstable, 3, 10).endswith(space.to_string(arch))
