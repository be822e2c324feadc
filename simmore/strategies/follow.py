"""The paper's search: follow a trained policy, which edits one cell step by step."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simmore import space
from simmore.rl import mdp
from simmore.rl.policy import Policy
from simmore.strategies.problem import History


class FollowPolicy:
    """Take the policy's edits, one at a time, for one episode.

    A cell of the history that the policy did not choose counts as its edit if it differs from the previous cell on one
    edge. Otherwise a new episode starts there.

    Parameters
    ----------
    policy
        A trained policy.
    greedy
        Take the most likely edit instead of a random one.
    blind
        Show the policy the latency of the first cell at every step: a control that cannot adapt to the device.
    """

    def __init__(self, policy: Policy, *, greedy: bool = False, blind: bool = False) -> None:
        self._policy, self._greedy, self._blind = policy, greedy, blind
        self._observer = mdp.Observer(1)
        self._observation: NDArray[np.float32] | None = None
        self._seen = 0  # steps of the history that the observation holds
        self._action: NDArray[np.int64] | None = None  # the edit whose result is awaited

    def ask(self, history: History, rng: np.random.Generator, remaining: int) -> int | None:
        for k in range(self._seen, len(history.steps)):
            self._observe(history, k)
        self._seen = len(history.steps)
        if self._seen > mdp.HORIZON or self._observation is None:
            return None
        self._action = self._policy.act(self._observation, None if self._greedy else rng)
        here = history.steps[-1][0]
        return int(mdp.next_archs()[here, self._action[0]])

    def _observe(self, history: History, k: int) -> None:
        """Add step k of the history to the observation."""
        arch, latency = history.steps[k]
        # relative to the first cell: latencies may be revised together, for example where the machine's speed changes
        first = next((one for _, one in history.steps if np.isfinite(one)), 1.0)
        cell, latency_ms = np.array([arch], dtype=np.int32), np.array([1.0 if self._blind else latency / first])
        before = history.steps[k - 1][0] if k else None
        action, self._action = self._action, None
        if before is not None and (action is None or mdp.next_archs()[before, action[0]] != arch):
            (edges,) = np.nonzero(space.to_ops(before) != space.to_ops(arch))
            action = None
            if len(edges) == 1:
                action = np.array([edges[0] * space.N_OPERATIONS + space.to_ops(arch)[edges[0]]])
        if action is None:
            self._observation = self._observer.begin(cell, latency_ms)
        else:
            self._observation = self._observer.observe(action, cell, latency_ms)
