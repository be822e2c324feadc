"""Measuring: in a process of its own that may die, hang or refuse, here or on a worker of a cluster."""

import math
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from simmore import parallel, space
from simmore.errors import MissingPackage
from simmore.hardware import cores, measure, runtimes
from simmore.hardware import worker as measuring
from simmore.hardware.worker import Worker

pytest.importorskip("onnxruntime")

SKIP, CONV_1X1, CONV_3X3 = space.single_operation_archs()[1:4].tolist()
FP32 = measure.Configuration()


@pytest.fixture(scope="module")
def worker():
    with Worker(FP32) as one:
        yield one


def test_a_measurement_is_a_latency_in_ms_with_its_spread():
    found = measure.measure(CONV_3X3, "onnxruntime", "fp32", threads=1, batch=1)
    assert found.arch == CONV_3X3 and 0.1 < found.latency_ms < 1000 and 0 <= found.spread < 1
    assert found.runs >= 10 and found.seconds > 0.02 and found.reason == ""


def test_more_work_takes_longer(worker):
    skip, small, large = worker.measure([SKIP, CONV_1X1, CONV_3X3])
    assert skip.latency_ms < small.latency_ms < large.latency_ms


def test_a_larger_batch_takes_longer():
    one, many = (measure.measure(CONV_1X1, batch=batch) for batch in (1, 8))
    assert many.latency_ms > 2 * one.latency_ms


def test_the_same_cells_twice_are_in_the_same_order(worker):
    from scipy.stats import kendalltau

    cells = np.random.default_rng(0).integers(space.N_ARCHS, size=20).tolist()
    first, second = ([one.latency_ms for one in worker.measure(cells)] for _ in range(2))
    assert kendalltau(first, second).statistic >= 0.8


def test_cells_may_be_given_in_any_way():
    names = [CONV_1X1, "222222", space.to_string(CONV_1X1)]
    assert {one.arch for one in measure.measure_many(names, FP32)} == {CONV_1X1}
    with pytest.raises(ValueError, match="no cell of the search space"):
        measure.measure("222229")


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"runtime": "tensorrt"}, "no runtime 'tensorrt': choose one of onnxruntime"),
        ({"precision": "int4"}, "fp32 and int8"),
        ({"runtime": "litert", "precision": "int8"}, "litert has the precision fp32"),
        ({"batch": 0}, "batch is a whole number of at least 1"),
        ({"batch": True}, "batch is a whole number"),
        ({"threads": -1}, "threads is a whole number"),
        ({"threads": 1000}, "more than the [0-9]+ cores"),
        ({"runtime": "ncnn", "batch": 2}, "one image at a time"),
        ({"limit_seconds": 0}, "positive number of seconds"),
        ({"resource": "raspi5"}, "name their scheduler's address"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_measured(settings, says):
    with pytest.raises(ValueError, match=says):
        measure.measure(CONV_1X1, **settings)


def test_a_runtime_that_is_not_installed_says_which_command_installs_it(monkeypatch):
    absent = runtimes.Runtime(runtimes.RUNTIMES["openvino"].compile, ("openvino-of-tomorrow",))
    monkeypatch.setitem(runtimes.RUNTIMES, "openvino", absent)
    with pytest.raises(MissingPackage, match=r"openvino-of-tomorrow.*pip install 'simmore\[measure\]'"):
        measure.measure(CONV_1X1, "openvino")


def test_a_cell_that_does_not_compile_or_run_has_a_reason(monkeypatch):
    def compile_one(arch, wanted):
        if arch == SKIP:
            raise NotImplementedError("no such operator")
        if arch == CONV_1X1:
            return lambda image: np.zeros((1, 3))
        return lambda image: np.zeros((1, 10))

    monkeypatch.setitem(runtimes.RUNTIMES, "onnxruntime", runtimes.Runtime(compile_one, ()))
    skip, small, large = measuring.measure_here([SKIP, CONV_1X1, CONV_3X3], FP32)
    assert skip.latency_ms == small.latency_ms == math.inf and math.isfinite(large.latency_ms)
    assert skip.reason == "NotImplementedError: no such operator" and "shape (1, 3)" in small.reason


def test_a_cell_that_fails_while_it_is_timed_costs_no_other(monkeypatch):
    def compile_one(arch, wanted):
        runs = iter(range(100))
        return lambda image: np.zeros((1, 10)) if arch != SKIP or next(runs) < 12 else 1 / 0

    monkeypatch.setitem(runtimes.RUNTIMES, "onnxruntime", runtimes.Runtime(compile_one, ()))
    skip, large = measuring.measure_here([SKIP, CONV_3X3], FP32)
    assert skip.latency_ms == math.inf and skip.reason.startswith("ZeroDivisionError") and large.latency_ms < math.inf


def test_a_process_that_hangs_is_ended_and_the_next_one_measures():
    pytest.importorskip("torch")
    with Worker(measure.Configuration("torch_compile"), limit_seconds=1.0) as worker:
        (found,) = worker.measure([CONV_1X1])
        assert found.latency_ms == math.inf and "did not answer within 1 s" in found.reason
        assert worker._process is None
    with Worker(FP32) as worker:
        assert math.isfinite(worker.measure([CONV_1X1])[0].latency_ms)


def test_a_process_that_dies_costs_no_other_cell(worker):
    cells = np.random.default_rng(1).integers(space.N_ARCHS, size=40).tolist()
    worker.measure([SKIP])
    process = worker._process
    killer = threading.Timer(0.3, os.kill, (process.pid, signal.SIGKILL))
    killer.start()
    found = worker.measure(cells)
    assert process.wait() == -signal.SIGKILL and worker._process is not process
    assert [one.arch for one in found] == cells and all(math.isfinite(one.latency_ms) for one in found)


def test_a_cell_whose_process_dies_is_infinite():
    with Worker(measure.Configuration("torch_compile")) as worker:
        worker._start()
        killer = threading.Timer(0.5, os.kill, (worker._process.pid, signal.SIGKILL))
        killer.start()
        (found,) = worker.measure([CONV_3X3])
    assert found.latency_ms == math.inf and "signal 9" in found.reason


def test_two_measurements_never_share_a_core():
    """One measures on every core, for long enough; there is none left for another, and then there is again."""
    homes = cores.usable_cores()
    program = (
        "import time; from simmore import cores\n"
        "with cores.reserved(1) as mine: print(*mine, flush=True); time.sleep(99)"
    )
    others = [subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) for _ in homes]
    try:
        assert sorted(int(one.stdout.readline()) for one in others) == homes
        with pytest.raises(measure.CannotMeasure, match="never share a core"), cores.reserved(1, patience_seconds=0.5):
            pass
    finally:
        for one in others:
            one.kill()
            one.wait()
    with cores.reserved(1, patience_seconds=5) as mine:
        assert cores.usable_cores() == mine
    assert cores.usable_cores() == homes


def test_who_waits_is_next():
    """Two others take every core again and again: one who waits gets its turn before either has another."""
    program = (
        "import time; from simmore import cores\n"
        "for turn in range(1000):\n"
        "    with cores.reserved(len(cores.usable_cores())): print(turn, flush=True); time.sleep(0.2)"
    )
    others = [subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    try:
        assert all(one.stdout.readline() == "0\n" for one in others)
        started = time.monotonic()
        with cores.reserved(1, patience_seconds=20):
            assert time.monotonic() - started < 3
    finally:
        for one in others:
            one.kill()
            one.wait()


def test_a_live_device_measures_each_cell_once():
    seen = []
    device = measure.LiveDevice(FP32, on_measurement=seen.append)
    twice = device.latency_ms(np.array([[SKIP, SKIP], [CONV_1X1, SKIP]]))
    assert twice.shape == (2, 2) and len(seen) == 2 and twice[0, 0] == twice[1, 1]
    assert device.latency_ms(SKIP).shape == () and len(seen) == 2
    assert device.name == "onnxruntime_fp32"
    known = measure.LiveDevice(FP32, known=[measure.Measurement(SKIP, 123.0)])
    assert known.latency_ms(SKIP) == 123


def test_another_machine_behind_a_labelled_worker(monkeypatch):
    distributed = pytest.importorskip("distributed")
    monkeypatch.delenv("SIMMORE_DASK", raising=False)
    with distributed.LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as cluster:
        address = cluster.scheduler_address
        with pytest.raises(ConnectionError, match=r"no worker with the resource 'raspi5'.*--resources \"raspi5=1\""):
            measure.measure(CONV_1X1, dask=address, resource="raspi5")
        command = [sys.executable, "-m", "dask", "worker", address, "--nthreads", "1", "--no-dashboard", "--no-nanny"]
        board = subprocess.Popen([*command, "--resources", "raspi5=1"], stderr=subprocess.DEVNULL)
        try:
            with distributed.Client(address, set_as_default=False) as client:
                client.wait_for_workers(2, timeout=60)
            found = measure.measure(CONV_1X1, dask=address, resource="raspi5")
            assert math.isfinite(found.latency_ms)
            children = subprocess.run(["pgrep", "-P", str(board.pid), "-f", "measuring_process"], capture_output=True)
            assert children.stdout, "the measuring process belongs to the labelled worker"
            device = measure.LiveDevice(FP32, dask=address, resource="raspi5")
            assert math.isfinite(device.latency_ms(SKIP)) and device.name == "raspi5_onnxruntime_fp32"
            with pytest.raises(ValueError, match="cores"):
                measure.measure(CONV_1X1, threads=1000, dask=address, resource="raspi5")
        finally:
            board.terminate()
            board.wait(30)


def test_a_scheduler_that_does_not_answer(monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr(parallel, "PATIENCE_SECONDS", 0.5)
    with pytest.raises(ConnectionError, match="no Dask scheduler answers"):
        measure.measure(CONV_1X1, dask="tcp://127.0.0.1:9", resource="raspi5")


def test_the_measuring_process_goes_with_its_parent():
    program = (
        "import os; from simmore.hardware.worker import Worker; from simmore.hardware.runtimes import Configuration\n"
        "w = Worker(Configuration()); w.measure([0]); print(w._process.pid, flush=True); os.kill(os.getpid(), 9)"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout
    for _ in range(50):
        if not os.path.exists(f"/proc/{said.strip()}"):  # noqa: PTH110
            return
        time.sleep(0.1)
    pytest.fail("an orphaned measuring process is still there")
