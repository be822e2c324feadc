"""Measuring in a process of its own that may crash, hang or refuse, here or on a worker of a cluster."""

import contextlib
import math
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from multiprocessing import Pipe
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
from filelock import FileLock, Timeout
from scripted import Scripted

from simmore import parallel, space
from simmore.errors import MissingPackage
from simmore.hardware import cores, measure, runtimes, timing
from simmore.hardware import worker as measuring
from simmore.hardware.worker import Worker

pytest.importorskip("onnxruntime")

SKIP, CONV_1X1, CONV_3X3, POOL = space.single_operation_archs()[1:].tolist()
FP32 = measure.Configuration()


@pytest.fixture(autouse=True)
def scripted_networks_in_the_measuring_process(monkeypatch):
    folders = [str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(folders))


def test_a_measurement_is_a_latency_in_ms_with_its_spread():
    found = measure.measure(CONV_3X3, "onnxruntime", "fp32", threads=1, batch=1)
    assert found.arch == CONV_3X3 and 0 < found.latency_ms < math.inf and found.spread >= 0
    assert found.runs >= timing.ROUNDS * timing.RUNS and found.seconds > 0 and found.reason == ""
    assert 0 < found.reference_ms < math.inf


@pytest.mark.skipif(len(cores.usable_cores()) < 2, reason="needs two cores")
def test_threads_of_a_network_that_has_run_leave_the_cores_to_the_next_one():
    program = f"""
import time
import numpy as np
from simmore.hardware import measure
network, image = measure.Configuration(threads=2).compile({CONV_3X3}), np.zeros((1, 3, 32, 32), dtype=np.float32)
for _ in range(5):
    network(image)
    before = time.process_time()
    time.sleep(0.05)
    print(time.process_time() - before)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert min(map(float, done.stdout.split())) < 0.005


def test_a_measurement_names_the_machine_the_versions_and_the_core():
    core = cores.usable_cores()[-1]
    (found,) = measure.measure_many([SKIP], measure.Configuration(cores=(core,)))
    assert found.cores == (core,) and found.host == platform.node() and found.processor
    assert found.versions == FP32.versions()


def test_a_process_measures_on_the_same_cores_every_time(monkeypatch):
    """Cores may be unlike: a process that took core 1 because core 0 was taken does not change to core 0 later."""
    monkeypatch.setattr(cores, "usable_cores", lambda: [0, 1])
    monkeypatch.setattr(cores, "_move_to", lambda taken: None)
    monkeypatch.setattr(parallel, "end_with", lambda parent: None)
    here, there = Pipe()
    with there:
        serving = threading.Thread(target=measuring.serve, args=[os.dup(there.fileno())])
    serving.start()

    def measured(arch):
        here.send(([arch], 0))
        assert here.recv() is None  # it has its cores
        return here.recv()[0]

    with here:
        here.send(Scripted())
        assert here.recv() is None
        with cores.reserved(1) as mine:
            assert mine == [0] and measured(5).cores == (1,)
        assert measured(6).cores == (1,)
    serving.join()


def test_the_latency_of_a_cell_is_the_time_of_one_run_of_its_batch(monkeypatch):
    """On a machine whose clock only moves when a network runs: 1 ms for each image of cell 1, 2 ms of cell 2, …"""
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(timing, "clock", lambda: timing.Reading(clock.now, clock.now, 0))

    def compile_one(arch, wanted):
        def run(image):
            clock.now += arch * len(image) / 1000
            return np.zeros((len(image), 10))

        return run

    monkeypatch.setitem(runtimes.RUNTIMES, "onnxruntime", runtimes.Runtime(compile_one, ()))
    for batch in (1, 8):
        found = measuring.measure_here([3, 1, 2], measure.Configuration(batch=batch))
        assert [one.arch for one in found] == [3, 1, 2]
        assert [one.latency_ms for one in found] == pytest.approx([3 * batch, batch, 2 * batch])
        assert [one.reference_ms for one in found] == pytest.approx([measure.REFERENCE * batch] * 3)


def test_cells_may_be_given_as_index_digits_or_string():
    names = [CONV_1X1, "222222", space.to_string(CONV_1X1)]
    assert [one.arch for one in measure.measure_many(names, FP32)] == [CONV_1X1] * 3
    with pytest.raises(ValueError, match="no cell of the search space"):
        measure.measure("222229")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"runtime": "tensorrt"}, "no runtime 'tensorrt': choose one of onnxruntime"),
        ({"precision": "int4"}, "fp32 and int8"),
        ({"runtime": "litert", "precision": "int8"}, "litert has the precision fp32"),
        ({"batch": 0}, "batch is a whole number of at least 1"),
        ({"batch": True}, "batch is a whole number"),
        ({"threads": -1}, "threads is a whole number"),
        ({"threads": 1000}, "more than the [0-9]+ cores"),
        ({"cores": (999,)}, r"cores \[999\] are not among"),
        ({"threads": 2, "cores": (cores.usable_cores()[0],)}, "more than the 1 cores"),
        ({"batch": 10**9}, "at most 1024 images"),
        ({"limit_seconds": math.inf}, "positive number of seconds"),
        ({"runtime": "ncnn", "batch": 2}, "one image at a time"),
        ({"limit_seconds": 0}, "positive number of seconds"),
        ({"resource": "raspi5"}, "name their scheduler's address"),
    ],
)
def test_a_wrong_setting_is_an_error_before_anything_is_measured(settings, message):
    with pytest.raises(ValueError, match=message):
        measure.measure(CONV_1X1, **settings)


def test_a_runtime_that_is_not_installed_names_the_command_that_installs_it(monkeypatch):
    absent = runtimes.Runtime(runtimes.RUNTIMES["openvino"].compile, ("openvino-of-tomorrow",))
    monkeypatch.setitem(runtimes.RUNTIMES, "openvino", absent)
    with pytest.raises(MissingPackage, match=r"openvino-of-tomorrow.*pip install 'simmore\[measure\]'"):
        measure.measure(CONV_1X1, "openvino")


def test_without_fcntl_and_affinity_all_modules_can_be_imported_and_windows_cannot_measure():
    program = (
        "import importlib, os, pkgutil, sys\n"
        "sys.modules['fcntl'] = None; del os.sched_getaffinity, os.sched_setaffinity\n"
        "import simmore.hardware as room\n"
        "for file in pkgutil.iter_modules(room.__path__): importlib.import_module(f'simmore.hardware.{file.name}')\n"
        "from simmore.hardware import measure\n"
        "sys.platform = 'win32'\n"
        "try: measure.measure(0)\n"
        "except measure.CannotMeasure as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert "Linux and macOS only" in done.stdout, done.stderr


def test_a_cell_that_does_not_compile_or_run_has_a_reason(monkeypatch):
    def compile_one(arch, wanted):
        if arch == SKIP:
            raise NotImplementedError("no such operator")
        if arch == POOL:
            return lambda image: np.zeros((1, 3))
        return lambda image: np.zeros((1, 10))

    monkeypatch.setitem(runtimes.RUNTIMES, "onnxruntime", runtimes.Runtime(compile_one, ()))
    skip, small, large = measuring.measure_here([SKIP, POOL, CONV_3X3], FP32)
    assert skip.latency_ms == small.latency_ms == math.inf and math.isfinite(large.latency_ms)
    assert skip.reason == "NotImplementedError: no such operator" and "shape (1, 3)" in small.reason


def test_a_cell_that_fails_while_it_is_timed_is_the_only_one_that_fails(monkeypatch):
    def compile_one(arch, wanted):
        runs = iter(range(100))
        return lambda image: np.zeros((1, 10)) if arch != SKIP or next(runs) < 1 else 1 / 0

    monkeypatch.setattr(timing, "warm", lambda run: None)
    monkeypatch.setitem(runtimes.RUNTIMES, "onnxruntime", runtimes.Runtime(compile_one, ()))
    skip, large = measuring.measure_here([SKIP, CONV_3X3], FP32)
    assert skip.latency_ms == math.inf and skip.reason.startswith("ZeroDivisionError") and large.latency_ms < math.inf


@pytest.mark.parametrize("runs_before_it_fails", [0, 1])
def test_a_runtime_in_which_the_reference_fails_is_an_error_and_no_property_of_a_cell(
    monkeypatch, runs_before_it_fails
):
    def compile_one(arch, wanted):
        runs = iter(range(10**6))
        return lambda image: np.zeros((1, 10)) if next(runs) < runs_before_it_fails else 1 / 0

    monkeypatch.setattr(timing, "warm", lambda run: None)
    monkeypatch.setitem(runtimes.RUNTIMES, "onnxruntime", runtimes.Runtime(compile_one, ()))
    with pytest.raises(measure.CannotMeasure, match=r"the reference network \(cell 4317\) fails with ZeroDivision"):
        measuring.measure_here([SKIP], FP32)


def test_a_runtime_that_kills_every_process_is_an_error_that_says_so():
    with (
        Worker(Scripted(crash=(measure.REFERENCE,))) as worker,
        pytest.raises(measure.CannotMeasure, match=r"does not work on this machine.*ended by signal 9"),
    ):
        worker.measure([5, 6])


def test_a_cell_that_exceeds_its_limit_fails_and_its_process_is_ended():
    with Worker(Scripted(hang=(7,)), limit_seconds=0.5) as worker:
        (found,) = worker.measure([7])
        assert found.latency_ms == math.inf and "did not answer within 0.5 s" in found.reason
        assert worker._process is None


def test_a_cell_that_crashes_its_process_is_the_only_one_that_fails():
    with Worker(Scripted(crash=(7,))) as worker:
        found = worker.measure([5, 6, 7, 8])
        assert [one.arch for one in found] == [5, 6, 7, 8]
        assert [math.isfinite(one.latency_ms) for one in found] == [True, True, False, True]
        assert found[2].reason == "the measuring process ended by signal 9"
        assert len({one.machine for one in found}) == 1  # the machine of a failure is known too


def test_an_interrupted_job_does_not_answer_the_next_one(monkeypatch):
    def interrupted(limit_seconds):
        raise KeyboardInterrupt

    with Worker(Scripted()) as worker:
        worker.measure([5])
        process = worker._process
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(worker, "_receive", interrupted)
            worker.measure([6])
        assert process.poll() is not None
        assert worker.measure([7])[0].arch == 7


@pytest.fixture
def one_core(monkeypatch):
    """A machine with one core, for reservations within this process."""
    monkeypatch.setattr(cores, "usable_cores", lambda: [0])
    monkeypatch.setattr(cores, "_move_to", lambda taken: None)


def test_two_reservations_never_share_a_core(one_core):
    with cores.reserved(1) as mine:
        assert mine == [0]
        with pytest.raises(measure.CannotMeasure, match="never share a core"), cores.reserved(1, patience_seconds=0):
            pass
    with cores.reserved(1) as mine:
        assert mine == [0]


def test_the_process_that_waits_longest_is_served_first(one_core):
    served = []

    def wait(name):
        with cores.reserved(1):
            served.append(name)

    waiting = [threading.Thread(target=wait, args=[name]) for name in ("first", "second")]
    with cores.reserved(1):
        waiting[0].start()
        queue = FileLock(Path(tempfile.gettempdir()) / "simmore-locks" / "queue.lock")
        while not queue_is_taken(queue):
            time.sleep(0.01)
        waiting[1].start()
    for one in waiting:
        one.join()
    assert served == ["first", "second"]


def queue_is_taken(queue):
    try:
        with queue.acquire(blocking=False):
            return False
    except Timeout:
        return True


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as two users")
def test_the_locks_work_across_users(one_core, monkeypatch):
    """Two users with a strict umask take the same core one after the other, and one finds it taken by another."""
    folder = tempfile.mkdtemp(dir="/tmp")  # pytest's own folders belong to one user alone
    Path(folder).chmod(0o1777)
    monkeypatch.setattr(tempfile, "tempdir", folder)

    def as_user(number, run):
        child = os.fork()
        if not child:
            os.umask(0o077)
            os.setuid(number)
            try:
                run()
            except BaseException as error:
                os.write(2, repr(error).encode())
                os._exit(1)
            os._exit(0)
        return os.waitpid(child, 0)[1]

    def takes():
        with cores.reserved(1):
            pass

    def finds_it_taken():
        with pytest.raises(measure.CannotMeasure, match="never share a core"), cores.reserved(1, patience_seconds=0):
            pass

    assert as_user(12345, takes) == 0
    assert as_user(23456, takes) == 0
    with cores.reserved(1):
        assert as_user(23456, finds_it_taken) == 0
    shutil.rmtree(folder)


def test_locks_that_cannot_be_used_are_an_error_of_the_environment(one_core, monkeypatch, tmp_path):
    (tmp_path / "simmore-locks").write_text("not a folder")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(measure.CannotMeasure, match="simmore-locks, cannot be used"), cores.reserved(1):
        pass


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system does not bind a process to cores")
def test_a_process_runs_on_its_reserved_core_alone_and_a_killed_one_gives_it_back():
    homes = cores.usable_cores()
    program = (
        "import threading; from simmore.hardware import cores\n"
        "with cores.reserved(len(cores.usable_cores())): print('reserved', flush=True); threading.Event().wait()"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "reserved\n"
        with pytest.raises(measure.CannotMeasure), cores.reserved(1, patience_seconds=0):
            pass
        other.kill()
    with cores.reserved(1) as mine:
        assert len(mine) == 1 and cores.usable_cores() == mine
    assert cores.usable_cores() == homes


@pytest.mark.parametrize("waits_for_a_core", [False, True])
def test_the_measuring_process_ends_when_its_caller_is_killed(waits_for_a_core):
    program = (
        "import sys, threading, time; from simmore.hardware.worker import Worker; from scripted import Scripted\n"
        "worker = Worker(Scripted())\n"
        "job = threading.Thread(target=worker.measure, args=[[0]], daemon=True); job.start()\n"
        "while worker._process is None: time.sleep(0.01)\n"
        "print(worker._process.pid, flush=True)\n"
        "job.join(); print('measured', flush=True); sys.stdin.read()"
    )
    with (
        cores.reserved(len(cores.usable_cores())) if waits_for_a_core else contextlib.nullcontext(),
        subprocess.Popen(
            [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as caller,
    ):
        process = psutil.Process(int(caller.stdout.readline()))
        if not waits_for_a_core:
            assert caller.stdout.readline() == b"measured\n"
        caller.kill()
        process.wait()  # returns when it has ended


def test_a_live_device_measures_each_cell_once():
    seen = []
    device = measure.LiveDevice(FP32, on_measurement=seen.append)
    twice = device.latency_ms(np.array([[SKIP, SKIP], [CONV_1X1, SKIP]]))
    assert twice.shape == (2, 2) and len(seen) == 2 and twice[0, 0] == twice[1, 1]
    assert device.latency_ms(SKIP).shape == () and len(seen) == 2
    assert device.name == "onnxruntime_fp32"
    known = measure.LiveDevice(FP32, known=[measure.Measurement(SKIP, 123.0)])
    assert known.latency_ms(SKIP) == 123


@pytest.mark.slow
def test_a_worker_with_a_label_measures_for_another_machine(monkeypatch):
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
                client.wait_for_workers(2)
            found = measure.measure(CONV_1X1, dask=address, resource="raspi5")
            assert math.isfinite(found.latency_ms)
            commands = [" ".join(child.cmdline()) for child in psutil.Process(board.pid).children()]
            assert any("serve" in one for one in commands), "the measuring process belongs to the labelled worker"
            device = measure.LiveDevice(FP32, dask=address, resource="raspi5")
            assert math.isfinite(device.latency_ms(SKIP)) and device.name == "raspi5_onnxruntime_fp32"
            with pytest.raises(ValueError, match="cores"):
                measure.measure(CONV_1X1, threads=1000, dask=address, resource="raspi5")
        finally:
            board.terminate()
            board.wait()


def test_a_scheduler_that_does_not_answer_is_an_error(monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr(parallel, "PATIENCE_SECONDS", 0.5)
    with pytest.raises(ConnectionError, match="no Dask scheduler answers"):
        measure.measure(CONV_1X1, dask="tcp://127.0.0.1:9", resource="raspi5")
