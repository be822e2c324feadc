"""Tasks on this machine's cores and on a cluster. `proxies/test_parts.py` has a cluster that loses a worker."""

import os

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


def test_an_address_without_a_scheduler_is_a_connection_error(monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr(parallel, "PATIENCE_SECONDS", 0.5)
    monkeypatch.setenv("SIMMORE_DASK", "tcp://127.0.0.1:9")
    with pytest.raises(ConnectionError, match=r"no Dask scheduler answers at 'tcp://127\.0\.0\.1:9'"):
        list(parallel.unordered(square, [1]))


def test_a_task_that_ends_every_worker_is_an_error():
    distributed = pytest.importorskip("distributed")
    one_worker = distributed.LocalCluster(n_workers=1, threads_per_worker=1, processes=True, dashboard_address=None)
    with one_worker as cluster, pytest.raises(distributed.KilledWorker):
        list(parallel.unordered(end_the_process, [1], dask=cluster.scheduler_address))
