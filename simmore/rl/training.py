"""Training the controller: PPO on synthetic devices, measured along the way, resumable, the same twice.

Source: the paper's section 4 (T = 50, γ = 0.6, ε = 0.2, 500,000 steps, a new device at every reset); what it
leaves open is in `Settings`.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import threading
import time
from collections.abc import Sequence
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
from simmore.files import replace
from simmore.rl import mdp
from simmore.rl.policy import Controller

if TYPE_CHECKING:
    from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm

ALGORITHMS = ("PPO", "TRPO", "A2C")
REFERENCE_OPERATION = space.OPERATIONS.index("nor_conv_3x3")  # h_ref of Fig. 5 e: 3x3 convolutions alone


@dataclass(frozen=True)
class Settings:
    """Hyperparameters; those of the paper's section 4 are marked, the others are this project's choice."""

    seed: int = 0
    """Of everything: weights, devices, start cells, actions, minibatches."""
    total_steps: int = 500_000
    """Transitions to train on (paper)."""
    gamma: float = 0.6
    """Discount factor (paper)."""
    clip_range: float = 0.2
    """PPO's ε (paper)."""
    n_envs: int = 100
    """Episodes side by side; a rollout is one whole episode of each, 100 × 50 transitions."""
    learning_rate: float = 3e-4
    """Of Adam."""
    batch_size: int = 1_000
    """Transitions a minibatch."""
    n_epochs: int = 10
    """Passes over a rollout."""
    gae_lambda: float = 0.95
    """λ of the generalised advantage estimate."""
    hidden: tuple[int, ...] = (64, 64)
    """Units of the hidden layers, of the policy and of the value function alike."""
    evaluate_every: int = 10_000
    """Transitions between evaluations; 51 of them over a full training, the untrained policy's first."""
    evaluation_episodes: int = 20
    """Test episodes an evaluation (paper, Fig. 5), each on a device of its own."""
    algorithm: str = "PPO"
    """One of `ALGORITHMS`: PPO (paper), or TRPO or A2C in its place, with the settings that they share."""
    sees_history: bool = True
    """False: the policy sees the current cell and its latency alone, not the last five (state, action) pairs."""

    def __post_init__(self) -> None:
        rollout = self.rollout_steps
        if self.algorithm not in ALGORITHMS:
            raise ValueError(f"no algorithm {self.algorithm!r}: choose one of {', '.join(ALGORITHMS)}")
        if self.total_steps < rollout or self.total_steps % rollout or self.evaluate_every % rollout:
            raise ValueError(
                f"total_steps ({self.total_steps}) and evaluate_every ({self.evaluate_every}) must be multiples of a "
                f"rollout, {self.n_envs} environments × {mdp.HORIZON} steps = {rollout}"
            )

    def as_record(self) -> dict[str, Any]:
        """As a controller's description has them: the algorithm stands apart, history where it is left out."""
        chosen = dataclasses.asdict(self)
        del chosen["algorithm"]
        if self.sees_history:
            del chosen["sees_history"]
        return chosen

    @property
    def rollout_steps(self) -> int:
        """Transitions in one rollout."""
        return self.n_envs * mdp.HORIZON


@dataclass(frozen=True)
class Training:
    """What a training leaves: the controller, and the curve behind Fig. 5, a row an evaluation."""

    controller: Controller
    curve: pd.DataFrame


def evaluate(
    controller: Controller,
    sampler: devices.SyntheticDevices,
    score: NDArray[np.float64],
    *,
    n_episodes: int = 20,
    rng: np.random.Generator,
) -> dict[str, float]:
    """Fig. 5's metrics, means over test episodes on newly drawn devices.

    Returns
    -------
    dict
        Of the last cell h_T: ``score``, ``inverse_latency``, ``latency_percentile`` (% of the 15,625 cells that
        are at most as slow on that device), ``val_accuracy`` (%, CIFAR-10, never seen in training); of the
        reference cell ``reference_latency_ms``; of the episode ``episode_return`` (undiscounted sum of rewards).
    """
    episodes = mdp.Episodes(n_episodes, sampler, score)
    observation = episodes.begin(rng)
    episode_return = np.zeros(n_episodes)
    for _ in range(mdp.HORIZON):
        step = episodes.step(controller.act(observation, rng))
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
    """Train a controller, with PPO unless the settings say otherwise.

    Parameters
    ----------
    settings
        Hyperparameters, the seed among them: the same settings give the same controller on the same machine.
    sampler
        Ξ; fitted without the devices that the controller shall be tested on.
    score
        p of all cells, ``(15625,)``.
    folder
        Where checkpoints go, a subfolder for each set of settings, devices and scores. A training that was
        interrupted goes on from its last one, and ends as if it had never been; a finished one is read back.
    progress
        Show a bar, if there is a terminal or a notebook to show it in.
    table_ms
        Latencies of one device, ``(15625,)``, to train on alone; the evaluations keep to devices that `sampler` draws.
    """
    identity = _identity(settings, sampler, score, table_ms)
    place = folder / str(identity["digest"])[:16] if folder is not None else None
    started = time.perf_counter()
    with needs("torch", "stable_baselines3"):
        import stable_baselines3  # noqa: F401  said here, in a sentence, if it is missing
        import torch

    torch_threads = torch.get_num_threads()
    torch.set_num_threads(1)  # small layers: more threads only wait for each other, and sum in another order
    try:
        model, curve, spent = _resume(settings, sampler, score, place, table_ms)
        bar = tqdm(
            total=settings.total_steps,
            initial=model.num_timesteps,
            desc=description,
            unit=" steps",
            unit_scale=True,
            disable=None if progress else True,
        )
        with bar:
            while model.num_timesteps < settings.total_steps:
                _begin_rollout(model, settings)
                model.learn(settings.rollout_steps, reset_num_timesteps=False)
                bar.update(settings.rollout_steps)
                if model.num_timesteps % settings.evaluate_every == 0:
                    curve.append(_evaluation(model, settings, sampler, score))
                    if place is not None:
                        _save_checkpoint(place, model, curve, spent + time.perf_counter() - started)
    finally:
        torch.set_num_threads(torch_threads)
    seconds = spent + time.perf_counter() - started
    controller = to_controller(model, {**identity, "seconds": round(seconds, 1)})
    return Training(controller, pd.DataFrame(curve))


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
    """`train` once a seed, on several cores or a cluster (`parallel.unordered`), with one bar; resumable like each."""
    many = [dataclasses.replace(settings, seed=seed) for seed in seeds]
    curves = [checkpoint_folder(folder, one, sampler, score) / "curve.csv" for one in many]
    done = threading.Event()
    label = f"training {len(many)} seeds"
    with tqdm(total=len(many) * settings.total_steps, desc=label, unit=" steps", unit_scale=True, disable=None) as bar:
        # the trainings run in processes of their own; how far they are is on the disk
        watcher = threading.Thread(target=_watch, args=(curves, bar, done), daemon=True)
        watcher.start()
        try:
            job = partial(_train_quietly, sampler=sampler, score=score, folder=folder)
            trained = list(parallel.unordered(job, many, n_jobs=n_jobs, dask=dask))
            return sorted(trained, key=lambda each: int(each.curve["seed"].iloc[0]))
        finally:
            done.set()
            watcher.join()
            bar.update(_steps_on_disk(curves) - bar.n)


def _train_quietly(
    settings: Settings, sampler: devices.SyntheticDevices, score: NDArray[np.float64], folder: Path
) -> Training:
    """`train` for a process without a terminal."""
    return train(settings, sampler, score, folder=folder, progress=False)


def _watch(curves: list[Path], bar: tqdm, done: threading.Event) -> None:
    while not done.wait(0.5):
        bar.update(_steps_on_disk(curves) - bar.n)


def _steps_on_disk(curves: list[Path]) -> int:
    """Transitions trained so far, by the last row of each curve (`replace` never shows half a file)."""
    return sum(int(pd.read_csv(curve)["timestep"].iloc[-1]) for curve in curves if curve.exists())


def checkpoint_folder(
    folder: Path, settings: Settings, sampler: devices.SyntheticDevices, score: NDArray[np.float64]
) -> Path:
    """Where a training's checkpoints lie: no two different trainings share a folder."""
    return folder / str(_identity(settings, sampler, score)["digest"])[:16]


def _identity(
    settings: Settings,
    sampler: devices.SyntheticDevices,
    score: NDArray[np.float64],
    table_ms: NDArray[np.float64] | None = None,
) -> dict[str, Any]:
    """What determines a training, with a digest over all of it."""
    identity: dict[str, Any] = {
        "algorithm": settings.algorithm,
        "settings": settings.as_record(),
        "devices": list(sampler.fitted_to),
        "operation_mean_ms": [float(f"{value:.6g}") for value in sampler.mean_ms],
        "operation_sd_ms": [float(f"{value:.6g}") for value in sampler.sd_ms],
        "score_sha256": hashlib.sha256(np.ascontiguousarray(score, dtype=np.float64).tobytes()).hexdigest(),
        "versions": {name: version(name) for name in ("numpy", "torch", "stable-baselines3", "gymnasium")},
    }
    if table_ms is not None:
        identity["table_sha256"] = hashlib.sha256(np.ascontiguousarray(table_ms).tobytes()).hexdigest()
    identity["digest"] = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
    return identity


def make_model(
    settings: Settings,
    sampler: devices.SyntheticDevices,
    score: NDArray[np.float64],
    table_ms: NDArray[np.float64] | None = None,
) -> OnPolicyAlgorithm:
    """The untrained learner on its vectorised environment."""
    from stable_baselines3.common.logger import Logger

    from simmore.rl.environments import CellVecEnv, CurrentStateOnly

    environment: Any = CellVecEnv(settings.n_envs, sampler, score, seed=settings.seed, table_ms=table_ms)
    if not settings.sees_history:
        environment = CurrentStateOnly(environment)
    learner, own_settings = _learner(settings)
    model = learner(
        "MlpPolicy",
        environment,
        n_steps=mdp.HORIZON,
        learning_rate=settings.learning_rate,
        gamma=settings.gamma,
        gae_lambda=settings.gae_lambda,
        policy_kwargs={"net_arch": list(settings.hidden)},
        seed=settings.seed,
        device="cpu",
        **own_settings,
    )
    model.set_logger(Logger(folder=None, output_formats=[]))  # the curve is the log; the default litters /tmp
    return model


def _learner(settings: Settings) -> tuple[type[OnPolicyAlgorithm], dict[str, Any]]:
    """The algorithm's class, and the settings that it does not share with the others."""
    if settings.algorithm == "A2C":
        from stable_baselines3 import A2C

        return A2C, {}
    if settings.algorithm == "TRPO":
        with needs("sb3_contrib"):
            from sb3_contrib import TRPO

        return TRPO, {"batch_size": settings.batch_size}
    from stable_baselines3 import PPO

    minibatches = {"batch_size": settings.batch_size, "n_epochs": settings.n_epochs, "clip_range": settings.clip_range}
    return PPO, minibatches


def _begin_rollout(model: OnPolicyAlgorithm, settings: Settings) -> None:
    """Let a rollout's randomness depend on the seed and its number alone: a resumed training is the same one."""
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
    figures = evaluate(to_controller(model, {}), sampler, score, n_episodes=settings.evaluation_episodes, rng=rng)
    return {"seed": settings.seed, "timestep": model.num_timesteps, **figures}


def to_controller(model: OnPolicyAlgorithm, description: dict[str, Any]) -> Controller:
    """The policy of a stable-baselines3 learner as plain arrays."""
    from torch import nn

    from simmore.rl.environments import CurrentStateOnly

    network = [*model.policy.mlp_extractor.policy_net, model.policy.action_net]
    linear = [layer for layer in network if isinstance(layer, nn.Linear)]
    weights = tuple(layer.weight.detach().numpy().copy() for layer in linear)
    biases = tuple(layer.bias.detach().numpy().copy() for layer in linear)
    if isinstance(model.get_env(), CurrentStateOnly):
        weights[0][:, mdp.STATE_SIZE :] = 0  # inputs that were always zero: what it never saw must not move it later
    return Controller(weights, biases, description)


def _save_checkpoint(place: Path, model: OnPolicyAlgorithm, curve: list[dict[str, float]], seconds: float) -> None:
    import torch

    buffer = io.BytesIO()
    state = {"policy": model.policy.state_dict(), "optimizer": model.policy.optimizer.state_dict()}
    torch.save({**state, "num_timesteps": model.num_timesteps, "curve": curve, "seconds": seconds}, buffer)
    replace(place / "checkpoint.pt", buffer.getvalue())
    replace(place / "curve.csv", pd.DataFrame(curve).to_csv(index=False).encode())


def _resume(
    settings: Settings,
    sampler: devices.SyntheticDevices,
    score: NDArray[np.float64],
    place: Path | None,
    table_ms: NDArray[np.float64] | None = None,
) -> tuple[OnPolicyAlgorithm, list[dict[str, float]], float]:
    """The learner, its curve and the seconds spent: from the last checkpoint, or from the beginning."""
    import torch

    model = make_model(settings, sampler, score, table_ms)
    # learn() sets the learner up for a first call; none of its steps shall count before the first rollout
    model._setup_learn(settings.total_steps, reset_num_timesteps=True)
    file = place / "checkpoint.pt" if place is not None else None
    if file is None or not file.exists():
        return model, [_evaluation(model, settings, sampler, score)], 0.0
    saved = torch.load(file, weights_only=True)
    model.policy.load_state_dict(saved["policy"])
    model.policy.optimizer.load_state_dict(saved["optimizer"])
    model.num_timesteps = saved["num_timesteps"]
    return model, list(saved["curve"]), float(saved["seconds"])
