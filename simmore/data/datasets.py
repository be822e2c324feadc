"""The data sets of NATS-Bench, with their image sizes and numbers of classes."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from simmore.errors import DataError


class Task(NamedTuple):
    """Image size and number of classes of a data set."""

    size: int
    """Height and width of an image, in pixels."""
    n_classes: int


DATASETS: Mapping[str, Task] = MappingProxyType(
    {"cifar10": Task(32, 10), "cifar100": Task(32, 100), "ImageNet16-120": Task(16, 120)}
)


def task(dataset: str) -> Task:
    """Task of a data set, by its name.

    >>> task("cifar100")
    Task(size=32, n_classes=100)

    Raises
    ------
    DataError
        For an unknown name; the message lists the known ones.
    """
    if dataset not in DATASETS:
        raise DataError(f"There is no data set {dataset!r}: choose one of {', '.join(DATASETS)}.")
    return DATASETS[dataset]
