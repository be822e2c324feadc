"""The benchmarked runtimes: their tables and metadata, and how they are made."""

import json

import numpy as np
import pandas as pd
import pytest

from simmore import data, devices, paths, space
from simmore.hardware import benchmarked, drift, repeatability, runtimes
from simmore.hardware.worker import Measurement, failed


@pytest.mark.parametrize("name", data.BENCHMARKED)
def test_every_table_has_all_cells_and_its_metadata(name):
    device = devices.load(name)
    latency = device.latency_ms(np.arange(space.N_ARCHS))
    assert latency.shape == (space.N_ARCHS,) and (latency > 0).all() and np.isfinite(latency).mean() > 0.99
    skip, small, large = device.latency_ms(space.single_operation_archs()[1:4])
    assert skip < small < large
    metadata = data.benchmark_metadata(name)
    assert metadata["cells"] == space.N_ARCHS and metadata["threads"] == metadata["batch"] == 1
    assert {"machine", "versions", "date", "method", "spread_quantiles"} <= set(metadata)
    assert len(metadata["failed"]) == np.isinf(latency).sum()
    assert metadata["repeatability"]["cells"] >= 45 and metadata["repeatability"]["kendall"] >= 0.9
    same = metadata["same_network"]
    assert same["pairs"] > 2000 and same["median_difference"] < 0.05
    assert drift.median_difference(latency) == pytest.approx(same["median_difference"], abs=1e-4)
    file = paths.TABLES / f"latency_{name}.npz"
    with np.load(file) as table:
        assert set(table.files) == set(benchmarked.COLUMNS) == set(metadata["columns"])
        assert (table["stable"] == 0).sum() == metadata["unstable"]
    assert file.stat().st_size < 1_000_000


def test_two_measurements_in_every_runtime_agree_with_a_kendall_of_at_least_0_9():
    table = pd.read_csv(repeatability.TABLE).set_index(["runtime", "precision"])
    every = {(name, kind) for name, one in runtimes.RUNTIMES.items() for kind in one.precisions}
    assert set(table.index) == every and (table["cells"] == repeatability.CELLS).all()
    assert (table["kendall"] >= 0.9).all()


def test_agreement_of_known_measurements_leaves_out_cells_that_failed():
    first = np.arange(1.0, 11)
    assert repeatability.compared(first, 1.1 * first) == {"cells": 10, "kendall": 1.0, "median_difference": 0.1}
    second = 1.1 * first
    second[:2] = np.inf, 100
    found = repeatability.compared(first, second)
    assert found["cells"] == 9 and found["kendall"] < 1


class Machine:
    """Workers that measure a latency of 1 ms + arch / 1000 at once, until the machine fails."""

    def __init__(self, jobs):
        self.jobs, self.measured = jobs, []

    def __call__(self, wanted):
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def measure(self, archs):
        if not self.jobs:
            raise OSError("the power is gone")
        self.jobs -= 1
        self.measured += archs
        return [failed(a, "no such operator") if a == 150 else Measurement(a, 1 + a / 1000, runs=10) for a in archs]


def test_an_interrupted_run_measures_the_missing_chunks_only(tmp_path, monkeypatch):
    pytest.importorskip("onnxruntime")
    cells = np.arange(0, 15000, 150)

    def measure(machine):
        for module in (benchmarked, repeatability):
            monkeypatch.setattr(module, "Worker", machine)
        folder, out = tmp_path / "chunks", tmp_path / "table.npz"
        benchmarked.measure_all("onnxruntime_fp32", archs=cells, n_jobs=1, progress=False, folder=folder, out=out)

    first, second = Machine(jobs=2), Machine(jobs=99)
    with pytest.raises(OSError, match="the power is gone"):
        measure(first)
    assert not (tmp_path / "table.npz").exists() and len(list(tmp_path.rglob("*.json"))) == 2
    measure(second)
    reference = {benchmarked.REFERENCE}
    done, rest = set(first.measured) - reference, set(second.measured[:52]) - reference
    assert len(done) == len(rest) == 50 and done | rest == set(cells.tolist())
    with np.load(tmp_path / "table.npz") as table:
        assert set(table.files) == set(benchmarked.COLUMNS)
        latency = table["latency_ms"]
    expected = np.full(space.N_ARCHS, np.nan, dtype=np.float32)
    expected[cells] = 1 + cells / 1000
    expected[150] = np.inf
    np.testing.assert_allclose(latency, expected)
    metadata = json.loads((tmp_path / "table.json").read_text())
    assert metadata["cells"] == 100 and metadata["failed"] == {"150": "no such operator"}
    assert metadata["repeatability"]["kendall"] == 1 and metadata["machine"]["processor"]


def test_an_unknown_runtime_and_a_partial_table_of_the_package_are_errors(tmp_path):
    with pytest.raises(ValueError, match="choose one of onnxruntime_fp32"):
        benchmarked.measure_all("tensorrt_fp16", out=tmp_path / "t.npz")
    pytest.importorskip("onnxruntime")
    with pytest.raises(ValueError, match="needs an `out`"):
        benchmarked.measure_all("onnxruntime_fp32", archs=[1, 2])
