"""The MDP as environments: `CellEnv` for gymnasium, `CellVecEnv` for stable-baselines3. Both run `mdp.Episodes`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv

from simmore import devices, proxies, space
from simmore.rl.mdp import (
    HORIZON,
    LATENCIES,
    LATENCY_BOUND,
    OBSERVATION_SIZE,
    STATE_SIZE,
    DeviceSampler,
    Episodes,
)


def observation_space() -> gym.spaces.Box:
    """Float32 ``(241,)``: one-hot parts in [0, 1], log-latencies in [−10, 10]."""
    low = np.zeros(OBSERVATION_SIZE, dtype=np.float32)
    high = np.ones(OBSERVATION_SIZE, dtype=np.float32)
    low[LATENCIES], high[LATENCIES] = -LATENCY_BOUND, LATENCY_BOUND
    return gym.spaces.Box(low, high, dtype=np.float32)


class CellEnv(gym.Env[NDArray[np.float32], NDArray[np.int64]]):
    """Edit one cell of NATS-Bench on a synthetic device (paper, section 3.1).

    ## Description
    The agent edits one operation of a cell per step. After each edit it sees the cell's latency on the device. It
    never sees what is unknown on a new device: the latencies of other cells, the fastest and the slowest latency.

    ## Action Space
    ``MultiDiscrete([6, 5])``: ``[edge, operation]`` puts the operation on the edge. An action may leave the cell as
    it is.

    | Num | Action    | Values                                                                           |
    |-----|-----------|----------------------------------------------------------------------------------|
    | 0   | edge      | 0→1, 0→2, 1→2, 0→3, 1→3, 2→3                                                     |
    | 1   | operation | `none`, `skip_connect`, `nor_conv_1x1`, `nor_conv_3x3`, `avg_pool_3x3`           |

    ## Observation Space
    ``Box``, float32 ``(241,)``. The last five steps stand oldest first; steps before the start are zeros. ℓ₀ is the
    latency of the episode's first cell.

    | Num        | Observation                                                | Min | Max |
    |------------|------------------------------------------------------------|-----|-----|
    | 0–29       | current cell: one-hot operation of each edge               | 0   | 1   |
    | 30         | its latency, ln(ℓ / ℓ₀)                                    | −10 | 10  |
    | 31 + 42k … | past step k = 0 … 4: its cell, 30 numbers as above         | 0   | 1   |
    | 61 + 42k   | its latency, ln(ℓ / ℓ₀)                                    | −10 | 10  |
    | 62 + 42k … | the action taken there: one-hot edge (6) and operation (5) | 0   | 1   |

    ## Rewards
    r = p + ℓ̄ ∈ [0, 2] of the cell after the action: its training-free score p, and its inverse latency ℓ̄, which is 1
    for the device's fastest cell and 0 for its slowest.

    ## Starting State
    A cell drawn uniformly, on a device drawn anew at every reset.

    ## Episode End
    The episode is truncated after 50 steps. It never terminates.

    ## Info
    ``arch`` (NATS index of the current cell) and ``latency_ms`` (its latency in ms).

    ## Arguments
    ``gymnasium.make("simmore/Cell-v0")`` takes both parameters as keywords.

    Parameters
    ----------
    sampler
        Ξ, the distribution of the devices; by default fitted to the paper's 18 devices.
    score
        p of all cells, ``(15625,)`` in [0, 1]; by default the stored score on CIFAR-10.
    """

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012

    def __init__(self, sampler: DeviceSampler | None = None, score: NDArray[np.float64] | None = None) -> None:
        sampler = devices.SyntheticDevices.fit() if sampler is None else sampler
        self._episode = Episodes(1, sampler, proxies.stored_score() if score is None else score)
        self.action_space = gym.spaces.MultiDiscrete([space.N_EDGES, space.N_OPERATIONS])
        self.observation_space: gym.spaces.Space[Any] = observation_space()

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        super().reset(seed=seed)
        observation = self._episode.begin(self.np_random)
        return observation[0], self._info()

    def step(self, action: NDArray[np.int64]) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        edge, operation = action
        step = self._episode.step(np.array([edge * space.N_OPERATIONS + operation]))
        return step.observation[0], float(step.reward[0]), False, step.done, self._info()

    def _info(self) -> dict[str, Any]:
        return {"arch": int(self._episode.archs[0]), "latency_ms": float(self._episode.latency_ms()[0])}


class CellVecEnv(VecEnv):
    """Many `CellEnv` side by side, stepped in a few array operations. All episodes begin and end together.

    Parameters
    ----------
    n
        Number of environments.
    sampler, score
        As for `CellEnv`.
    seed
        Seed of the generator that draws devices and start cells; `reseed` sets another.
    table_ms
        Latencies of one device, ``(15625,)`` in ms, in place of drawn devices (`Episodes`).
    sees_history
        False: observations show only the current cell and its latency; the rest is zero.
    horizon
        Steps per episode.

    Attributes
    ----------
    episodes
        The episodes that run.
    """

    render_mode = None

    def __init__(
        self,
        n: int,
        sampler: DeviceSampler,
        score: NDArray[np.float64],
        *,
        seed: int = 0,
        table_ms: NDArray[np.float64] | None = None,
        sees_history: bool = True,
        horizon: int = HORIZON,
    ) -> None:
        self._sees_history = sees_history
        self.episodes = Episodes(n, sampler, score, table_ms=table_ms, horizon=horizon)
        self._rng = np.random.default_rng(seed)
        self._actions = np.zeros(n, dtype=np.int64)
        super().__init__(n, observation_space(), gym.spaces.MultiDiscrete([space.N_EDGES, space.N_OPERATIONS]))

    def reseed(self, seed: int | Sequence[int]) -> None:
        """Draw from a new generator, from the next reset on."""
        self._rng = np.random.default_rng(seed)

    def reset(self) -> NDArray[np.float32]:
        return self._shown(self.episodes.begin(self._rng))

    def step_async(self, actions: NDArray[np.int64]) -> None:
        self._actions = actions[:, 0] * space.N_OPERATIONS + actions[:, 1]

    def step_wait(self) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_], list[dict[str, Any]]]:
        step = self.episodes.step(self._actions)
        observation = self._shown(step.observation)
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        if step.done:
            # the episode is truncated: the learner bootstraps from the value of the last state
            for info, last in zip(infos, observation, strict=True):
                info.update({"terminal_observation": last, "TimeLimit.truncated": True})
            observation = self.reset()
        return observation, step.reward.astype(np.float32), np.full(self.num_envs, step.done), infos

    def _shown(self, observation: NDArray[np.float32]) -> NDArray[np.float32]:
        if not self._sees_history:
            observation[:, STATE_SIZE:] = 0
        return observation

    def close(self) -> None:
        pass

    def env_is_wrapped(self, wrapper_class: type, indices: Any = None) -> list[bool]:
        return [False] * self.num_envs

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        return [getattr(self, attr_name)] * self.num_envs

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        setattr(self, attr_name, value)

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
        return [getattr(self, method_name)(*args, **kwargs)] * self.num_envs
