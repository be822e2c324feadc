"""Tasks on this machine's cores and on a cluster. `proxies/test_parts.py` has a cluster that loses a worker."""

import concurrent.futures
import contextlib
import functools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from simmore import parallel


def square(number):
    return number**2


def end_the_process(_task):
    os._exit(1)


def test_all_tasks_are_done_on_this_machine():
    assert list(parallel.unordered(square, [])) == []
    for n_jobs in (1, 2):
        assert sorted(parallel.unordered(square, [3, 1, 2], n_jobs=n_jobs)) == [1, 4, 9]


KEPT = []


def grow(task):
    """Keep 100 MB, in a second: as often as this, joblib looks at the memory of a worker."""
    KEPT.append(b"x" * 10**8)
    time.sleep(1.1)
    return task, os.getpid()


def test_a_worker_that_grows_is_renewed_without_a_warning():
    program = """
from test_parallel import parallel, grow
found = list(parallel.unordered(grow, list(range(12)), n_jobs=2))
print(sorted(task for task, _ in found) == list(range(12)), len({process for _, process in found}))
"""
    ours = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    done = subprocess.run([sys.executable, "-c", program], env=ours, capture_output=True, text=True, timeout=300)
    every_task, n_processes = done.stdout.split()
    assert every_task == "True" and int(n_processes) > 2 and done.stderr == ""


def say_and_sleep(_task):
    os.write(1, f"{os.getpid()}\n".encode())  # in one piece: two processes write to one pipe
    time.sleep(600)


def runs(process):
    """Whether a process has not ended; in some containers no one asks for the status of one that has."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


SLEEPING = """
from simmore import __main__ as command
from test_parallel import parallel, say_and_sleep

@command.app.command("sleep")
def sleep():
    list(parallel.unordered(say_and_sleep, [1, 2], n_jobs=2))

command.main()
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows does not tell a process that its parent has ended")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_processes_end_with_the_one_that_started_them(how, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parent), *sys.path]))
    program = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)" + SLEEPING
    with subprocess.Popen(
        [sys.executable, "-c", program, "sleep"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as parent:
        workers = [psutil.Process(int(parent.stdout.readline())) for _ in range(2)]
        parent.send_signal(how)
        deadline = time.monotonic() + 120
        while (alive := [worker for worker in workers if runs(worker)]) and time.monotonic() < deadline:
            time.sleep(0.1)
        for worker in alive:  # before reading: it holds the other end of the pipe
            worker.kill()
        _, said = parent.communicate()
    assert not alive
    if how != signal.SIGKILL:
        assert parent.returncode == 130 and said == "interrupted\n"


def test_an_address_without_a_scheduler_is_a_connection_error(monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr(parallel, "PATIENCE_SECONDS", 0.5)
    monkeypatch.setenv("SIMMORE_DASK", "tcp://127.0.0.1:9")
    with pytest.raises(ConnectionError, match=r"no Dask scheduler answers at 'tcp://127\.0\.0\.1:9'"):
        list(parallel.unordered(square, [1]))


def test_a_task_that_ends_every_worker_is_an_error():
    distributed = pytest.importorskip("distributed")
    one_worker = distributed.LocalCluster(n_workers=1, threads_per_worker=1, processes=True, dashboard_address=None)
    with one_worker as cluster, pytest.raises(ConnectionError, match=r"workers .* end while they work"):
        list(parallel.unordered(end_the_process, [1], dask=cluster.scheduler_address))


TASKS = """
import sys
from test_parallel import parallel, square
parallel.PATIENCE_SECONDS = 1.0
try:
    for result in parallel.unordered(square, [1, 2, 3], dask=sys.argv[1]):
        print(result, flush=True)
        sys.stdin.readline()
except ConnectionError as error:
    print(error)
"""


@pytest.mark.slow
def test_a_scheduler_that_goes_away_and_one_that_is_not_there_are_one_sentence(monkeypatch):
    """A real scheduler is killed; the process that waits for its results then says so, ends, and logs nothing."""
    pytest.importorskip("distributed")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parent), *sys.path]))
    dask = [sys.executable, "-m", "dask"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.PIPE, "text": True}
    options = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--no-show"]
    started = []
    try:
        scheduler = subprocess.Popen([*dask, "scheduler", *options], **pipes)
        started.append(scheduler)
        address = next(line.split()[-1] for line in scheduler.stderr if "Scheduler at:" in line)
        worker = [*dask, "worker", address, "--nthreads", "1", "--no-nanny", "--no-dashboard"]
        started.append(subprocess.Popen(worker, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        caller = subprocess.Popen([sys.executable, "-c", TASKS, address], **pipes)
        started.append(caller)
        assert caller.stdout.readline().strip() in ("1", "4", "9")
        scheduler.kill()
        scheduler.wait()
        said, logged = caller.communicate("\n" * 3)
        (sentence,) = [line for line in said.splitlines() if not line.isdigit()]
        assert sentence.startswith(f"the Dask scheduler at '{address}' went away") and logged == ""
        late = subprocess.run([sys.executable, "-c", TASKS, address], capture_output=True, text=True)
        assert late.stdout.startswith("no Dask scheduler answers at") and late.stdout.count("\n") == 1
        assert late.stderr == ""
    finally:
        for process in started:
            process.kill()
            process.communicate()


@pytest.mark.slow
def test_all_calls_go_to_one_worker_and_a_lost_worker_is_an_error():
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        call = functools.partial(parallel.on_resource, address=cluster.scheduler_address, resource=None)
        first = call(os.getpid)
        assert {call(os.getpid) for _ in range(5)} == {first}
        with concurrent.futures.ThreadPoolExecutor(1) as thread:
            lost = thread.submit(call, time.sleep, 600)
            with distributed.Client(cluster, set_as_default=False) as client:
                while not any(client.processing().values()):
                    time.sleep(0.05)
            os.kill(first, signal.SIGKILL)
            with pytest.raises(ConnectionError, match="the worker went away while it measured"):
                lost.result()


def test_a_call_that_ends_while_its_worker_is_looked_up_returns_its_result(monkeypatch):
    class Future:
        done = staticmethod(lambda: True)

        @staticmethod
        def result(timeout=None):
            if timeout is not None:  # it ends right after the patience
                raise TimeoutError
            return 42

    class Client:
        scheduler_info = staticmethod(
            lambda n_workers: {"workers": {"tcp://a:1": {"resources": {}, "host": "a", "name": 0}}}
        )
        submit = staticmethod(lambda function, *arguments, **settings: Future)

    monkeypatch.setattr(parallel, "_client", lambda address: contextlib.nullcontext(Client))
    assert parallel.on_resource(square, 3, address="tcp://a:8786", resource=None) == 42
