"""Training the controller's network (`learned_acquisition`): PPO on devices resampled from the known ones.

A device is a known device's smooth part, moved within the prior, with that device's own residuals, shuffled, and a
scale of its own. The posterior is denied the family that it was made from, as it is on a real new device.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from simmore import devices, parallel, space
from simmore.devices import rewards
from simmore.errors import needs
from simmore.models import acquisition
from simmore.models.posterior import Draws
from simmore.models.priors import Prior, fit_variances, known_devices, make_prior, tables
from simmore.rl.shortlist import FEATURES, FOLDS, SHORTLIST, Network, load, network_path, shortlist

if TYPE_CHECKING:
    from stable_baselines3 import PPO

_SHUFFLED, _NEAR = 0.7, 0.8  # shares of devices with shuffled residuals, and of those near a known device
_MOVES = (0.3, 0.7, 1.0)  # standard deviations of the local prior that a device is moved by
_WORTH_COUNTING = 1.5  # random searches' regrets below the optimum: what is worse counts the same


@dataclass(frozen=True)
class Settings:
    """Hyperparameters, all this project's choice."""

    seed: int = 0
    """Of everything."""
    total_steps: int = 28_672
    """Measurements to train on, 14 rollouts: the return moves little after three."""
    n_envs: int = 8
    """Searches side by side."""
    rollout: int = 256
    """Measurements of each between updates."""
    batch_size: int = 512
    """Measurements a minibatch."""
    n_epochs: int = 6
    """Passes over a rollout."""
    learning_rate: float = 1e-3
    """Of Adam."""
    entropy: float = 0.002
    """Weight of the policy's entropy."""
    budget: int = 10
    """Measurements a search, the start included."""
    draws: int = 64
    """Devices drawn from the posterior at every step; fewer than in a search, to be quick."""


class ResampledDevices:
    """Devices like the known ones, but none of them.

    Parameters
    ----------
    known_ms, families
        Tables ``(D, 15625)`` in ms, and their boards.
    prior
        Made of them.
    """

    def __init__(self, known_ms: NDArray[np.float64], families: Sequence[str], prior: Prior) -> None:
        shape = known_ms / known_ms.mean(axis=1, keepdims=True)
        self._prior = prior
        self._scale_ms = known_ms.mean(axis=1)
        self._relative = (shape - prior.centres[1:]) / prior.mean  # residuals (D, cells)
        self._families = np.asarray(families)

    def sample(self, rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Latencies of all cells, ``(15625,)`` in ms, and the components' weights without the family behind them."""
        prior = self._prior
        while True:
            d = int(rng.integers(len(self._scale_ms)))
            near = int(rng.random() < _NEAR)
            move = prior.bases[near] @ rng.standard_normal(prior.bases[near].shape[1])
            shape = prior.centres[1 + d] + rng.choice(_MOVES) * move if near else prior.mean + move
            relative = self._relative[d]
            if rng.random() < _SHUFFLED:
                relative = rng.permutation(relative)
            shape = shape + relative * prior.mean
            if np.quantile(shape, 0.02) >= 0.03:  # latencies are positive, but for a few cells
                break
        latency = np.maximum(shape, 0.005) * self._scale_ms[d]
        if prior.whole_ms[d]:
            latency = np.maximum(np.round(latency), 1)  # a phone's own scale: its timer is part of the device
        else:
            latency *= np.exp(rng.normal())
        weights = prior.weights.copy()
        weights[1:][self._families == self._families[d]] = 0
        return latency, weights / weights.sum()


class AcquisitionEnv(gym.Env[NDArray[np.float32], np.int64]):
    """One search on one resampled device.

    ## Action
    ``Discrete(32)``: the shortlisted cell to measure next.

    ## Observation
    ``Box``, float32 ``(32, 15)``, see `learned_acquisition.shortlist`.

    ## Reward
    The improvement of the best reward in hand, in regrets of random search, those below 1.5 of them not counted.

    ## Episode
    From a uniformly random cell to `Settings.budget` measurements, then terminated.
    """

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012

    def __init__(
        self, draws: Draws, sampler: ResampledDevices, score: NDArray[np.float64], *, seed: int, budget: int
    ) -> None:
        self._draws, self._sampler, self._score, self._budget = draws, sampler, score, budget
        self._rng = np.random.default_rng(seed)
        self.observation_space = gym.spaces.Box(-np.inf, np.inf, (SHORTLIST, FEATURES), np.float32)
        self.action_space: gym.spaces.Space[Any] = gym.spaces.Discrete(SHORTLIST)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        super().reset(seed=seed)
        self._latency, weights = self._sampler.sample(self._rng)
        self._prior = dataclasses.replace(self._draws.prior, weights=weights)
        self._reward = rewards.reward(self._score, self._latency)
        self._worth = self._reward.max() - rewards.random_search_reward(self._reward)
        self._measured = [int(self._rng.integers(space.N_ARCHS))]
        self._best = max(self._reward[self._measured[0]], self._reward.max() - _WORTH_COUNTING * self._worth)
        return self._observe(), {}

    def step(self, action: np.int64) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        arch = int(self._listed.archs[action])
        self._measured.append(arch)
        best = max(self._best, self._reward[arch])
        gain, self._best = (best - self._best) / self._worth, best
        over = len(self._measured) == self._budget
        seen = np.zeros((SHORTLIST, FEATURES), dtype=np.float32) if over else self._observe()
        return seen, float(gain), over, False, {}

    def _observe(self) -> NDArray[np.float32]:
        draws = self._draws.with_prior(self._prior)
        self._listed = shortlist(draws, self._score, self._measured, self._latency[self._measured])
        return self._listed.features


def train(fold: str, score: NDArray[np.float64], settings: Settings | None = None) -> Network:
    """Train the network of one fold, on one core, in about two minutes."""
    with needs("torch", "stable_baselines3"):
        import torch
        from stable_baselines3.common.logger import Logger
        from stable_baselines3.common.vec_env import DummyVecEnv

    settings = settings or Settings()
    started, threads = time.perf_counter(), torch.get_num_threads()
    torch.set_num_threads(1)
    known = [d for d in known_devices() if devices.family(d.name) not in FOLDS[fold]]
    families = [devices.family(device.name) for device in known]
    known_ms = tables(known)
    prior = make_prior(known_ms, fit_variances(known_ms, families))
    sampler = ResampledDevices(known_ms, families, prior)
    draws = Draws(prior, acquisition.candidates(prior, score), n=settings.draws)

    def environment(number: int) -> Callable[[], AcquisitionEnv]:
        seed = 100 * settings.seed + number
        return lambda: AcquisitionEnv(draws, sampler, score, seed=seed, budget=settings.budget)

    try:
        model = _learner(DummyVecEnv([environment(k) for k in range(settings.n_envs)]), settings)
        model.set_logger(Logger(folder=None, output_formats=[]))
        returns = _Returns(settings.n_envs)
        model.learn(settings.total_steps, callback=returns)
    finally:
        torch.set_num_threads(threads)
    description = {
        "algorithm": "PPO",
        "settings": dataclasses.asdict(settings),
        "devices": [device.name for device in known],
        "returns": [round(value, 4) for value in returns.means],
        "seconds": round(time.perf_counter() - started, 1),
    }
    return to_network(model, description)


def train_all(score: NDArray[np.float64], *, n_jobs: int = -1) -> None:
    """Train the networks of all folds, several at a time, and write the package's tables."""
    from tqdm.auto import tqdm

    tasks = [(fold, score) for fold in FOLDS]
    for fold, network in tqdm(parallel.unordered(_train_one, tasks, n_jobs=n_jobs), total=len(tasks), disable=None):
        network.save(network_path(fold))
    load.cache_clear()


def _train_one(task: tuple[str, NDArray[np.float64]]) -> tuple[str, Network]:
    return task[0], train(*task)


class _Returns:
    """Mean return of the searches of each rollout; a callback of stable-baselines3."""

    def __init__(self, n_envs: int) -> None:
        self._running = np.zeros(n_envs)
        self._finished: list[float] = []
        self.means: list[float] = []

    def __call__(self, local: dict[str, Any], _: dict[str, Any]) -> bool:
        self._running += local["rewards"]
        for k in np.flatnonzero(local["dones"]):
            self._finished.append(float(self._running[k]))
            self._running[k] = 0
        if local["n_steps"] + 1 == local["n_rollout_steps"]:
            self.means.append(float(np.mean(self._finished)))
            self._finished.clear()
        return True


def _learner(environments: Any, settings: Settings) -> PPO:
    """PPO with a policy that scores each cell of the shortlist by the same small network."""
    import torch
    from stable_baselines3 import PPO
    from stable_baselines3.common.policies import ActorCriticPolicy
    from torch import nn

    class Cells(nn.Module):
        """From a shortlist ``(n, 32, 15)``: logits ``(n, 32)`` and what the value is read from."""

        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(nn.Linear(FEATURES, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh())
            self.head = nn.Linear(32, 1, bias=False)
            self.beta = nn.Parameter(torch.tensor(4.0))
            self.value = nn.Sequential(nn.Linear(FEATURES, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh())
            self.latent_dim_pi, self.latent_dim_vf = SHORTLIST, 32

        def forward(self, seen: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return self.forward_actor(seen), self.forward_critic(seen)

        def forward_actor(self, seen: torch.Tensor) -> torch.Tensor:
            cells = seen.reshape(len(seen), SHORTLIST, FEATURES)
            improvement = cells[..., 0] - cells[..., 0].amax(1, keepdim=True)
            return self.beta * improvement + self.head(self.body(cells))[..., 0]

        def forward_critic(self, seen: torch.Tensor) -> torch.Tensor:
            return self.value(seen.reshape(len(seen), SHORTLIST, FEATURES)[:, :4]).mean(1)  # the four most promising

    class Policy(ActorCriticPolicy):
        """The logits are the network's own; nothing is learnt on top of them."""

        def _build_mlp_extractor(self) -> None:
            self.mlp_extractor: Any = Cells()

        def _build(self, lr_schedule: Any) -> None:
            super()._build(lr_schedule)
            self.action_net = nn.Identity()
            # the orthogonal initialisation of the parent would undo the zero head
            nn.init.zeros_(self.mlp_extractor.head.weight)
            optimizer: Any = self.optimizer_class
            self.optimizer = optimizer(self.parameters(), lr=lr_schedule(1), **self.optimizer_kwargs)

    return PPO(
        Policy,
        environments,
        n_steps=settings.rollout,
        batch_size=settings.batch_size,
        n_epochs=settings.n_epochs,
        gamma=1.0,
        gae_lambda=0.95,
        learning_rate=settings.learning_rate,
        ent_coef=settings.entropy,
        seed=settings.seed,
        device="cpu",
    )


def to_network(model: PPO, description: dict[str, Any]) -> Network:
    """The policy as plain arrays."""
    cells: Any = model.policy.mlp_extractor
    first, second, head = (
        layer.weight.detach().numpy().T.copy() for layer in (cells.body[0], cells.body[2], cells.head)
    )
    b1, b2 = (layer.bias.detach().numpy().copy() for layer in (cells.body[0], cells.body[2]))
    return Network(first, b1, second, b2, head, float(cells.beta.detach()), description)
