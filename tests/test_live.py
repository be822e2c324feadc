"""``search --live``: ten real measurements, and what goes wrong on the way."""

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from simmore import space
from simmore.errors import MissingPackage
from simmore.hardware import live, measure, runtimes
from simmore.strategies import loop

onnxruntime = pytest.importorskip("onnxruntime")


def command(*arguments):
    return [sys.executable, "-m", "simmore", "search", "--live", "onnxruntime", *arguments]


def run(*arguments, cwd):
    return subprocess.run(command(*arguments), capture_output=True, text=True, cwd=cwd, timeout=170)


def test_ten_measurements_an_answer_and_its_file(tmp_path):
    started = time.monotonic()
    done = run("--threads", "1", "--budget", "10", "--export", "best.onnx", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - started < 60  # 30 s on an idle machine, see the README
    assert re.search(r"^ 10 of 10 +\d+\.\d+ ms ± ", done.stdout, re.M) and "ms on onnxruntime_fp32" in done.stdout
    assert done.stdout.count("validation accuracy") == 3 and "all 15,625 cells would take" in done.stdout
    steps = pd.read_csv(tmp_path / "trajectory.csv")
    assert steps["measured"].max() == 10 and (steps["latency_ms"] > 0).all() and "spread" in steps
    session = onnxruntime.InferenceSession(tmp_path / "best.onnx", providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].shape == [1, 3, 32, 32] and "differs from torch" in done.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best.onnx", "trajectory.csv"]


def interrupt(tmp_path, how):
    """Start a search, and end it after some measurements; gives what it said."""
    process = subprocess.Popen(
        command("--budget", "10", "--strategy", "random"),
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    journal = live.journal_of(tmp_path / "trajectory.csv")
    for _ in range(600):
        if journal.exists() and len(json.loads(journal.read_text())["measurements"]) >= 2:
            break
        time.sleep(0.02)
    process.send_signal(how)
    said = process.communicate(timeout=60)
    return process.returncode, said[1], json.loads(journal.read_text())["measurements"]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_search_goes_on_where_it_was(tmp_path, how):
    status, said, kept = interrupt(tmp_path, how)
    assert 2 <= len(kept) < 10
    if how == signal.SIGINT:
        assert status == 130 and "what was measured is kept" in said and "Traceback" not in said
    done = run("--budget", "10", "--strategy", "random", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"resumed       {len(kept)} cells" in done.stdout
    steps = pd.read_csv(tmp_path / "trajectory.csv").set_index("arch")["latency_ms"]
    assert all(steps[row["arch"]] == pytest.approx(row["latency_ms"]) for row in kept)
    assert not live.journal_of(tmp_path / "trajectory.csv").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--threads", "999"], "more than the"),
        (["--batch", "0"], "batch is a whole number"),
        (["--precision", "fp64"], "precision"),
        (["--out", "nowhere/t.csv"], "does not exist"),
        (["--export", "nowhere/best.onnx"], "does not exist"),
        (["--out", "."], "is a folder"),
        (["--device", "mean"], "one of them"),
        (["--resource", "raspi5"], "name their scheduler's address"),
        (["--dask", "tcp://127.0.0.1:9"], "no Dask scheduler answers"),
        (["--limit-seconds", "0"], "positive number of seconds"),
    ],
)
def test_wrong_input_is_one_sentence_without_a_traceback(arguments, says, tmp_path):
    done = run(*arguments, cwd=tmp_path)
    assert done.returncode == 2 and says in done.stderr and "Traceback" not in done.stderr, done.stderr
    assert done.stdout == "" and not list(tmp_path.iterdir())


def test_a_folder_that_may_not_be_written():
    with pytest.raises(OSError, match="can't be written"):
        live.check_writable(Path("/proc/t.csv"))  # not even by root


def test_a_file_in_the_place_of_a_folder(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="does not exist"):
        live.check_writable(tmp_path / "file" / "t.csv")


def test_a_runtime_that_is_not_installed_says_which_command_installs_it(tmp_path, monkeypatch):
    absent = runtimes.Runtime(runtimes.RUNTIMES["openvino"].compile, ("openvino-of-tomorrow",))
    monkeypatch.setitem(runtimes.RUNTIMES, "openvino", absent)
    wanted = measure.Configuration("openvino")
    with pytest.raises(MissingPackage, match=r"pip install 'simmore\[measure\]'"):
        live.search_live(wanted, loop.random_search, strategy_name="random", out=tmp_path / "t.csv")


def test_cells_that_fail_are_not_the_search_s_end(tmp_path, monkeypatch):
    """Every other cell fails on this machine: the search goes on, and its answer is one that runs."""
    device_measure = measure.measure_many

    def half(archs, *arguments, **settings):
        if archs[0] % 2:
            return [measure.Measurement(archs[0], np.inf, reason="no such operator")]
        return device_measure(archs, *arguments, **settings)

    monkeypatch.setattr(measure, "measure_many", half)
    ended = live.search_live(
        measure.Configuration(), loop.random_search, strategy_name="random", out=tmp_path / "t.csv", progress=False
    )
    assert ended.found.arch % 2 == 0 and np.isfinite(ended.found.latency_ms)
    assert np.isinf(ended.found.trajectory["latency_ms"]).any()


def test_a_journal_of_other_settings_or_of_nonsense_is_not_read(tmp_path):
    out = tmp_path / "t.csv"
    for content in ('{"settings": {}, "measurements": []}', "{", "[]", '{"settings": 1}'):
        live.journal_of(out).write_text(content)
        ended = live.search_live(
            measure.Configuration(), loop.random_search, strategy_name="random", out=out, budget=2, progress=False
        )
        assert ended.resumed == 0 and ended.found.measurements == 2
    assert ended.seconds_for_everything() > 100
    assert space.to_string(ended.found.arch) in live.line(ended.answer, 1, 2)
