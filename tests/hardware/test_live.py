"""Searches on hardware: ten real measurements, interruptions, journals, and settings that are wrong."""

import json
import math
import re
import signal
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from simmore import space
from simmore.errors import MissingPackage
from simmore.hardware import live, measure, runtimes
from simmore.hardware.worker import failed
from simmore.strategies import MeasurementFailed, Session

FP32 = measure.Configuration()
# the command line on a machine that measures 1 ms + arch / 1000; it hangs at its third cell if told to
SIMULATED = """
import signal, sys, threading
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may start tests in the background, which ignore it
from simmore.__main__ import main
from simmore.hardware import measure
measured = 0

def measure_many(archs, wanted, **settings):
    global measured
    measured += 1
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


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
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
    """A machine that measures 1 ms + arch / 1000; cells for which `fails` is true fail, and after `n` it is gone."""

    def simulate(fails=lambda arch: False, n=math.inf):
        measured = []

        def measure_many(archs, wanted, **settings):
            if len(measured) == n:
                raise ConnectionError("the machine is gone")
            measured.extend(archs)
            return [failed(a, "no such operator") if fails(a) else measure.Measurement(a, 1 + a / 1000) for a in archs]

        monkeypatch.setattr(measure, "measure_many", measure_many)

    monkeypatch.setattr(runtimes.Configuration, "check", lambda self: None)
    monkeypatch.setattr(runtimes.Configuration, "versions", lambda self: {})
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


def test_a_search_in_which_every_cell_fails_is_an_error_that_names_the_reason(simulated, own_cache):
    simulated(fails=lambda arch: True)
    for strategy in ("random", "expected_improvement"):
        with pytest.raises(measure.CannotMeasure, match=r"none of the \d+ measured cells runs .*: no such operator$"):
            live.search_live(FP32, Session(strategy), strategy=strategy, seed=0, progress=False)
    assert not list(own_cache.rglob("*.json"))


def test_a_search_whose_machine_is_gone_continues_with_what_it_has_measured(simulated):
    simulated(n=2)
    with pytest.raises(MeasurementFailed, match="after 2 steps: the machine is gone"):
        search_live()
    simulated()
    assert search_live().resumed == 2


def test_the_journal_of_a_search_with_other_settings_is_kept_and_not_used(simulated, tmp_path, capsys):
    out = tmp_path / "t.csv"
    simulated(n=2)
    with pytest.raises(MeasurementFailed):
        search_live(out=out)
    (journal,) = tmp_path.iterdir()
    simulated()
    assert search_live(budget=3, out=out).resumed == 0
    assert journal.exists() and str(journal) in capsys.readouterr().err
    assert search_live(out=out).resumed == 2 and list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize("content", ['{"settings": {}}', "{", "[]", '{"measurements": [{"speed": 1}]}'])
def test_a_journal_that_cannot_be_read_is_set_aside(simulated, tmp_path, capsys, content):
    out = tmp_path / "t.csv"
    simulated(n=2)
    with pytest.raises(MeasurementFailed):
        search_live(out=out)
    (journal,) = tmp_path.iterdir()
    journal.write_text(content)
    simulated()
    assert search_live(out=out).resumed == 0
    (aside,) = set(tmp_path.iterdir()) - {out}
    assert aside.read_text() == content and str(aside) in capsys.readouterr().err


def test_the_line_of_a_measurement_names_the_failure_or_an_unstable_latency():
    arch = 7
    assert live.line(failed(arch, "no such operator"), 3, 10).startswith("  3 of 10  failed: no such operator")
    unstable = measure.Measurement(arch, 1.5, spread=0.2, stable=False)
    assert "1.500 ms ± 20.0 %, unstable: the machine is busy" in live.line(unstable, 3, 10)
    assert live.line(unstable, 3, 10).endswith(space.to_string(arch))
