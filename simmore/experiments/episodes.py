"""One episode of the MDP, step by step, for the pictures of notebook 03."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from simmore import space
from simmore.plots.labels import OPERATION_LABELS
from simmore.rl import mdp
from simmore.rl.policy import Policy


def episode(
    policy: Policy, sampler: mdp.DeviceSampler, score: NDArray[np.float64], *, steps: int = 7, seed: int = 0
) -> pd.DataFrame:
    """The first steps of an episode on a newly drawn device.

    Parameters
    ----------
    policy
        Its actions are sampled, as in training.
    sampler, score
        Ξ, and p of all cells ``(15625,)``.
    steps
        Number of actions.
    seed
        Seed of the device, the start cell and the actions.

    Returns
    -------
    pandas.DataFrame
        A row per step, the start first: ``arch``, ``latency_ms``, ``score``, ``inverse_latency``, ``reward``.
    """
    rng = np.random.default_rng(seed)
    episodes = mdp.Episodes(1, sampler, score)
    observation, rows = episodes.begin(rng), []
    for _ in range(steps + 1):
        arch, latency_ms = int(episodes.archs[0]), episodes.latency_ms()
        inverse = float(episodes.inverse_latency(latency_ms)[0])
        rows.append((arch, float(latency_ms[0]), score[arch], inverse, score[arch] + inverse))
        observation = episodes.step(policy.act(observation, rng)).observation
    return pd.DataFrame(rows, columns=["arch", "latency_ms", "score", "inverse_latency", "reward"]).rename_axis("step")


def first_action(policy: Policy, arch: int) -> tuple[Mapping[str, Mapping[str, float]], NDArray[np.uint8]]:
    """Probabilities of the first action from a cell, when no other cell is measured, and the cell it most likely gives.

    Returns
    -------
    dict
        ``{"edge": {"0→1": …}, "operation": {"none": …}}``, for `plots.drawings.policy_network`.
    ndarray
        Digits of the edited cell, ``(6,)``.
    """
    # the latency of the first cell is given relative to itself, so that its value does not matter
    observation = mdp.Observer(1).begin(np.array([arch], dtype=np.int32), np.ones(1))
    logits = policy.forward(observation)[0]
    edge, operation = logits[: space.N_EDGES], logits[space.N_EDGES :]
    after = space.to_ops(arch).copy()
    after[edge.argmax()] = operation.argmax()
    edges = [f"{source}→{target}" for source, target in space.EDGES]
    return {
        "edge": dict(zip(edges, _softmax(edge), strict=True)),
        "operation": dict(zip(OPERATION_LABELS, _softmax(operation), strict=True)),
    }, after


def _softmax(logits: NDArray[np.floating]) -> list[float]:
    powers = np.exp(logits - logits.max())
    return [float(share) for share in powers / powers.sum()]
