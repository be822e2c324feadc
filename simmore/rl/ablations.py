"""Ablations of the paper's policy: another algorithm, no history, or a training on the tested device alone."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from simmore import devices, parallel, paths, space
from simmore.rl import training
from simmore.rl.policy import POLICIES, Policy
from simmore.rl.training import Settings

# the paper's setting, all 18 devices, with one change each
DESIGNS = {
    "trpo": Settings(algorithm="TRPO"),
    # one gradient step per rollout: it needs more and larger steps to learn anything in as many transitions
    "a2c": Settings(algorithm="A2C", n_envs=10, learning_rate=7e-4),
    "no_history": Settings(sees_history=False),
}
# On one device the current cell determines everything. The owner of a device may afford 100,000 steps.
TARGET_ONLY = Settings(sees_history=False, total_steps=100_000, evaluate_every=100_000)


def train_all(score: NDArray[np.float64], tested: Iterable[devices.Device], *, n_jobs: int = -1) -> None:
    """Train `DESIGNS` and one policy per tested device, several at a time, and write the package's policies.

    Each training is resumable (`training.train`). The policies are stored in half precision.
    """
    cells = np.arange(space.N_ARCHS)
    tasks: list[tuple[str, Settings, NDArray[np.float64] | None]]
    tasks = [(name, settings, None) for name, settings in DESIGNS.items()]
    tasks += [(f"target_{device.name}", TARGET_ONLY, device.latency_ms(cells)) for device in tested]
    results = parallel.unordered(partial(_train, score=score), tasks, n_jobs=n_jobs)
    for name, policy in tqdm(results, total=len(tasks), desc="training ablations", disable=None):
        policy.save(POLICIES / name, overwrite=True, dtype=np.float16)


def _train(task: tuple[str, Settings, NDArray[np.float64] | None], score: NDArray[np.float64]) -> tuple[str, Policy]:
    name, settings, table_ms = task
    sampler, folder = devices.SyntheticDevices.fit(), paths.BUILD / "training"
    return name, training.train(settings, sampler, score, folder=folder, progress=False, table_ms=table_ms).policy
