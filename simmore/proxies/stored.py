"""Scores of all cells, from the tables in the package."""

from __future__ import annotations

import json
from functools import cache

import numpy as np
from numpy.typing import NDArray

from simmore import data, paths
from simmore.proxies.definitions import freerea_score


@cache
def stored_score(dataset: str = "cifar10") -> NDArray[np.float64]:
    """Score p of all cells, ``(15625,)`` in NATS order (read-only).

    Raises
    ------
    TableMissing
        If there is no table for this data set.
    """
    table = data.scores(dataset)
    values = freerea_score(table["naswot"], table["logsynflow"], table["skip"])
    values.setflags(write=False)
    return values


def stored_seeds(dataset: str) -> tuple[int, ...]:
    """Seeds of the initialisations that the stored table is the mean of."""
    file = paths.TABLES / f"scores_{dataset}.json"
    return tuple(json.loads(file.read_text(encoding="utf-8"))["seeds"])
