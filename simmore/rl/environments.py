"""The MDP as environments: `CellEnv` for gymnasium, `CellVecEnv` for stable-baselines3, both on `mdp.Episodes`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper

from simmore import space
from simmore.rl.mdp import (
    HISTORY,
    LATENCY_BOUND,
    OBSERVATION_SIZE,
    PAIR_SIZE,
    STATE_SIZE,
    DeviceSampler,
    Episodes,
)


def observation_space() -> gym.spaces.Box:
    """Float32 ``(241,)``: one-hot parts in [0, 1], log-latencies in [−10, 10]."""
    low = np.zeros(OBSERVATION_SIZE, dtype=np.float32)
    high = np.ones(OBSERVATION_SIZE, dtype=np.float32)
    latencies = [STATE_SIZE - 1, *(STATE_SIZE + k * PAIR_SIZE + STATE_SIZE - 1 for k in range(HISTORY))]
    low[latencies], high[latencies] = -LATENCY_BOUND, LATENCY_BOUND
    return gym.spaces.Box(low, high, dtype=np.float32)


class CellEnv(gym.Env[NDArray[np.float32], NDArray[np.int64]]):
    """Edit one cell on one synthetic device.

    ## Action
    ``MultiDiscrete([6, 5])``: ``[edge, operation]`` puts the operation on the edge; it may leave the cell as it is.

    ## Observation
    ``Box``, float32 ``(241,)``, see `Observer`. Nothing in it that an unknown device would not reveal.

    ## Reward
    r = p + ℓ̄ ∈ [0, 2] of the cell after the action (paper, section 3.1); ℓ̄ is normalised over the device's
    fastest and slowest cell, which the reward may know and the observation not.

    ## Episode
    Starts at a uniformly random cell on a newly drawn device; truncated after 50 steps, never terminated.
    `info`: ``arch`` (NATS index) and ``latency_ms``.

    Parameters
    ----------
    sampler
        Draws the device, anew at every reset.
    score
        p of all cells, ``(15625,)``.
    """

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012

    def __init__(self, sampler: DeviceSampler, score: NDArray[np.float64]) -> None:
        self._episode = Episodes(1, sampler, score)
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
    """Many `CellEnv` side by side, stepped in a few array operations; all episodes begin and end together.

    Parameters
    ----------
    n
        How many environments.
    sampler, score
        As for `CellEnv`.
    seed
        Of the generator that draws devices and start cells; `reseed` sets another.
    table_ms
        Latencies of one device, ``(15625,)``, in place of drawn ones (`Episodes`).
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
    ) -> None:
        self._episodes = Episodes(n, sampler, score, table_ms=table_ms)
        self._rng = np.random.default_rng(seed)
        self._actions = np.zeros(n, dtype=np.int64)
        super().__init__(n, observation_space(), gym.spaces.MultiDiscrete([space.N_EDGES, space.N_OPERATIONS]))

    def reseed(self, seed: int | Sequence[int]) -> None:
        """Draw from a new generator, from the next reset on."""
        self._rng = np.random.default_rng(seed)

    def reset(self) -> NDArray[np.float32]:
        return self._episodes.begin(self._rng)

    def step_async(self, actions: NDArray[np.int64]) -> None:
        self._actions = actions[:, 0] * space.N_OPERATIONS + actions[:, 1]

    def step_wait(self) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_], list[dict[str, Any]]]:
        step = self._episodes.step(self._actions)
        observation = step.observation
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        if step.done:
            # the episode is cut, not over: the learner bootstraps from the last state's value
            for info, last in zip(infos, step.observation, strict=True):
                info.update({"terminal_observation": last, "TimeLimit.truncated": True})
            observation = self._episodes.begin(self._rng)
        return observation, step.reward.astype(np.float32), np.full(self.num_envs, step.done), infos

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


class CurrentStateOnly(VecEnvWrapper):
    """Hides the past: of an observation only the current cell and its latency are left, the rest is zero."""

    def reset(self) -> NDArray[np.float32]:
        return self._hide(self.venv.reset())

    def step_wait(self) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_], list[dict[str, Any]]]:
        observation, reward, done, infos = self.venv.step_wait()
        for info in infos:
            if "terminal_observation" in info:
                info["terminal_observation"] = self._hide(info["terminal_observation"])
        return self._hide(observation), reward, done, infos

    @staticmethod
    def _hide(observation: Any) -> NDArray[np.float32]:
        hidden = np.array(observation, dtype=np.float32)
        hidden[..., STATE_SIZE:] = 0
        return hidden
