"""The benchmarked runtimes: their tables and metadata, and how they are made."""

import dataclasses
import json
import os

import numpy as np
import pytest

from simmore import data, paths, space
from simmore.hardware import benchmarked, repeatability
from simmore.hardware.worker import Measurement, failed


@pytest.mark.parametrize("name", [*data.BENCHMARKED, *data.BLIND])
def test_every_table_has_its_cells_and_its_metadata(name):
    file = paths.TABLES / f"latency_{name}.npz"
    metadata = data.benchmark_metadata(name)
    assert {"machine", "versions", "dates", "method", "drift"} <= set(metadata) and file.stat().st_size < 1_000_000
    with np.load(file) as content:
        table = dict(content)
    assert set(table) == set(benchmarked.COLUMNS) == set(metadata["columns"])
    latency, readings = table["latency_ms"], table["readings_ms"]
    there = ~np.isnan(latency)
    assert there.sum() == metadata["cells"] == (space.N_ARCHS if name in data.BENCHMARKED else there.sum()) >= 3000
    assert (latency[there] > 0).all() and np.isfinite(latency[there]).mean() > 0.99
    assert len(readings) == benchmarked.passes(name)
    np.testing.assert_array_equal(latency, benchmarked._combined(readings))
    assert (np.isfinite(readings).sum(axis=0) == len(readings))[space.single_operation_archs()].all()
    skip, small, large = latency[space.single_operation_archs()[1:4]]
    assert skip < small < large
    repeated = metadata["repeatability"]
    assert repeated["cells"] >= 290 and repeated["kendall"] >= 0.9
    assert repeated["kendall_interval"][0] <= repeated["kendall"] <= repeated["kendall_interval"][1]
    assert metadata["drift"]["cells"] >= 290 and metadata["drift"]["corrected"] < 0.05
    assert ("blind" in metadata) == (name in data.BLIND)


def test_a_spike_of_one_reading_is_not_in_the_table():
    nothing = np.nan
    readings = np.array([[6.0, 2.0, 5.0, np.inf, np.inf, 3.0, nothing], [3.0, nothing, 4.0, np.inf, 2.0, 3.1, nothing]])
    np.testing.assert_array_equal(benchmarked._combined(readings), [3, 2, 4, np.inf, 2, 3, nothing])
    three = np.array([[6.0], [3.0], [3.1]])
    assert benchmarked._combined(three) == 3.1 and benchmarked._agree(three) and not benchmarked._agree(three[:2])


def test_the_robust_fit_does_not_follow_spikes():
    archs = np.arange(0, space.N_ARCHS, 5)
    live = np.array([space.live_ops(arch) for arch in archs.tolist()])
    true = 1 + 0.1 * (live == 2).sum(axis=1) + 0.3 * (live == 3).sum(axis=1)
    spiked = true.copy()
    spiked[::50] *= 2
    np.testing.assert_allclose(benchmarked.robust_fit(archs, spiked), true, rtol=1e-6)


def test_a_sample_has_a_fifth_of_the_cells_and_all_kinds_in_proportion():
    cells = benchmarked.cells_of("ncnn_fp32")
    assert len(cells) >= 3000 and set(space.single_operation_archs()) <= set(cells)
    counts, everything = (space.operation_counts(each).mean(axis=0) for each in (cells, np.arange(space.N_ARCHS)))
    np.testing.assert_allclose(counts, everything, atol=0.03)
    np.testing.assert_array_equal(benchmarked.cells_of("onnxruntime_fp32"), np.arange(space.N_ARCHS))


def test_cells_with_the_same_layers_are_measured_once_but_in_pytorch():
    cells, networks = benchmarked.cells_of("ncnn_fp32"), benchmarked.networks_of("ncnn_fp32")
    assert len(np.unique(networks)) < len(cells) and set(networks) <= set(cells)
    assert all(space.live_ops(a) == space.live_ops(b) for a, b in zip(cells.tolist(), networks.tolist(), strict=True))
    np.testing.assert_array_equal(benchmarked.networks_of("torch_fp32"), benchmarked.cells_of("torch_fp32"))


def test_agreement_of_known_measurements_leaves_out_cells_that_failed():
    archs, first = np.arange(100), np.linspace(1.0, 10, 100)
    found = repeatability.agreement(first, 1.1 * first, archs)
    assert found["cells"] == 100 and found["kendall"] == 1 and found["regret"] == 0
    assert found["median_difference"] == pytest.approx(np.log(1.1), abs=1e-4) and found["kendall_interval"] == [1, 1]
    second = 1.1 * first
    second[:2] = np.inf, 100
    found = repeatability.agreement(first, second, archs)
    assert found["cells"] == 99 and found["kendall"] < 1 and found["kendall_interval"][0] < found["kendall"]


def test_noise_that_hides_the_best_cell_is_a_regret():
    rng = np.random.default_rng(0)
    archs, first = np.arange(300), rng.uniform(1, 10, 300)
    assert repeatability.agreement(first, rng.permutation(first), archs)["regret"] > 0.1


class Machine:
    """Workers that measure a latency of 1 ms + arch / 1000 at once, until the machine fails."""

    def __init__(self, jobs, host="board", spike=None):
        self.jobs, self.host, self.spike, self.measured = jobs, host, spike, []

    def __call__(self, wanted):
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def measure(self, archs, seed):
        if not self.jobs:
            raise OSError("the power is gone")
        self.jobs -= 1
        self.measured += archs
        return [dataclasses.replace(self._one(arch), reference_ms=2.0, host=self.host) for arch in archs]

    def _one(self, arch):
        if arch == 150:
            return failed(arch, "no such operator")
        return Measurement(arch, (1 + arch / 1000) * (3 if arch == self.spike else 1), runs=10)


@pytest.fixture
def measured(monkeypatch, tmp_path):
    """Measures a small table; the chunks are in `tmp_path`."""
    pytest.importorskip("onnxruntime")
    cells = np.arange(0, 15000, 150)
    monkeypatch.setattr(benchmarked, "cells_of", lambda name: cells)
    monkeypatch.setattr(benchmarked, "networks_of", lambda name: cells)

    def measure(*machines):
        for number, machine in enumerate(machines):
            monkeypatch.setattr(benchmarked, "Worker", machine)
            benchmarked.measure_pass("onnxruntime_fp32", number, n_jobs=1, progress=False, folder=tmp_path)

    measure.cells = cells
    return measure


def test_an_interrupted_pass_measures_the_missing_chunks_only(measured, tmp_path):
    first, second = Machine(jobs=2), Machine(jobs=99)
    with pytest.raises(OSError, match="the power is gone"):
        measured(first)
    measured(second)
    assert len(first.measured) == len(second.measured) == 50
    assert set(first.measured) | set(second.measured) == set(measured.cells.tolist())


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b'[{"arch": 1}]'])
def test_a_damaged_chunk_is_set_aside_and_measured_again(measured, tmp_path, content, capsys):
    measured(Machine(jobs=99))
    file = next(tmp_path.rglob("*.json"))
    file.write_bytes(content)
    again = Machine(jobs=99)
    measured(again)
    assert len(again.measured) == 25 and file.with_name(f"{file.name}.unreadable").read_bytes() == content
    assert file.name in capsys.readouterr().err


def test_a_spike_in_the_first_pass_is_measured_again_and_not_in_the_table(measured, tmp_path):
    spike = int(measured.cells[77])
    measured(Machine(jobs=99, spike=spike), Machine(jobs=99), Machine(jobs=99))
    assert spike in benchmarked.again("onnxruntime_fp32", tmp_path)
    out = benchmarked.write_table("onnxruntime_fp32", folder=tmp_path, out=tmp_path / "table.npz")
    with np.load(out) as content:
        table = dict(content)
    expected = np.full(space.N_ARCHS, np.nan)
    expected[measured.cells] = 1 + measured.cells / 1000
    expected[150] = np.inf
    np.testing.assert_allclose(table["latency_ms"], expected, rtol=1e-6)
    assert table["readings_ms"][0, spike] == pytest.approx(3 * expected[spike])  # all values are kept
    metadata = json.loads((tmp_path / "table.json").read_text())
    assert metadata["cells"] == 100 and metadata["failed"] == {"150": "no such operator"}
    assert metadata["changed_by_more_than_a_quarter"] == 1 and metadata["machine"]["processor"] is not None


def test_passes_of_two_machines_do_not_make_a_table(measured, tmp_path):
    measured(Machine(jobs=99), Machine(jobs=99, host="other board"), Machine(jobs=99))
    with pytest.raises(ValueError, match="measured on several machines"):
        benchmarked.write_table("onnxruntime_fp32", folder=tmp_path, out=tmp_path / "table.npz")


def test_a_table_needs_all_its_passes(measured, tmp_path):
    measured(Machine(jobs=99))
    with pytest.raises(FileNotFoundError, match="pass 1 of onnxruntime_fp32 is not complete"):
        benchmarked.write_table("onnxruntime_fp32", folder=tmp_path, out=tmp_path / "table.npz")
    assert not os.path.lexists(tmp_path / "table.npz")


def test_an_unknown_runtime_is_an_error():
    with pytest.raises(ValueError, match="choose one of onnxruntime_fp32"):
        benchmarked.measure_pass("tensorrt_fp16", 0)
    assert all(benchmarked.configuration(name).name == name for name in (*data.BENCHMARKED, *data.BLIND))
