"""Training-free scores of all cells: computed by this project, and published by FreeREA."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from simmore import space
from simmore.data.arrays import load_columns
from simmore.data.datasets import task
from simmore.data.registry import fetch
from simmore.errors import DataError

if TYPE_CHECKING:
    import pandas as pd


def scores(dataset: str = "cifar10") -> pd.DataFrame:
    """Training-free scores of all cells that this project computed with `make proxies`.

    Returns
    -------
    DataFrame
        Index ``arch``; the file's columns, among them ``naswot``, ``logsynflow`` and ``skip``. All values are finite.

    Raises
    ------
    TableMissing
        If the table has not been computed yet.
    DataError
        If the file does not hold one finite number per cell, or for an unknown data set.
    """
    task(dataset)
    return _own_table(f"scores/{dataset}")


def az_terms(dataset: str = "cifar10") -> pd.DataFrame:
    """AZ-NAS's terms of all cells that this project computed with `make proxies`.

    The terms depend on a data set only through the size of its images, so CIFAR-10 and CIFAR-100 share a table. The
    fourth term, complexity, is `space.live_flops`.

    Returns
    -------
    DataFrame
        Index ``arch``; the file's columns, among them ``expressivity``, ``progressivity`` and ``trainability``. All
        values are finite.

    Raises
    ------
    TableMissing
        If the table has not been computed yet.
    DataError
        If the file does not hold one finite number per cell, or for an unknown data set.

    Notes
    -----
    Source of the definitions: Lee & Ham (2024), *AZ-NAS*.
    """
    return _own_table(f"az/{task(dataset).size}px")


def _own_table(name: str) -> pd.DataFrame:
    """One of this project's tables of scores, by its name in the registry."""
    import pandas as pd

    file = fetch(name)
    remedy = "restore it with git, or compute it again with `make proxies`"
    columns = load_columns(file, remedy)
    for column, values in columns.items():
        if not np.isfinite(values).all():
            raise DataError(f"{file}: {column!r} does not have one finite number per cell: {remedy}.")
    return pd.DataFrame(columns, index=pd.RangeIndex(space.N_ARCHS, name="arch"))


def published_scores(dataset: str = "cifar10") -> pd.DataFrame:
    """Published training-free scores of all cells, with test accuracy and size.

    Returns
    -------
    DataFrame
        Index ``arch``; ``naswot`` (-inf for 201 cells) and ``logsynflow``, each the mean of 3 initialisations;
        ``accuracy`` on the test set after 200 epochs, in %; ``params`` in millions.

    Raises
    ------
    TableMissing
        If the tables are neither here nor downloadable.
    DataError
        If a file is altered, or for an unknown data set.

    Notes
    -----
    Source: Cavagnero et al. (2023), *FreeREA*.
    """
    task(dataset)
    return _published_scores(dataset).copy()


@cache
def _published_scores(dataset: str) -> pd.DataFrame:
    """The table that `published_scores` returns a copy of."""
    import pandas as pd

    files = {"naswot": "naswot", "logsynflow": "logsynflow", "accuracy": "accuracies", "params": "params"}
    columns = {
        column: pd.read_csv(fetch(f"freerea/{dataset}/{file}"), index_col="index")[column].astype(np.float64)
        for column, file in files.items()
    }
    if dataset == "ImageNet16-120":
        columns["params"] /= 1e6  # only this file holds plain counts
    return pd.DataFrame(columns).rename_axis("arch")
