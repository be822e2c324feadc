"""Training of the paper's policy: PPO on synthetic devices, resumable and reproducible.

Source: the paper's section 4 (T = 50, γ = 0.6, ε = 0.2, 500,000 steps, a new device at every reset). `Settings` lists
what it leaves open.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import time
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm.auto import tqdm

from simmore import data, devices, parallel, space
from simmore.errors import needs
from simmore.files import read_kept, replace
from simmore.rl import learner, mdp
from simmore.rl.policy import Policy

if TYPE_CHECKING:
    from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm

ALGORITHMS = ("PPO", "TRPO", "A2C")
REFERENCE_OPERATION = space.OPERATIONS.index("nor_conv_3x3")  # h_ref of Fig. 5 e: 3×3 convolutions only


@dataclass(frozen=True)
class Settings:
    """Hyperparameters. Those of the paper's section 4 are marked; the others are this project's choice."""

    seed: int = 0
    """Seed of weights, devices, start cells, actions and minibatches."""
    total_steps: int = 500_000
    """Transitions to train on (paper)."""
    gamma: float = 0.6
    """Discount factor (paper)."""
    clip_range: float = 0.2
    """PPO's ε (paper)."""
    horizon: int = mdp.HORIZON
    """Steps of an episode in training, T (paper); evaluations and searches always use the paper's."""
    n_envs: int = 100
    """Episodes side by side; a rollout is one whole episode of each, 100 × 50 transitions."""
    learning_rate: float = 3e-4
    """Learning rate of Adam."""
    batch_size: int = 1_000
    """Transitions per minibatch."""
    n_epochs: int = 10
    """Passes over a rollout."""
    gae_lambda: float = 0.95
    """λ of the generalised advantage estimate."""
    hidden: tuple[int, ...] = (64, 64)
    """Units of the hidden layers, of the policy and of the value function alike."""
    evaluate_every: int = 10_000
    """Transitions between evaluations; a full training has 51 of them, the first before any training."""
    evaluation_episodes: int = 20
    """Test episodes per evaluation (paper, Fig. 5), each on a new device."""
    algorithm: str = "PPO"
    """One of `ALGORITHMS`: PPO (paper), or TRPO or A2C with the settings that they share with PPO."""
    sees_history: bool = True
    """False: the policy sees only the current cell and its latency, not the last five (state, action) pairs."""

    def __post_init__(self) -> None:
        rollout = self.rollout_steps
        if self.algorithm not in ALGORITHMS:
            raise ValueError(f"no algorithm {self.algorithm!r}: choose one of {', '.join(ALGORITHMS)}")
        if self.total_steps < rollout or self.total_steps % rollout or self.evaluate_every % rollout:
            raise ValueError(
                f"total_steps ({self.total_steps}) and evaluate_every ({self.evaluate_every}) must be multiples of a "
                f"rollout, {self.n_envs} environments × {self.horizon} steps = {rollout}"
            )

    @property
    def rollout_steps(self) -> int:
        """Transitions in one rollout."""
        return self.n_envs * self.horizon


@dataclass(frozen=True)
class Training:
    """Result of a training: the policy, and the learning curve of Fig. 5 with one row per evaluation."""

    policy: Policy
    curve: pd.DataFrame


def evaluate(
    policy: Policy,
    sampler: devices.SyntheticDevices,
    score: NDArray[np.float64],
    *,
    n_episodes: int = 20,
    rng: np.random.Generator,
) -> dict[str, float]:
    """Metrics of Fig. 5, means over test episodes on newly drawn devices.

    Returns
    -------
    dict
        Of the last cell h_T: ``score``, ``inverse_latency``, ``latency_percentile`` (% of the 15,625 cells that
        are at most as slow on that device), ``val_accuracy`` (%, CIFAR-10, never used in training); of the
        reference cell: ``reference_latency_ms``; of the episode: ``episode_return`` (undiscounted sum of rewards).
    """
    episodes = mdp.Episodes(n_episodes, sampler, score)
    observation = episodes.begin(rng)
    episode_return = np.zeros(n_episodes)
    for _ in range(mdp.HORIZON):
        step = episodes.step(policy.act(observation, rng))
        observation = step.observation
        episode_return += step.reward
    latency = episodes.latency_ms()
    table = devices.all_operation_counts() @ episodes.operation_ms.T  # (cells, episodes)
    reference = devices.all_operation_counts()[space.single_operation_archs()[REFERENCE_OPERATION]]
    figures = {
        "score": score[episodes.archs].mean(),
        "inverse_latency": episodes.inverse_latency(latency).mean(),
        "latency_percentile": 100 * (table <= latency * (1 + 1e-12)).mean(),
        "val_accuracy": data.accuracy("cifar10")[episodes.archs].mean(),
        "reference_latency_ms": (episodes.operation_ms @ reference).mean(),
        "episode_return": episode_return.mean(),
    }
    return {name: float(value) for name, value in figures.items()}


def train(
    settings: Settings,
    sampler: devices.SyntheticDevices,
    score: NDArray[np.float64],
    *,
    folder: Path | None = None,
    progress: bool = True,
    description: str = "training",
    table_ms: NDArray[np.float64] | None = None,
) -> Training:
    """Train a policy on devices of Ξ, the distribution of synthetic devices, or on one device.

    Parameters
    ----------
    settings
        Hyperparameters and seed. The same settings give the same policy on the same machine.
    sampler
        Ξ, fitted without the devices that the policy will be tested on.
    score
        p of all cells, ``(15625,)``.
    folder
        Folder for checkpoints, with a subfolder for each set of arguments. An interrupted training is resumed from
        its last checkpoint, with identical results; a finished one is read back. A damaged checkpoint is set aside,
        and the training begins anew.
    progress
        Show a progress bar, in a terminal or a notebook.
    description
        Label of the progress bar.
    table_ms
        Latencies of one device, ``(15625,)`` in ms, to train on alone. Evaluations still use devices from `sampler`.

    Raises
    ------
    MissingPackage
        If torch, stable-baselines3 or, for TRPO, sb3-contrib is not installed.
    """
    started = time.perf_counter()
    with learner.one_thread():
        origin = _origin(settings, sampler, score, table_ms)
        digest = hashlib.sha256(json.dumps(origin, sort_keys=True).encode()).hexdigest()
        checkpoint = folder / digest[:16] / "checkpoint.pt" if folder is not None else None
        new_model = partial(make_model, settings, sampler, score, table_ms)
        resumed = read_kept(checkpoint, partial(_resume, new_model, settings)) if checkpoint is not None else None
        model, curve, spent = resumed or (new_model(), [], 0.0)
        with tqdm(
            total=settings.total_steps,
            initial=model.num_timesteps,
            desc=description,
            unit=" steps",
            unit_scale=True,
            disable=None if progress else True,
        ) as bar:
            if not curve:
                curve.append(_evaluation(model, settings, sampler, score))
            while model.num_timesteps < settings.total_steps:
                begin_rollout(model, settings)
                model.learn(settings.rollout_steps, reset_num_timesteps=False)
                bar.update(settings.rollout_steps)
                if model.num_timesteps % settings.evaluate_every == 0:
                    curve.append(_evaluation(model, settings, sampler, score))
                    if checkpoint is not None:
                        _save_checkpoint(checkpoint, model, curve, spent + time.perf_counter() - started)
    seconds = round(spent + time.perf_counter() - started, 1)
    return Training(to_policy(model, settings, {**origin, "seconds": seconds}), pd.DataFrame(curve))


def train_seeds(
    settings: Settings,
    seeds: Sequence[int],
    sampler: devices.SyntheticDevices,
    score: NDArray[np.float64],
    *,
    folder: Path,
    n_jobs: int = -1,
    dask: str | None = None,
) -> list[Training]:
    """`train` once per seed, on several cores or a cluster (`parallel.unordered`); each training is resumable."""
    tasks = [dataclasses.replace(settings, seed=seed) for seed in seeds]
    job = partial(train, sampler=sampler, score=score, folder=folder, progress=False)
    results = parallel.unordered(job, tasks, n_jobs=n_jobs, dask=dask)
    trained = list(tqdm(results, total=len(tasks), desc="training", unit=" seeds", disable=None))
    return sorted(trained, key=lambda each: int(each.curve["seed"].iloc[0]))


def _origin(
    settings: Settings,
    sampler: devices.SyntheticDevices,
    score: NDArray[np.float64],
    table_ms: NDArray[np.float64] | None,
) -> dict[str, Any]:
    """Everything that determines a training, in the form of a policy's description."""
    origin: dict[str, Any] = {
        "settings": dataclasses.asdict(settings),
        "devices": list(sampler.fitted_to),
        "operation_mean_ms": [float(f"{value:.6g}") for value in sampler.mean_ms],
        "operation_sd_ms": [float(f"{value:.6g}") for value in sampler.sd_ms],
        "score_sha256": _sha256(score),
        "versions": {name: version(name) for name in ("numpy", "torch", "stable-baselines3", "gymnasium")},
    }
    return origin if table_ms is None else {**origin, "table_sha256": _sha256(table_ms)}


def _sha256(array: NDArray[np.float64]) -> str:
    return hashlib.sha256(np.ascontiguousarray(array, dtype=np.float64).tobytes()).hexdigest()


def make_model(
    settings: Settings,
    sampler: mdp.DeviceSampler,
    score: NDArray[np.float64],
    table_ms: NDArray[np.float64] | None = None,
) -> OnPolicyAlgorithm:
    """The untrained learner on its vectorised environment."""
    from simmore.rl.environments import CellVecEnv

    algorithm, own_settings = _algorithm(settings)
    model = algorithm(
        "MlpPolicy",
        CellVecEnv(
            settings.n_envs,
            sampler,
            score,
            seed=settings.seed,
            table_ms=table_ms,
            sees_history=settings.sees_history,
            horizon=settings.horizon,
        ),
        n_steps=settings.horizon,
        learning_rate=settings.learning_rate,
        gamma=settings.gamma,
        gae_lambda=settings.gae_lambda,
        policy_kwargs={"net_arch": list(settings.hidden)},
        seed=settings.seed,
        device="cpu",
        **own_settings,
    )
    learner.without_log(model)
    # learn() is called once per rollout: this set-up belongs before the first one, resumed or not
    model._setup_learn(settings.total_steps, reset_num_timesteps=True)
    return model


def _algorithm(settings: Settings) -> tuple[type[OnPolicyAlgorithm], dict[str, Any]]:
    """The algorithm's class, and the settings that it does not share with the others."""
    import stable_baselines3

    if settings.algorithm == "A2C":
        return stable_baselines3.A2C, {}
    if settings.algorithm == "TRPO":
        with needs("sb3_contrib"):
            from sb3_contrib import TRPO

        return TRPO, {"batch_size": settings.batch_size}
    names = ("batch_size", "n_epochs", "clip_range")
    return stable_baselines3.PPO, {name: getattr(settings, name) for name in names}


def begin_rollout(model: OnPolicyAlgorithm, settings: Settings) -> None:
    """Make a rollout's randomness depend only on the seed and its number, so that resuming changes nothing."""
    import torch

    number = model.num_timesteps // settings.rollout_steps
    env_seed, torch_seed, numpy_seed = np.random.SeedSequence([settings.seed, number]).generate_state(3)
    torch.manual_seed(int(torch_seed))
    np.random.seed(numpy_seed)  # noqa: NPY002  stable-baselines3 shuffles minibatches with the global generator
    env: Any = model.get_env()
    env.reseed(int(env_seed))
    model._last_obs = env.reset()
    model._last_episode_starts = np.ones(settings.n_envs, dtype=bool)


def _evaluation(
    model: OnPolicyAlgorithm, settings: Settings, sampler: devices.SyntheticDevices, score: NDArray[np.float64]
) -> dict[str, float]:
    rng = np.random.default_rng([settings.seed, model.num_timesteps, 1])
    policy = to_policy(model, settings, {})
    metrics = evaluate(policy, sampler, score, n_episodes=settings.evaluation_episodes, rng=rng)
    return {"seed": settings.seed, "timestep": model.num_timesteps, **metrics}


def to_policy(model: OnPolicyAlgorithm, settings: Settings, description: dict[str, Any]) -> Policy:
    """The learner's policy as plain arrays."""
    weights, biases = learner.layer_arrays([*model.policy.mlp_extractor.policy_net, model.policy.action_net])
    if not settings.sees_history:
        weights[0][:, mdp.STATE_SIZE :] = 0  # inputs that were always zero in training have no effect in a search
    return Policy(weights, biases, description)


def _save_checkpoint(file: Path, model: OnPolicyAlgorithm, curve: list[dict[str, float]], seconds: float) -> None:
    import torch

    buffer = io.BytesIO()
    state = {"policy": model.policy.state_dict(), "optimizer": model.policy.optimizer.state_dict()}
    torch.save({**state, "num_timesteps": model.num_timesteps, "curve": curve, "seconds": seconds}, buffer)
    replace(file, buffer.getvalue())


def _resume(
    new_model: Callable[[], OnPolicyAlgorithm], settings: Settings, content: bytes
) -> tuple[OnPolicyAlgorithm, list[dict[str, float]], float]:
    """A model, its curve and the seconds spent, from the content of a checkpoint; raises if it is damaged."""
    import torch

    if zipfile.ZipFile(io.BytesIO(content)).testzip() is not None:  # torch does not compare checksums
        raise ValueError("a checksum is wrong")
    saved = torch.load(io.BytesIO(content), weights_only=True)
    steps, curve = saved["num_timesteps"], list(saved["curve"])
    expected = list(range(0, steps + 1, settings.evaluate_every))
    if steps > settings.total_steps or [row["timestep"] for row in curve] != expected:
        raise ValueError(f"its learning curve does not end at {steps} of {settings.total_steps} steps")
    model = new_model()  # loading may fail halfway
    model.policy.load_state_dict(saved["policy"])
    model.policy.optimizer.load_state_dict(saved["optimizer"])
    model.num_timesteps = steps
    return model, curve, float(saved["seconds"])
