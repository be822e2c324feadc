"""The project's own measured devices: their tables and cards, how they are made, and how alike they are."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest

from simmore import data, devices, paths, space
from simmore.errors import DataError, TableMissing
from simmore.experiments import likeness
from simmore.hardware import benchmarked, drift, repeatability, runtimes


@pytest.mark.parametrize("name", data.OWN)
def test_every_table_has_all_cells_and_a_card(name):
    device = devices.load(name)
    latency = device.latency_ms(np.arange(space.N_ARCHS))
    assert latency.shape == (space.N_ARCHS,) and (latency > 0).all() and np.isfinite(latency).mean() > 0.99
    skip, small, large = device.latency_ms(space.single_operation_archs()[1:4])
    assert skip < small < large
    card = data.own_card(name)
    assert card["cells"] == space.N_ARCHS and card["threads"] == card["batch"] == 1
    assert {"machine", "versions", "date", "method", "spread_quantiles"} <= set(card)
    assert len(card["failed"]) == np.isinf(latency).sum()
    assert card["repeatability"]["cells"] >= 45 and card["repeatability"]["kendall"] >= 0.9
    assert card["same_network"]["pairs"] > 2000 and card["same_network"]["median_difference"] < 0.05
    assert drift.median_difference(latency) == pytest.approx(card["same_network"]["median_difference"], abs=1e-4)
    assert (paths.TABLES / f"latency_{name}.npz").stat().st_size < 1_000_000


def test_every_runtime_gives_the_same_order_twice():
    table = pd.read_csv(repeatability.TABLE).set_index(["runtime", "precision"])
    every = {(name, kind) for name, one in runtimes.RUNTIMES.items() for kind in one.precisions}
    assert set(table.index) == every and (table["cells"] == repeatability.CELLS).all()
    assert (table["kendall"] >= 0.9).all()


def test_agreement_of_known_measurements():
    first = np.arange(1.0, 11)
    twice = pd.DataFrame({"first_ms": first, "second_ms": 1.1 * first})
    assert repeatability.agreement(twice) == {"cells": 10, "kendall": 1.0, "median_difference": 0.1}
    twice.loc[0, "second_ms"] = np.inf
    twice.loc[1, "second_ms"] = 100
    assert repeatability.agreement(twice)["cells"] == 9 and repeatability.agreement(twice)["kendall"] < 1


def test_an_altered_table_is_not_read(tmp_path, monkeypatch):
    content = (paths.TABLES / "latency_onnxruntime_fp32.npz").read_bytes()
    monkeypatch.setattr(paths, "TABLES", tmp_path)
    monkeypatch.setattr(data, "fetch", lambda name: tmp_path / "latency_onnxruntime_fp32.npz")
    data.latency_table.cache_clear()
    (tmp_path / "latency_onnxruntime_fp32.npz").write_bytes(content[:5000])
    with pytest.raises(DataError, match=r"truncated or altered.*make own-devices"):
        data.latency_table("onnxruntime_fp32")
    latency = np.full(space.N_ARCHS, np.nan)
    np.savez(tmp_path / "latency_onnxruntime_fp32.npz", latency_ms=latency)
    with pytest.raises(DataError, match="positive latencies"):
        data.latency_table("onnxruntime_fp32")
    with pytest.raises(DataError, match="no card"):
        data.own_card("onnxruntime_fp32")
    data.latency_table.cache_clear()


def test_without_tables_real_hardware_is_still_there(monkeypatch):
    def missing(name):
        raise TableMissing(name)

    real = data.latency_table
    monkeypatch.setattr(data, "latency_table", lambda name: real(name) if name in data.OWN else missing(name))
    assert [device.name for device in devices.test_devices()] == list(data.OWN)


def test_measuring_goes_on_where_it_was_killed(tmp_path):
    """Killed in the middle, started again: complete, no part measured twice, and the card says how it was made."""
    pytest.importorskip("onnxruntime")
    program = (
        "import sys, numpy as np; from pathlib import Path; from simmore import own_devices\n"
        "folder = Path(sys.argv[1])\n"
        "own_devices.measure_all('onnxruntime_fp32', archs=np.arange(0, 15000, 150), n_jobs=1, progress=False,\n"
        "    folder=folder / 'parts', out=folder / 'table.npz')"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    process = subprocess.Popen(command)
    parts = tmp_path / "parts" / "onnxruntime_fp32"
    for _ in range(1000):
        if parts.is_dir() and any(parts.glob("*.json")):
            break
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    done = {path.name: path.stat().st_mtime_ns for path in parts.glob("*.json")}
    assert 1 <= len(done) < 4 and not (tmp_path / "table.npz").exists()
    subprocess.run(command, check=True, timeout=120)
    assert all((parts / name).stat().st_mtime_ns == then for name, then in done.items())
    with np.load(tmp_path / "table.npz") as table:
        latency = table["latency_ms"]
        assert set(table.files) == set(benchmarked.COLUMNS)
    measured = np.arange(0, 15000, 150)
    assert np.isfinite(latency[measured]).all() and np.isnan(np.delete(latency, measured)).all()
    card = json.loads((tmp_path / "table.json").read_text())
    assert card["cells"] == 100 and card["repeatability"]["cells"] == 50 and card["machine"]["processor"]


def test_what_cannot_be_measured_is_said(tmp_path):
    with pytest.raises(ValueError, match="choose one of onnxruntime_fp32"):
        benchmarked.measure_all("tensorrt_fp16", out=tmp_path / "t.npz")
    with pytest.raises(ValueError, match="needs an `out`"):
        benchmarked.measure_all("onnxruntime_fp32", archs=[1, 2])


def test_kendall_of_known_orders():
    cells = np.arange(space.N_ARCHS, dtype=np.float64)
    failed = cells.copy()
    failed[::2] = np.inf
    found = likeness.kendall({"up": cells + 1, "down": 20_000 - cells, "failed": failed + 1})
    tau = found.set_index(["device_a", "device_b"])["kendall"]
    assert len(found) == 9 and tau["up", "up"] == 1
    assert tau["up", "down"] == pytest.approx(-1) and tau["down", "up"] == pytest.approx(-1)
    assert tau["failed", "up"] == pytest.approx(1)


def test_a_device_that_the_distribution_draws_is_within_it(synthetic):
    mean = synthetic.mean_device()
    fast = devices.AdditiveDevice("a tenth of it", synthetic.mean_ms / 10)
    strange = devices.AdditiveDevice("pools only", np.array([1e-3, 1e-3, 1e-3, 1e-3, 5.0]))
    found = likeness.within(synthetic, [mean, fast, strange], n=20_000)
    inside = found.groupby("device")["within"].first()
    assert inside["mean"] and inside["a tenth of it"] and not inside["pools only"]
    assert isinstance(found, pd.DataFrame) and found["percentile"].between(0, 100).all()
    by_device = found.set_index(["device", "operation"])
    assert by_device.loc[("pools only", "avg_pool_3x3"), "share_percentile"] == 100
    sums = found.groupby("device")["share"].sum()
    np.testing.assert_allclose(sums, 1)
