"""Many independent tasks, on this machine's cores or on a Dask cluster, by the same call.

Nothing is scheduled here: joblib runs the tasks on this machine, ``distributed`` on a cluster that is there
already. A cluster is named by its scheduler's address (``tcp://host:8786``) or by ``SIMMORE_DASK``; its workers
need this package installed, but no common disk, as results come back to the caller.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from simmore.errors import needs

Task = TypeVar("Task")
Result = TypeVar("Result")

PATIENCE_SECONDS = 10.0  # with a scheduler that does not answer
RETRIES = 3  # of a task whose worker died or failed, on a cluster


def unordered(
    function: Callable[[Task], Result],
    tasks: Sequence[Task],
    *,
    n_jobs: int = -1,
    dask: str | None = None,
) -> Iterator[Result]:
    """Results of ``function(task)`` for all tasks, each as soon as it is there, in any order.

    Parameters
    ----------
    function
        Of a module's top level (it goes to other processes), and best with one thread.
    tasks
        What it is called with; a result that must be told from others carries its task's name.
    n_jobs
        Processes on this machine, −1 for one a core; 1 runs the tasks here.
    dask
        Address of a Dask scheduler; None: what ``SIMMORE_DASK`` says, and this machine if it says nothing.

    Raises
    ------
    MissingPackage
        If there is an address, but ``distributed`` is not installed.
    ConnectionError
        If no scheduler answers at the address.
    """
    address = dask or os.environ.get("SIMMORE_DASK")
    if not tasks:
        return
    if address:
        yield from _on_cluster(function, tasks, address)
    else:
        with needs("joblib"):
            import joblib
        parallel = joblib.Parallel(
            n_jobs=n_jobs, return_as="generator_unordered", pre_dispatch="2*n_jobs", batch_size=1
        )
        yield from parallel(joblib.delayed(function)(task) for task in tasks)


def on_resource(function: Callable[..., Result], *arguments: Any, address: str, resource: str | None) -> Result:
    """Call a function once, on a worker of a cluster that has a resource (any worker if None), alone on it.

    Parameters
    ----------
    function
        Of a module's top level, with arguments that can be pickled.
    address
        Of the Dask scheduler.
    resource
        Label that workers were started with, ``dask worker … --resources "raspi5=1"``; a call takes one of it.

    Raises
    ------
    ConnectionError
        If no scheduler answers at the address, no worker has the resource, or the worker goes away meanwhile.
    """
    with _client(address) as client:
        workers = client.scheduler_info(n_workers=-1)["workers"].values()
        labels = sorted({label for worker in workers for label in worker["resources"]})
        if not workers or (resource is not None and resource not in labels):
            wanted = f"no worker with the resource {resource!r}" if resource else "no worker"
            raise ConnectionError(
                f"the cluster at {address!r} has {wanted} (there are: {', '.join(labels) or 'none'}): start one with "
                f'dask worker {address} --nthreads 1 --resources "{resource or "device"}=1"'
            )
        future = client.submit(
            function, *arguments, pure=False, retries=0, resources={resource: 1} if resource else None
        )
        try:
            return future.result()
        except _lost() as error:
            raise ConnectionError(
                f"the worker went away while it measured ({error}); start it and try again"
            ) from error


def _lost() -> tuple[type[Exception], ...]:
    """What distributed raises when a worker is gone."""
    import distributed

    return (distributed.scheduler.KilledWorker, distributed.client.FutureCancelledError)


def _client(address: str) -> Any:
    """A client of the scheduler at an address."""
    with needs("distributed", "dask"):
        import distributed
    try:
        return distributed.Client(address, timeout=PATIENCE_SECONDS, set_as_default=False)
    except (OSError, ValueError) as error:
        raise ConnectionError(
            f"no Dask scheduler answers at {address!r} ({error}): start one, or leave it out"
        ) from error


def _on_cluster(function: Callable[[Task], Result], tasks: Sequence[Task], address: str) -> Iterator[Result]:
    """Results from a cluster's workers; the tasks of a worker that dies go to the others."""
    with _client(address) as client:
        import distributed

        futures = client.map(function, tasks, retries=RETRIES, pure=False)
        for future in distributed.as_completed(futures, loop=client.loop):
            yield future.result()
            future.release()  # the cluster need not keep what was fetched
