"""The command line: its output, its files and its exit status."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from simmore import space
from simmore.__main__ import main


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Runs a command in this process, in an empty folder; gives its exit status, output and errors."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["simmore", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        said = capsys.readouterr()
        return subprocess.CompletedProcess(arguments, end.value.code or 0, said.out, said.err)

    return run


@pytest.fixture
def succeed(run):
    def succeed(*arguments):
        done = run(*arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return succeed


def test_the_module_runs_as_a_program_and_refuses_in_one_sentence():
    for arguments, status in ((["strategies"], 0), (["search", "--device", "raspi5"], 2)):
        done = subprocess.run([sys.executable, "-m", "simmore", *arguments], capture_output=True, text=True)
        assert done.returncode == status and "Traceback" not in done.stderr


def test_a_search_prints_the_recommendation_and_writes_only_where_it_is_told(tmp_path, succeed):
    said = succeed("search", "--device", "nats_gpu", "--budget", 4, "--start", "421211")
    assert (
        "of 4 cells" in said
        and "\nImageNet16-120 " in said
        and "validation accuracy" in said
        and "ms on nats_gpu" in said
    )
    assert not list(tmp_path.iterdir())
    succeed("search", "--device", "nats_gpu", "--budget", 4, "--start", "421211", "--out", "t.csv")
    steps = pd.read_csv(tmp_path / "t.csv")
    assert steps["arch"].iloc[0] == 0 and steps["n_measured"].max() <= 4
    assert [file.name for file in tmp_path.iterdir()] == ["t.csv"]


def test_a_search_as_json_is_one_object(succeed):
    said = succeed("search", "--device", "nats_gpu", "--top", 3, "--dataset", "cifar100", "--json")
    found = json.loads(said)
    best = found["recommendation"]
    assert best["arch_str"] == space.to_string(best["arch"]) and len(found["top"]) == 3
    assert found["top"][0]["arch"] == best["arch"] and found["n_measured"] <= 10


def test_a_users_table_is_searched(tmp_path, succeed):
    table = pd.DataFrame({"arch": np.arange(15_625), "latency_ms": np.linspace(1, 2, 15_625)})
    table.to_csv(tmp_path / "mine.csv", index=False)
    assert "on mine" in succeed("search", "--latency-table", "mine.csv", "--strategy", "random")


def test_a_limit_that_no_measured_cell_meets_is_no_success(tmp_path, run, succeed):
    kept = succeed("search", "--device", "nats_gpu", "--max-latency", 14)
    assert float(kept.split("latency")[1].split()[0]) <= 14
    missed = run("search", "--device", "nats_gpu", "--max-latency", 0.001, "--budget", 3, "--out", "t.csv")
    assert missed.returncode == 1 and "no cell within 0.001 ms among the 3 measured" in missed.stdout
    assert pd.read_csv(tmp_path / "t.csv")["arch"].nunique() == 3
    as_json = run("search", "--device", "nats_gpu", "--max-latency", 0.001, "--budget", 3, "--json")
    assert as_json.returncode == 1 and json.loads(as_json.stdout)["recommendation"] is None


def test_parameters_are_limited(succeed):
    from simmore import data

    found = json.loads(succeed("search", "--device", "nats_gpu", "--max-params", 0.5, "--json"))
    assert data.parameters()[found["recommendation"]["arch"]] <= 0.5


@pytest.mark.parametrize("strategy", ["controller", "paper", "lut_evolution"])
def test_other_strategies_are_chosen_by_name(strategy, succeed):
    assert "cells" in succeed("search", "--device", "mean", "--strategy", strategy)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--device", "raspi5"], "no device 'raspi5'"),
        (["--device", "nats_gpu", "--budget", "0"], "from 1 to 15625"),
        (["--device", "nats_gpu", "--start", "99999"], "no cell of the search space"),
        (["--device", "nats_gpu", "--strategy", "luck"], "no strategy 'luck'"),
        (["--device", "nats_gpu", "--strategy", "nobody.safetensors"], "nobody.safetensors"),
        (["--device", "nats_gpu", "--out", "nowhere/t.csv"], "does not exist"),
        (["--device", "nats_gpu", "--weight", "0"], "weight of latency"),
        (["--device", "nats_gpu", "--dataset", "mnist"], "mnist"),
        (["--latency-table", "missing.csv"], "missing.csv"),
        (["--device", "nats_gpu", "--max-latency", "-1"], "positive number of ms"),
        ([], "name one of --device, --latency-table and --live"),
    ],
)
def test_wrong_input_is_one_sentence_without_a_traceback(arguments, says, tmp_path, run):
    done = run("search", *arguments)
    assert done.returncode == 2 and says in done.stderr and "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


# measuring by hand


def test_suggest_starts_with_no_measurements(tmp_path, succeed):
    for arguments in ([], ["absent.csv"]):
        found = json.loads(succeed("suggest", *arguments, "--json"))
        assert found["n_measured"] == 0 and found["recommendation"] is None and len(found["next"]) == 1
    (tmp_path / "empty.csv").write_text("arch,latency_ms\n")
    assert "measure next" in succeed("suggest", "empty.csv")
    batch = json.loads(succeed("suggest", "empty.csv", "--batch", 5, "--json"))["next"]
    assert len({one["arch"] for one in batch}) == 5


def test_the_csv_is_the_session_to_the_end_of_a_search(tmp_path, gpu_table, succeed):
    rows, expected = ["arch,latency_ms"], []
    for _ in range(6):
        (tmp_path / "measured.csv").write_text("\n".join(rows) + "\n")
        found = json.loads(succeed("suggest", "measured.csv", "--json"))
        arch = found["next"][0]["arch"]
        assert str(arch) not in [row.split(",")[0] for row in rows]
        if found["recommendation"]:
            expected.append(found["recommendation"]["expected_regret"])
        rows.append(f"{arch},{gpu_table[arch]}")
    assert found["n_measured"] == 5 and len(expected) == 5 and expected[-1] < expected[0]


def test_repeated_rows_are_combined_and_failed_cells_are_not_recommended(tmp_path, succeed):
    (tmp_path / "m.csv").write_text("arch,latency_ms\n12970,5.0\n12970,7.0\n12970,90.0\n14112,failed\n0,20\n")
    found = json.loads(succeed("suggest", "m.csv", "--json"))
    assert found["n_measured"] == 3 and found["recommendation"]["latency_ms"] == 7.0
    assert found["next"][0]["arch"] not in (12970, 14112, 0)
    assert "1 of them failed" in succeed("suggest", "m.csv")


def test_suggest_writes_the_networks_to_measure(tmp_path, run, succeed):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("flatbuffers")
    found = json.loads(succeed("suggest", "--batch", 2, "--export", "nets", "--json"))
    for one in found["next"]:
        onnx, tflite = one["files"]
        session = onnxruntime.InferenceSession(str(tmp_path / onnx), providers=["CPUExecutionProvider"])
        assert session.run(None, {"image": np.zeros((1, 3, 32, 32), np.float32)})[0].shape == (1, 10)
        assert (tmp_path / tflite).read_bytes()[4:8] == b"TFL3"


def test_suggest_goes_on_and_recommends_nothing_when_every_cell_failed(tmp_path, succeed):
    (tmp_path / "m.csv").write_text("arch,latency_ms\n0,failed\n5,failed\n")
    said = succeed("suggest", "m.csv")
    assert "nothing: every measured cell failed" in said and "measure next" in said


def test_a_wrong_row_is_named(tmp_path, run):
    (tmp_path / "m.csv").write_text("arch,latency_ms\n0,5.0\nabc,7.0\n")
    done = run("suggest", "m.csv")
    assert done.returncode == 2 and "row 3" in done.stderr and "Traceback" not in done.stderr


# lists


def test_devices_and_strategies_are_listed(succeed):
    from simmore import data
    from simmore.strategies import STRATEGIES

    said = succeed("devices")
    assert all(name in said for name in (*data.MEASURED, *data.BENCHMARKED, "nats_gpu", "raspi4_lut"))
    said = succeed("strategies")
    assert len(said.splitlines()) == len(STRATEGIES) and "knows nothing of other devices" in said
