"""Training of the shortlist's policy (`simmore.rl.shortlist`): PPO on devices resampled from the known ones.

A resampled device is a known device's smooth part, moved within the prior, plus the device's own residuals, shuffled,
at a scale of its own. The posterior does not know the family that the device was made from, as on a new device.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from simmore import devices, parallel, space
from simmore.models import acquisition
from simmore.models.known import known_devices, tables
from simmore.models.posterior import Sampler
from simmore.models.priors import COARSE, Prior, mixture_prior
from simmore.models.variances import fit_variances
from simmore.rl import learner
from simmore.rl.policy import POLICIES
from simmore.rl.shortlist import FEATURES, FOLDS, SHORTLIST, Network, load, shortlist

if TYPE_CHECKING:
    from stable_baselines3 import PPO

# settings of PPO, all this project's choice
PPO_SETTINGS: dict[str, Any] = {
    "n_steps": 256,  # measurements in each environment between updates
    "batch_size": 512,
    "n_epochs": 6,
    "learning_rate": 1e-3,
    "ent_coef": 0.002,
    "gamma": 1.0,
    "gae_lambda": 0.95,
}
_SHUFFLED, _NEAR = 0.7, 0.8  # shares of devices with shuffled residuals, and of those near a known device
_MOVES = (0.3, 0.7, 1.0)  # standard deviations of the local prior that a device is moved by
_WORST_REGRET = 1.5  # normalised regret; every larger one counts as this


class ResampledDevices:
    """Devices that resemble the known ones.

    Parameters
    ----------
    known_ms, families
        Latencies of the known devices, ``(D, 15625)`` in ms, and their families, ``(D,)``.
    prior
        Made from these tables.
    """

    def __init__(self, known_ms: NDArray[np.float64], families: Sequence[str], prior: Prior) -> None:
        shape = known_ms / known_ms.mean(axis=1, keepdims=True)
        self._prior = prior
        self._scale_ms = known_ms.mean(axis=1)
        self._relative = (shape - prior.centres[1:]) / prior.mean  # residuals (D, cells)
        self._families = np.asarray(families)

    def sample(self, rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Draw a device.

        Returns
        -------
        latency_ms
            Of all cells, ``(15625,)``.
        weights
            Of the prior's components, ``(1 + D,)``: zero for the family that the device was made from.
        """
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
            if np.quantile(shape, 0.02) >= 0.03:  # almost all latencies are positive
                break
        latency = np.maximum(shape, 0.005) * self._scale_ms[d]
        if prior.inflation is not None and prior.inflation.resolution[d] > COARSE:
            step = prior.inflation.resolution[d] * self._scale_ms[d]
            latency = np.maximum(np.round(latency / step), 1) * step  # such a device keeps its scale, like its timer
        else:
            latency *= np.exp(rng.normal())
        weights = prior.weights.copy()
        weights[1:][self._families == self._families[d]] = 0
        return latency, weights / weights.sum()


class AcquisitionEnv(gym.Env[NDArray[np.float32], np.int64]):
    """Search one resampled device: choose the next cell to measure from a shortlist.

    ## Description
    Each step measures one cell. The posterior is updated, and a new shortlist of promising cells is made.

    ## Action Space
    ``Discrete(32)``: position in the shortlist of the cell to measure next.

    ## Observation Space
    ``Box``, float32 ``(32, 15)``: the features of the shortlisted cells, see `shortlist.shortlist`. The observation
    after the last measurement is zero.

    ## Rewards
    The improvement of the incumbent (the best measured cell), as a difference of normalised regrets. Regrets above
    1.5 count as 1.5, so rewards are in [0, 1.5].

    ## Starting State
    One measured cell, drawn uniformly, on a device drawn anew at every reset.

    ## Episode End
    The episode terminates after `budget` measurements, the start included.

    Parameters
    ----------
    posterior
        Samples devices on the candidates.
    device_sampler
        Draws the devices.
    score
        p of all cells, ``(15625,)``.
    budget
        Measurements per search.
    """

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012

    def __init__(
        self, posterior: Sampler, device_sampler: ResampledDevices, score: NDArray[np.float64], *, budget: int = 10
    ) -> None:
        self._posterior, self._sampler, self._score, self._budget = posterior, device_sampler, score, budget
        self.observation_space = gym.spaces.Box(-np.inf, np.inf, (SHORTLIST, FEATURES), np.float32)
        self.action_space: gym.spaces.Space[Any] = gym.spaces.Discrete(SHORTLIST)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        super().reset(seed=seed)
        self._latency, weights = self._sampler.sample(self.np_random)
        self._prior = dataclasses.replace(self._posterior.prior, weights=weights)
        self._reward = devices.reward(self._score, self._latency)
        self._unit = self._reward.max() - devices.random_search_reward(self._reward)
        self._measured = [int(self.np_random.integers(space.N_ARCHS))]
        self._best = max(self._reward[self._measured[0]], self._reward.max() - _WORST_REGRET * self._unit)
        return self._observe(), {}

    def step(self, action: np.int64) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        arch = int(self._listed.archs[action])
        self._measured.append(arch)
        best = max(self._best, self._reward[arch])
        reward, self._best = (best - self._best) / self._unit, best
        over = len(self._measured) == self._budget
        seen = np.zeros((SHORTLIST, FEATURES), dtype=np.float32) if over else self._observe()
        return seen, float(reward), over, False, {}

    def _observe(self) -> NDArray[np.float32]:
        latency = self._latency[self._measured]
        self._listed = shortlist(self._posterior, self._score, self._measured, latency, prior=self._prior)
        return self._listed.features


def train(
    known: Sequence[devices.Device],
    score: NDArray[np.float64],
    *,
    seed: int = 0,
    total_steps: int = 28_672,
    n_envs: int = 8,
    samples: int = 64,
    **ppo: Any,
) -> Network:
    """Train a network, on one core, in about two minutes.

    Parameters
    ----------
    known
        Devices that the prior and the resampled devices are made from.
    score
        p of all cells, ``(15625,)``.
    seed
        Of weights, devices, start cells, actions and minibatches.
    total_steps
        Measurements to train on. By default 14 rollouts; the return changes little after three.
    n_envs
        Searches side by side.
    samples
        Posterior samples at every step; fewer than in a search, for speed.
    **ppo
        Changes to `PPO_SETTINGS`.

    Raises
    ------
    MissingPackage
        If torch or stable-baselines3 is not installed.
    """
    started = time.perf_counter()
    settings = {**PPO_SETTINGS, **ppo}
    families = [devices.family(device.name) for device in known]
    known_ms = tables(known)
    prior = mixture_prior(known_ms, fit_variances(known_ms, families))
    sampler = ResampledDevices(known_ms, families, prior)
    rng = np.random.default_rng(seed)
    posterior = Sampler(prior, acquisition.candidates(prior, score, 1.0, rng), n=samples, rng=rng)
    returns = []
    with learner.one_thread():
        from stable_baselines3.common.monitor import Monitor
        from stable_baselines3.common.vec_env import DummyVecEnv

        environments = DummyVecEnv([lambda: Monitor(AcquisitionEnv(posterior, sampler, score))] * n_envs)
        model = _model(environments, seed, settings)
        environments.seed(100 * seed)  # trainings with different seeds share no environment's seed
        while model.num_timesteps < total_steps:
            model.learn(settings["n_steps"] * n_envs, reset_num_timesteps=False)
            episodes: Any = model.ep_info_buffer
            returns.append(round(float(np.mean([episode["r"] for episode in episodes])), 4))
            episodes.clear()
    description = {
        "settings": {"seed": seed, "total_steps": total_steps, "n_envs": n_envs, "samples": samples, **settings},
        "devices": [device.name for device in known],
        "returns": returns,  # mean per rollout
        "seconds": round(time.perf_counter() - started, 1),
    }
    return to_network(model, description)


def train_all(score: NDArray[np.float64], *, n_jobs: int = -1) -> None:
    """Train the networks of all folds, several at a time, and write the package's policies."""
    results = parallel.unordered(partial(_train_fold, score=score), list(FOLDS), n_jobs=n_jobs)
    for fold, network in tqdm(results, total=len(FOLDS), desc="training networks", disable=None):
        network.save(POLICIES / f"shortlist_{fold}", overwrite=True)
    load.cache_clear()


def _train_fold(fold: str, score: NDArray[np.float64]) -> tuple[str, Network]:
    return fold, train([device for device in known_devices() if devices.family(device.name) not in FOLDS[fold]], score)


def _model(environments: Any, seed: int, settings: dict[str, Any]) -> PPO:
    """PPO with a policy that scores each cell of the shortlist by the same small network."""
    import torch
    from stable_baselines3 import PPO
    from stable_baselines3.common.policies import ActorCriticPolicy
    from torch import nn

    class Cells(nn.Module):
        """From shortlists ``(n, 32, 15)``: logits ``(n, 32)`` and features ``(n, 32)`` of the value."""

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
        """The network's outputs are the logits, without another layer."""

        def _build_mlp_extractor(self) -> None:
            self.mlp_extractor: Any = Cells()

        def _build(self, lr_schedule: Any) -> None:
            super()._build(lr_schedule)
            self.action_net = nn.Identity()
            # after the parent's orthogonal initialisation
            nn.init.zeros_(self.mlp_extractor.head.weight)
            optimizer: Any = self.optimizer_class
            self.optimizer = optimizer(self.parameters(), lr=lr_schedule(1), **self.optimizer_kwargs)

    model = PPO(Policy, environments, seed=seed, device="cpu", stats_window_size=10_000, **settings)
    learner.without_log(model)
    return model


def to_network(model: PPO, description: dict[str, Any]) -> Network:
    """The learner's policy as plain arrays."""
    cells: Any = model.policy.mlp_extractor
    weights, biases = learner.layer_arrays([*cells.body, cells.head])
    return Network(weights, biases, description, beta=cells.beta.detach().numpy().reshape(1).copy())
