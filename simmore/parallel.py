"""Many independent tasks, on this machine's cores or on a Dask cluster, by the same call.

joblib runs the tasks on this machine. ``distributed`` runs them on an existing cluster, named by the address of its
scheduler (``tcp://host:8786``) or by the environment variable ``SIMMORE_DASK``. The workers need this package, but no
common disk: results return to the caller.

joblib has a Dask backend. It is not used: with ``generator_unordered`` it waits forever for a task that kills its
workers, and after the first error it drops results that are already there.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from simmore.errors import needs

Task = TypeVar("Task")
Result = TypeVar("Result")

PATIENCE_SECONDS = 10.0  # with a scheduler that does not answer
RETRIES = 3  # of a task that fails on a cluster
WATCH_SECONDS = 1.0  # between two checks of a process that its parent is alive


def unordered(
    function: Callable[[Task], Result],
    tasks: Sequence[Task],
    *,
    n_jobs: int = -1,
    dask: str | None = None,
) -> Iterator[Result]:
    """Results of ``function(task)`` for all tasks, each as soon as it is finished, in any order.

    The processes on this machine end with this one, however it ends.

    Parameters
    ----------
    function
        Top-level function of a module, because other processes import it. It should use one thread.
    tasks
        Arguments of the calls. Order is lost, so a result should identify its task.
    n_jobs
        Processes on this machine. −1: one per core. 1: the tasks run in this process.
    dask
        Address of a Dask scheduler. None: the value of ``SIMMORE_DASK``; this machine if that is not set.

    Raises
    ------
    MissingPackage
        If an address is given, but ``distributed`` is not installed.
    ConnectionError
        If no scheduler answers at the address, the connection to it is lost, or a task ends four workers. The tasks of
        a worker that dies otherwise go to other workers.
    """
    address = dask or os.environ.get("SIMMORE_DASK")
    if not tasks:
        return
    if not address:
        with needs("joblib"):
            import joblib
        # joblib renews a worker that has grown by 300 MB, as the priors of many devices do, and no task is lost
        warnings.filterwarnings("ignore", message="A worker stopped while some jobs", category=UserWarning)
        parallel = joblib.Parallel(
            n_jobs=n_jobs,
            return_as="generator_unordered",
            batch_size=1,
            initializer=end_with,
            initargs=(os.getpid(),),
        )
        yield from parallel(joblib.delayed(function)(task) for task in tasks)
        return
    with _client(address) as client:
        import distributed

        futures = client.map(function, tasks, retries=RETRIES, pure=False)
        for future in distributed.as_completed(futures, loop=client.loop):
            try:
                result = future.result()
            except distributed.client.FutureCancelledError as error:
                raise ConnectionError(
                    f"the Dask scheduler at {address!r} went away ({error.reason}): start it again, and then this "
                    "command; finished parts are kept"
                ) from error
            except distributed.scheduler.KilledWorker as error:
                raise ConnectionError(
                    f"the workers of the Dask scheduler at {address!r} end while they work: their "
                    f"logs say why, for example a lack of memory; finished parts are kept ({error})"
                ) from error
            yield result
            future.release()  # frees the cluster's memory


def on_resource(function: Callable[..., Result], *arguments: Any, address: str, resource: str | None) -> Result:
    """Call a function once on a worker of a cluster that has a resource, or on any worker if `resource` is None.

    Of several such workers it is always the same one: the first by host and name.

    Parameters
    ----------
    function
        Top-level function of a module, with arguments that can be pickled.
    address
        Address of the Dask scheduler.
    resource
        Label of workers, given at their start: ``dask worker … --resources "raspi5=1"``. A call takes one unit of
        it, so that only one call runs at a time.

    Raises
    ------
    ConnectionError
        If no scheduler answers at the address, no worker has the resource, or the worker is lost during the call.
    """
    with _client(address) as client:
        import distributed

        workers = client.scheduler_info(n_workers=-1)["workers"]
        labels = sorted({label for worker in workers.values() for label in worker["resources"]})
        able = [
            (worker["host"], str(worker["name"]), one)
            for one, worker in workers.items()
            if resource is None or resource in worker["resources"]
        ]
        if not able:
            wanted = f"no worker with the resource {resource!r}" if resource else "no worker"
            raise ConnectionError(
                f"the cluster at {address!r} has {wanted} (there are: {', '.join(labels) or 'none'}): start one with "
                f'dask worker {address} --nthreads 1 --resources "{resource or "device"}=1"'
            )
        chosen = min(able)[-1]
        future = client.submit(
            function,
            *arguments,
            pure=False,
            retries=0,
            workers=[chosen],
            resources={resource: 1} if resource else None,
        )
        lost = "the worker went away while it measured; start it and try again"
        try:
            while True:
                try:
                    return future.result(timeout=WATCH_SECONDS)
                except TimeoutError:
                    if future.done():  # raised by the function itself, or it has ended since
                        return future.result()
                if chosen not in client.scheduler_info(n_workers=-1)["workers"]:
                    raise ConnectionError(lost)
        except (distributed.scheduler.KilledWorker, distributed.client.FutureCancelledError) as error:
            raise ConnectionError(f"{lost} ({error})") from error


@contextlib.contextmanager
def _client(address: str) -> Iterator[Any]:
    """Client of the scheduler at an address, closed at the end."""
    with needs("distributed", "dask"):
        import distributed
    for name in ("distributed", "distributed.client"):  # a lost connection is raised here, not logged with a traceback
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        client = distributed.Client(address, timeout=PATIENCE_SECONDS, set_as_default=False)
    except Exception as error:  # what answers may be anything but a scheduler
        problem = f"no Dask scheduler answers at {address!r} ({error}): start one, or leave it out"
    else:
        with client:
            yield client
        return
    # The unfinished client closes itself when nothing refers to it; until now the error did. Otherwise it would wait
    # at the end of this process, for twice the patience.
    gc.collect()
    raise ConnectionError(problem)


def end_with(parent: int) -> None:
    """Let this process end as soon as its parent has ended, whatever it is doing.

    A parent that is killed cannot end its processes, and loky's would keep their memory.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(WATCH_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, name="ends with its parent", daemon=True).start()
