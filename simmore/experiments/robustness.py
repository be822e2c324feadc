"""Regret of a search with disturbed measurements: noise, drift, timers with coarse steps, and cells that fail."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from itertools import product

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from tqdm.auto import tqdm

from simmore import devices, parallel
from simmore.devices import Device, normalised_regret, reward
from simmore.experiments import comparison
from simmore.strategies import BUDGET, Problem, Session, catalogue, measure, recommendation

DISTURBANCES = {
    "noise": (0.0, 0.02, 0.05, 0.1, 0.2),
    "drift": (0.1, 0.2, 0.4),
    "timer": (0.02, 0.05, 0.1, 0.2),
    "failing": (0.1, 0.3, 0.5),
}
"""Amounts by kind: standard deviation of the logarithm of a latency; slowdown from the first to the tenth measurement;
step of the timer relative to the mean latency; share of the cells that fail."""


class Disturbed:
    """A device whose measurements are disturbed in one way; an object serves one search.

    Parameters
    ----------
    table_ms
        Latencies of all cells, ``(cells,)``.
    kind, amount
        A key of `DISTURBANCES`, and how much of it.
    rng
        Draws noise, and which cells fail.

    Attributes
    ----------
    truth
        Latencies that recommendations are judged by, ``(cells,)`` in the unit of the device: infinite for a cell that
        fails.
    unit_ms
        The unit of the device in ms: the step of a timer, because a timer shows whole numbers; otherwise 1.
    """

    name = "disturbed"

    def __init__(self, table_ms: NDArray[np.float64], kind: str, amount: float, rng: np.random.Generator) -> None:
        self._kind, self._amount, self._rng, self._measured = kind, amount, rng, 0
        fails = rng.random(len(table_ms)) < (amount if kind == "failing" else 0)
        self.unit_ms = amount * float(np.nanmean(table_ms)) if kind == "timer" else 1.0
        self.truth = np.where(fails, np.inf, table_ms) / self.unit_ms

    def latency_ms(self, archs: ArrayLike) -> NDArray[np.float64]:
        latency = self.truth[np.asarray(archs)]
        if self._kind == "noise":
            latency = latency * np.exp(self._amount * self._rng.standard_normal(latency.shape))
        elif self._kind == "drift":
            latency = latency * (1 + self._amount) ** (self._measured / (BUDGET - 1))
        elif self._kind == "timer":
            latency = np.maximum(np.round(latency), 1)
        self._measured += latency.size
        return np.asarray(latency)


def regrets(
    names: Sequence[str], tested: Iterable[Device], problem: Problem, *, n_starts: int = 3, seed: int = 0,
    n_jobs: int = -1,
) -> pd.DataFrame:  # fmt: skip
    """Search disturbed devices without other devices' tables, ten measurements from every start.

    Starts are the same for every strategy, kind and amount.

    Returns
    -------
    pandas.DataFrame
        ``kind, amount, strategy, device, start, inference_regret``, a row per search; regrets are normalised and
        use latencies without disturbance.
    """
    settings = [(kind, amount) for kind, amounts in DISTURBANCES.items() for amount in amounts]
    tasks = list(product(names, tested, settings))
    run = partial(_searches, problem=problem, n_starts=n_starts, seed=seed)
    parts = list(tqdm(parallel.unordered(run, tasks, n_jobs=n_jobs), total=len(tasks), desc="disturbing", disable=None))
    columns = ["kind", "amount", "strategy", "device", "start", "inference_regret"]
    found = pd.DataFrame([row for part in parts for row in part], columns=columns)
    return found.sort_values(columns[:-1], ignore_index=True)


def _searches(
    task: tuple[str, Device, tuple[str, float]], *, problem: Problem, n_starts: int, seed: int
) -> list[tuple[str, float, str, str, int, float]]:
    name, device, (kind, amount) = task
    table, rows = devices.whole_table(device), []
    cells = devices.measured_cells(device)
    starts = cells[np.random.default_rng(seed).integers(len(cells), size=n_starts)]
    for k, start in enumerate(starts):
        disturbed = Disturbed(table, kind, amount, np.random.default_rng([seed, k, 1]))
        strategy, rule = catalogue.make(name, problem.on(device), comparison.known("none", device))
        session = Session(
            strategy, problem.on(device), rule=rule, start=int(start), seed=np.random.default_rng([seed, k])
        )
        measure(session, disturbed)
        ranked = recommendation.ranked(rule, session.problem, session.history)
        # where nothing ran, the search is no better than random
        regret = float(normalised_regret(reward(problem.score, disturbed.truth), ranked[0])) if ranked else 1.0
        rows.append((kind, amount, name, device.name, k, regret))
    return rows
