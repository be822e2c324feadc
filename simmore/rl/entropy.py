"""Entropy maximisation: Ξ, the distribution of synthetic devices, widens while a policy trains.

Source: Tiboni et al. 2023, *Domain Randomization via Entropy Maximization*.

A device's operation latencies follow independent Beta distributions on bounded logarithms. The next phase of training
uses the distribution of highest entropy under two constraints. The policy succeeds in at least a share α of the
episodes, estimated by importance sampling. The Kullback-Leibler divergence from the previous distribution is at most ε.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from simmore import devices, space
from simmore.devices import SyntheticDevices
from simmore.rl import learner, mdp, training
from simmore.rl.policy import Policy
from simmore.rl.training import Settings

SUCCESS = 0.3  # largest normalised regret of an episode that counts as a success
BUDGET = 10  # distinct cells of an episode that are judged
SHARE = 0.5  # α
STEP = 0.1  # ε
PHASE = 4  # rollouts between two updates
CONCENTRATION = 40.0  # a + b of the first Beta distributions, around the mean device
_LIMITS = (0.8, 500.0)  # of a and b


@dataclass(frozen=True)
class BoundedDevices:
    """Devices whose logarithms of operation latencies lie between bounds, each with a Beta distribution.

    Attributes
    ----------
    low, high
        Bounds of the logarithms of latencies in ms, ``(5,)``, in the order of `space.OPERATIONS`.
    a, b
        Parameters of the Beta distributions, ``(5,)``; ones are the uniform distribution.
    """

    low: NDArray[np.float64]
    high: NDArray[np.float64]
    a: NDArray[np.float64]
    b: NDArray[np.float64]

    @classmethod
    def around(cls, xi: SyntheticDevices, operation_ms: NDArray[np.float64]) -> BoundedDevices:
        """A narrow distribution around the mean device of Ξ, between the extremes of devices ``(devices, 5)`` in ms."""
        low, high = np.log(operation_ms.min(axis=0)), np.log(operation_ms.max(axis=0))
        mean = (np.log(xi.mean_ms) - low) / (high - low)
        return cls(low, high, CONCENTRATION * mean, CONCENTRATION * (1 - mean))

    def uniform(self) -> BoundedDevices:
        """The widest distribution between the same bounds."""
        return replace(self, a=np.ones_like(self.a), b=np.ones_like(self.b))

    def sample(self, n: int, rng: np.random.Generator) -> NDArray[np.float64]:
        """Sample n devices: operation latencies in ms, ``(n, 5)``."""
        return np.exp(self.low + (self.high - self.low) * rng.beta(self.a, self.b, (n, len(self.a))))

    def log_density(self, operation_ms: NDArray[np.float64]) -> NDArray[np.float64]:
        """Logarithm of the density of devices ``(n, 5)``, ``(n,)``, up to a constant of the bounds."""
        from scipy.stats import beta

        place = (np.log(operation_ms) - self.low) / (self.high - self.low)
        return np.asarray(beta.logpdf(place.clip(1e-9, 1 - 1e-9), self.a, self.b).sum(axis=1))

    @property
    def entropy(self) -> float:
        """Differential entropy on the unit cube: 0 for the uniform distribution, negative for all others."""
        from scipy.stats import beta

        return float(np.sum(beta.entropy(self.a, self.b)))

    def divergence(self, other: BoundedDevices) -> float:
        """Kullback-Leibler divergence of another distribution from this one, KL(self ‖ other)."""
        from scipy.special import betaln, digamma

        a, b, c, d = self.a, self.b, other.a, other.b
        terms = betaln(c, d) - betaln(a, b) + (a - c) * digamma(a) + (b - d) * digamma(b)
        return float((terms + (c - a + d - b) * digamma(a + b)).sum())


def widened(before: BoundedDevices, operation_ms: NDArray[np.float64], success: NDArray[np.bool_]) -> BoundedDevices:
    """The distribution of the next phase.

    If the policy succeeds too rarely, it is the distribution with the most successes within the divergence ε.

    Parameters
    ----------
    before
        The distribution that the episodes' devices were sampled from.
    operation_ms, success
        Devices of n episodes ``(n, 5)``, and which episodes were successful ``(n,)``.
    """
    from scipy.optimize import Bounds, NonlinearConstraint, minimize

    n = len(before.a)
    density = before.log_density(operation_ms)

    def at(x: NDArray[np.float64]) -> BoundedDevices:
        return replace(before, a=np.exp(x[:n]), b=np.exp(x[n:]))

    def share(x: NDArray[np.float64]) -> float:
        return float((np.exp(at(x).log_density(operation_ms) - density) * success).mean())

    near = NonlinearConstraint(lambda x: before.divergence(at(x)), -np.inf, STEP)
    often = NonlinearConstraint(share, SHARE, np.inf)
    start = np.log(np.concatenate([before.a, before.b]))
    feasible = success.mean() >= SHARE
    found = minimize(
        (lambda x: -at(x).entropy) if feasible else (lambda x: -share(x)),
        start,
        method="trust-constr",
        bounds=Bounds(*np.log(_LIMITS)),
        constraints=[near, often] if feasible else [near],
        options={"maxiter": 200, "gtol": 1e-5, "xtol": 1e-5},
    )
    kept = found.constr_violation < 1e-2
    return at(found.x) if kept else before


def train(
    settings: Settings, start: BoundedDevices, score: NDArray[np.float64], *, widen: bool = True
) -> tuple[Policy, pd.DataFrame]:
    """Train a policy while Ξ widens.

    Parameters
    ----------
    settings
        Hyperparameters and seed, as for `training.train`.
    start
        The first distribution.
    score
        p of all cells, ``(cells,)``.
    widen
        False: the distribution stays as it is, a control.

    Returns
    -------
    policy
        The trained policy.
    trace
        A row per phase: ``timestep``, ``success`` (share of its episodes), and ``entropy`` of its distribution.
    """
    rows: list[dict[str, float]] = []
    with learner.one_thread():
        current = start
        model = training.make_model(settings, current, score)
        env: Any = model.get_env()
        operation_ms, success = [], []
        while model.num_timesteps < settings.total_steps:
            training.begin_rollout(model, settings)
            operation_ms.append(env.episodes.operation_ms)
            model.learn(settings.rollout_steps, reset_num_timesteps=False)
            # the buffer is flattened by now, one episode after the other
            seen = model.rollout_buffer.observations.reshape(settings.n_envs, settings.horizon, -1)
            success.append(_successes(np.swapaxes(seen, 0, 1), operation_ms[-1], score))
            if len(success) == PHASE:
                succeeded = np.concatenate(success)
                rows.append({"timestep": model.num_timesteps, "success": succeeded.mean(), "entropy": current.entropy})
                if widen:
                    current = widened(current, np.concatenate(operation_ms), succeeded)
                    env.episodes.sampler = current
                operation_ms, success = [], []
    return training.to_policy(model, settings, {}), pd.DataFrame(rows)


def _successes(
    observations: NDArray[np.float32], operation_ms: NDArray[np.float64], score: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Which episodes ``(n,)`` found a good cell, from observations ``(T, n, 241)`` and their devices ``(n, 5)``."""
    one_hot = observations[..., : mdp.STATE_SIZE - 1]
    ops = one_hot.reshape(*one_hot.shape[:2], space.N_EDGES, space.N_OPERATIONS).argmax(axis=-1)
    archs = space.to_archs(ops)  # (T, n)
    regret = np.empty(archs.shape)
    for k, device in enumerate(operation_ms):
        rewards = devices.reward(score, devices.all_operation_counts() @ device)
        regret[:, k] = devices.normalised_regret(rewards, archs[:, k])
    return -mdp.best_measured(-regret, archs, BUDGET) <= SUCCESS
