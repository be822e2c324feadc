import subprocess
import sys

import numpy as np
import pandas as pd
import pytest


def run(*arguments, cwd):
    return subprocess.run(
        [sys.executable, "-m", "simmore", *arguments], capture_output=True, text=True, cwd=cwd, timeout=120
    )


def test_a_search_prints_the_answer_and_writes_the_trajectory(tmp_path):
    done = run("search", "--device", "nats_gpu", "--budget", "4", "--start", "421211", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "of 4 cells" in done.stdout and "validation accuracy" in done.stdout and "ms on nats_gpu" in done.stdout
    steps = pd.read_csv(tmp_path / "trajectory.csv")
    assert steps["arch"].iloc[0] == 0 and steps["measured"].max() <= 4


def test_a_users_table(tmp_path):
    table = pd.DataFrame({"arch": np.arange(15_625), "latency_ms": np.linspace(1, 2, 15_625)})
    table.to_csv(tmp_path / "mine.csv", index=False)
    done = run("search", "--latency-table", "mine.csv", "--strategy", "random", "--out", "t.csv", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "on mine" in done.stdout and (tmp_path / "t.csv").exists()


def test_a_limit_is_kept_or_said_to_be_missed(tmp_path):
    kept = run("search", "--device", "nats_gpu", "--max-latency", "14", "--budget", "10", cwd=tmp_path)
    assert kept.returncode == 0 and float(kept.stdout.split("latency")[1].split()[0]) <= 14
    missed = run("search", "--device", "nats_gpu", "--max-latency", "0.001", "--budget", "3", cwd=tmp_path)
    assert missed.returncode == 0 and "no cell within 0.001 ms among the 3 measured" in missed.stdout
    assert pd.read_csv(tmp_path / "trajectory.csv")["arch"].nunique() == 3


@pytest.mark.parametrize("strategy", ["controller", "paper", "lut_evolution"])
def test_other_strategies_by_their_names(strategy, tmp_path):
    done = run("search", "--device", "mean", "--strategy", strategy, cwd=tmp_path)
    assert done.returncode == 0 and "of 10 cells" in done.stdout, done.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--device", "raspi5"], "no device 'raspi5'"),
        (["--device", "nats_gpu", "--budget", "0"], "from 1 to 15625"),
        (["--device", "nats_gpu", "--start", "99999"], "no cell of the search space"),
        (["--device", "nats_gpu", "--strategy", "luck"], "no strategy 'luck'"),
        (["--device", "nats_gpu", "--out", "nowhere/t.csv"], "does not exist"),
        (["--device", "nats_gpu", "--controller", "nobody"], "no controller 'nobody'"),
        (["--latency-table", "missing.csv"], "missing.csv"),
        (["--device", "nats_gpu", "--max-latency", "-1"], "positive number of ms"),
        ([], "name a --device, a --latency-table or a --live runtime"),
    ],
)
def test_wrong_input_is_one_sentence_without_a_traceback(arguments, says, tmp_path):
    done = run("search", *arguments, cwd=tmp_path)
    assert done.returncode == 2 and says in done.stderr and "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())
