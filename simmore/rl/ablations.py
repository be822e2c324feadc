"""Controllers beside the paper's: another algorithm, no history, or a training on the tested device alone.

They show what the paper's design is worth, and ship as one small file that `make ablations` trains anew.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from simmore import devices, parallel, paths, space
from simmore.files import replace
from simmore.rl import mdp
from simmore.rl.policy import Controller

if TYPE_CHECKING:
    from simmore.rl.training import Settings

# the paper's setting, all 18 devices, but for one thing
DESIGNS: dict[str, dict[str, Any]] = {
    "trpo": {"algorithm": "TRPO"},
    # one gradient step a rollout: more of them, and larger, or it learns nothing in as many transitions
    "a2c": {"algorithm": "A2C", "n_envs": 10, "learning_rate": 7e-4},
    "no_history": {"sees_history": False},
}
# On a device that never changes the current cell says everything; 100,000 steps, as a device's owner might spend.
TARGET_ONLY: dict[str, Any] = {"sees_history": False, "total_steps": 100_000, "evaluate_every": 100_000}
_FILE = paths.TABLES / "ablations"


def load(name: str) -> Controller:
    """A shipped ablation: one of `DESIGNS`, or ``target/<device>``.

    Raises
    ------
    ValueError
        If there is none of that name.
    """
    known = _shipped()
    if name not in known:
        raise ValueError(f"no controller {name!r} was trained: there are {', '.join(known)}")
    return known[name]


@cache
def _shipped() -> dict[str, Controller]:
    """All shipped ablations, their weights in single precision again."""
    from safetensors.numpy import load_file

    tensors = load_file(_FILE.with_suffix(".safetensors"))
    description = json.loads(_FILE.with_suffix(".json").read_text(encoding="utf-8"))
    found = {}
    for name, one in description.items():
        layers = [tensors[f"{name}/{k}"].astype(np.float32) for k in range(one["layers"])]  # (outputs, inputs + 1)
        weights = tuple(np.ascontiguousarray(layer[:, :-1]) for layer in layers)
        unseen = mdp.OBSERVATION_SIZE - weights[0].shape[1]
        weights = (np.pad(weights[0], ((0, 0), (0, unseen))), *weights[1:])
        found[name] = Controller(weights, tuple(layer[:, -1].copy() for layer in layers), one)
    return found


def save(trained: dict[str, Controller]) -> None:
    """Write controllers to the package's tables in half precision, without the inputs that they never see."""
    from safetensors.numpy import save

    tensors, description = {}, {}
    for name, one in sorted(trained.items()):
        seen = int(np.flatnonzero(np.abs(one.weights[0]).sum(axis=0)).max()) + 1
        weights = (one.weights[0][:, :seen], *one.weights[1:])
        for k, (weight, bias) in enumerate(zip(weights, one.biases, strict=True)):
            tensors[f"{name}/{k}"] = np.column_stack([weight, bias]).astype(np.float16)
        description[name] = {**one.description, "layers": len(weights)}
    replace(_FILE.with_suffix(".safetensors"), save(tensors))
    text = json.dumps(description, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    replace(_FILE.with_suffix(".json"), text.encode())


def train(score: NDArray[np.float64], tested: Iterable[devices.Device], *, n_jobs: int = -1) -> dict[str, Controller]:
    """Train all ablations, several at a time, each resumable (`training.train`): `DESIGNS`, and one a tested device."""
    from tqdm.auto import tqdm

    tasks: list[tuple[str, dict[str, Any], NDArray[np.float64], NDArray[np.float64] | None]]
    tasks = [(name, change, score, None) for name, change in DESIGNS.items()]
    everything = np.arange(space.N_ARCHS)
    tasks += [(f"target/{device.name}", TARGET_ONLY, score, device.latency_ms(everything)) for device in tested]
    results = parallel.unordered(_train_one, tasks, n_jobs=n_jobs)
    return dict(tqdm(results, total=len(tasks), desc="training ablations", disable=None))


def _train_one(
    task: tuple[str, dict[str, Any], NDArray[np.float64], NDArray[np.float64] | None],
) -> tuple[str, Controller]:
    from simmore.rl import training

    name, change, score, table_ms = task
    settings: Settings = dataclasses.replace(training.Settings(), **change)
    folder = paths.BUILD / "training"
    sampler = devices.SyntheticDevices.fit()
    trained = training.train(settings, sampler, score, folder=folder, progress=False, table_ms=table_ms)
    return name, trained.controller
