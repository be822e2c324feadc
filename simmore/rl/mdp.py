"""The MDP, on arrays: a policy edits a cell on a device that it has never seen (paper, section 3.1).

`Observer` computes what a policy sees, in training and on a real device alike. `Episodes` are the dynamics of many
episodes side by side. `simmore.rl.environments` wraps them for gymnasium and stable-baselines3.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from simmore import devices, space

HORIZON = 50  # steps per episode, T (paper)
HISTORY = 5  # (state, action) pairs that the policy remembers
N_ACTIONS = space.N_EDGES * space.N_OPERATIONS  # action number = 5 · edge + operation
STATE_SIZE = space.N_EDGES * space.N_OPERATIONS + 1  # one-hot operations, latency
PAIR_SIZE = STATE_SIZE + space.N_EDGES + space.N_OPERATIONS  # a past state and the action taken in it, one-hot
OBSERVATION_SIZE = STATE_SIZE + HISTORY * PAIR_SIZE
LATENCIES = [STATE_SIZE - 1, *(STATE_SIZE + k * PAIR_SIZE + STATE_SIZE - 1 for k in range(HISTORY))]  # in observations
LATENCY_BOUND = 10.0  # of |ln ℓ/ℓ₀| (`Observer`): no two cells of a real device differ by a factor of e¹⁰


@cache
def next_archs() -> NDArray[np.int32]:
    """The cell that each action leads to, ``(15625, 30)``, actions numbered 5 · edge + operation (read-only)."""
    ops = np.repeat(space.all_ops()[:, None], N_ACTIONS, axis=1)  # (cells, actions, edges)
    action = np.arange(N_ACTIONS)
    ops[:, action, action // space.N_OPERATIONS] = action % space.N_OPERATIONS
    table = space.to_archs(ops)
    table.setflags(write=False)
    return table


@cache
def _one_hot_cells() -> NDArray[np.float32]:
    """One-hot operations of all cells, ``(15625, 30)``."""
    return np.eye(space.N_OPERATIONS, dtype=np.float32)[space.all_ops()].reshape(space.N_ARCHS, -1)


@cache
def _one_hot_actions() -> NDArray[np.float32]:
    """One-hot edge and operation of all actions, ``(30, 11)``."""
    edge, operation = np.divmod(np.arange(N_ACTIONS), space.N_OPERATIONS)
    return np.hstack([np.eye(n, dtype=np.float32)[k] for n, k in ((6, edge), (5, operation))])


class Observer:
    """Computes the observations of n searches side by side: float32 ``(n, 241)``.

    - 30: the current cell, one-hot, edge by edge; 1: its latency;
    - 5 × 42, oldest first: a past cell (30), its latency (1), the action taken there (6 + 5); zeros before the start.

    A latency ℓ is given as ``ln(ℓ/ℓ₀)``, clipped to ±10. ℓ₀ is the search's first finite measurement. The
    value does not depend on the device's scale, and uses measurements only.
    """

    def __init__(self, n: int) -> None:
        self._seen = np.zeros((n, OBSERVATION_SIZE), dtype=np.float32)
        self._log_first = np.zeros(n)

    def begin(self, archs: NDArray[np.int32], latency_ms: NDArray[np.float64]) -> NDArray[np.float32]:
        """Forget the past, and see the start cells ``(n,)`` with their latencies ``(n,)`` in ms."""
        self._seen[:] = 0
        self._seen[:, : STATE_SIZE - 1] = _one_hot_cells()[archs]
        self._log_first = np.log(latency_ms)
        return self._seen.copy()

    def observe(
        self, actions: NDArray[np.int64], archs: NDArray[np.int32], latency_ms: NDArray[np.float64]
    ) -> NDArray[np.float32]:
        """See the cells ``(n,)`` that actions ``(n,)`` led to, with their latencies ``(n,)`` in ms."""
        seen = self._seen
        seen[:, STATE_SIZE:-PAIR_SIZE] = seen[:, STATE_SIZE + PAIR_SIZE :]
        newest = seen[:, -PAIR_SIZE:]
        newest[:, :STATE_SIZE] = seen[:, :STATE_SIZE]
        newest[:, STATE_SIZE:] = _one_hot_actions()[actions]
        seen[:, : STATE_SIZE - 1] = _one_hot_cells()[archs]
        log_latency = np.log(latency_ms)
        first = self._log_first = np.where(np.isfinite(self._log_first), self._log_first, log_latency)
        relative = log_latency - np.where(np.isfinite(first), first, 0)  # a failed cell is infinitely slow
        seen[:, STATE_SIZE - 1] = np.clip(relative, -LATENCY_BOUND, LATENCY_BOUND)
        return seen.copy()


class DeviceSampler(Protocol):
    """Where an episode's devices come from; `devices.SyntheticDevices` is one."""

    def sample(self, n: int, rng: np.random.Generator) -> NDArray[np.float64]:
        """Operation latencies in ms of n devices, ``(n, 5)``."""


@dataclass(frozen=True)
class Step:
    """Result of one step of n episodes, each ``(n, …)``; `done` is the same for all of them."""

    observation: NDArray[np.float32]
    reward: NDArray[np.float64]
    done: bool


class Episodes:
    """n episodes side by side, of equal length. All begin and end together.

    Parameters
    ----------
    n
        Number of episodes.
    sampler
        Draws a device for each episode.
    score
        p of all cells, ``(15625,)``, in [0, 1].
    table_ms
        Latencies of one device, ``(15625,)`` in ms, for all episodes; None: devices that `sampler` draws.
    horizon
        Steps per episode, T.

    Attributes
    ----------
    archs
        Current cells, ``(n,)``.
    operation_ms
        The devices of the episodes, ``(n, 5)``.
    sampler
        What the next devices are drawn from.
    """

    def __init__(
        self,
        n: int,
        sampler: DeviceSampler,
        score: NDArray[np.float64],
        *,
        table_ms: NDArray[np.float64] | None = None,
        horizon: int = HORIZON,
    ) -> None:
        self.n, self.horizon = n, horizon
        self._table_ms = table_ms
        self.sampler = sampler
        self._score = score
        self._counts = devices.all_operation_counts()
        self._next = next_archs()
        self._observer = Observer(n)
        self.archs = np.zeros(n, dtype=np.int32)
        self.operation_ms = np.ones((n, space.N_OPERATIONS))
        self.steps = 0

    def begin(self, rng: np.random.Generator) -> NDArray[np.float32]:
        """Draw a device and a uniformly random cell for each episode; return the observations ``(n, 241)``."""
        self.operation_ms = self.sampler.sample(self.n, rng)
        self.archs = rng.integers(space.N_ARCHS, size=self.n, dtype=np.int32)
        self._bounds = self._bounds_ms()
        self.steps = 0
        return self._observer.begin(self.archs, self.latency_ms())

    def latency_ms(self) -> NDArray[np.float64]:
        """Latency of the current cells on their devices, ``(n,)`` in ms."""
        if self._table_ms is not None:
            return self._table_ms[self.archs]
        return np.einsum("no,no->n", self._counts[self.archs], self.operation_ms)

    def _bounds_ms(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Fastest and slowest latency of each episode's device, ``(n,)`` in ms."""
        if self._table_ms is not None:
            return np.full(self.n, self._table_ms.min()), np.full(self.n, self._table_ms.max())
        return space.N_EDGES * self.operation_ms.min(axis=1), space.N_EDGES * self.operation_ms.max(axis=1)

    def inverse_latency(self, latency_ms: NDArray[np.float64]) -> NDArray[np.float64]:
        """ℓ̄ = 1 − ℓ of latencies ``(n,)`` in ms: 1 for each device's fastest cell, 0 for its slowest."""
        return devices.inverse_latency(latency_ms, self._bounds)

    def step(self, actions: NDArray[np.int64]) -> Step:
        """Apply actions ``(n,)``, numbered 5 · edge + operation; reward r = p + ℓ̄ of the cells they lead to."""
        self.archs = self._next[self.archs, actions]
        latency_ms = self.latency_ms()
        reward = self._score[self.archs] + self.inverse_latency(latency_ms)
        observation = self._observer.observe(actions, self.archs, latency_ms)
        self.steps += 1
        return Step(observation, reward, self.steps == self.horizon)


def best_measured(value: NDArray[np.float64], archs: NDArray[np.integer], budget: int) -> NDArray[np.float64]:
    """Highest value among the first `budget` distinct cells of each episode, ``(n,)``.

    Parameters
    ----------
    value, archs
        Of the cells of n episodes in order, ``(steps, n)`` each.
    """
    again = np.tril(archs.T[:, :, None] == archs.T[:, None, :], -1).any(axis=2).T  # (steps, n)
    return np.where(np.cumsum(~again, axis=0) <= budget, value, -np.inf).max(axis=0)
