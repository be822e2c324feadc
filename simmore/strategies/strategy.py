"""The interface of search strategies: from a history of measured cells, a strategy proposes the next one."""

from __future__ import annotations

import copy
from typing import Protocol

import numpy as np

from simmore.strategies.problem import History

MOST_REVISITS = 1_000  # of known cells, before a search counts as ended


class Strategy(Protocol):
    """Proposes cells. The problem and all knowledge of other devices are passed to its constructor.

    A strategy never sees the device or its name. One object serves one search.
    """

    def ask(self, history: History, rng: np.random.Generator, remaining: int) -> int | None:
        """The next cell.

        Parameters
        ----------
        history
            What was measured so far: at least one step, the start.
        rng
            The only source of randomness.
        remaining
            How many more distinct cells may be measured.

        Returns
        -------
        int or None
            NATS index; a cell of the history costs nothing. None ends the search.
        """


def ask_batch(strategy: Strategy, history: History, rng: np.random.Generator, remaining: int, n: int) -> list[int]:
    """Cells to measure together, at most n.

    A strategy with a method `ask_batch` chooses them jointly. For any other, each proposed cell is assumed to have the
    median measured latency before the next is asked for ("constant liar", Ginsbourger et al. 2010).
    """
    if hasattr(strategy, "ask_batch"):
        cells: list[int] = strategy.ask_batch(history, rng, remaining, n)
        return cells
    strategy, assumed = copy.deepcopy(strategy), copy.deepcopy(history)
    measured = history.compiled[1]
    lie = float(np.median(measured)) if len(measured) else 1.0
    found: list[int] = []
    for _ in range(MOST_REVISITS):
        arch = strategy.ask(assumed, rng, remaining - len(found)) if len(found) < min(n, remaining) else None
        if arch is None:
            break
        if arch in assumed:
            assumed.revisit(arch)
        else:
            assumed.add(arch, lie)
            found.append(arch)
    return found
