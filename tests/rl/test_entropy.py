"""Ξ that widens while a policy trains."""

import dataclasses

import numpy as np
import pytest

from simmore import devices, proxies, space
from simmore.experiments import training_choices
from simmore.rl import entropy, mdp
from simmore.rl.training import Settings


@pytest.fixture
def narrow():
    return training_choices.bounded()


def test_the_best_of_the_first_distinct_cells_by_hand():
    archs = np.array([[3, 3, 4, 5, 3], [1, 2, 3, 4, 5]]).T
    value = np.array([[0, 0, 2, 9, 0], [5, 4, 3, 2, 9]], dtype=float).T
    assert mdp.best_measured(value, archs, 1).tolist() == [0, 5]
    assert mdp.best_measured(value, archs, 2).tolist() == [2, 5]  # the second step of the first is a known cell
    assert mdp.best_measured(value, archs, 3).tolist() == [9, 5]


def test_entropy_and_divergence_are_those_of_beta_distributions(narrow):
    from scipy import integrate, stats

    assert narrow.uniform().entropy == pytest.approx(0, abs=1e-12) and narrow.entropy < -5
    assert narrow.divergence(narrow) == pytest.approx(0, abs=1e-9)
    other = dataclasses.replace(narrow, a=narrow.a + 1)
    expected = 0.0
    for a, b, c, d in zip(narrow.a, narrow.b, other.a, other.b, strict=True):
        p, q = stats.beta(a, b), stats.beta(c, d)
        expected += integrate.quad(lambda x, p=p, q=q: p.pdf(x) * (p.logpdf(x) - q.logpdf(x)), 0, 1)[0]
    assert narrow.divergence(other) == pytest.approx(expected, rel=1e-4)


def test_samples_lie_between_the_bounds_around_the_mean_device(narrow):
    drawn = np.log(narrow.sample(4_000, np.random.default_rng(0)))
    assert (drawn >= narrow.low).all() and (drawn <= narrow.high).all()
    np.testing.assert_allclose(drawn.mean(axis=0), np.log(devices.SyntheticDevices.fit().mean_ms), atol=0.05)


def test_a_policy_that_always_succeeds_widens_the_distribution_as_far_as_it_may(narrow):
    operation_ms = narrow.sample(400, np.random.default_rng(0))
    found = entropy.widened(narrow, operation_ms, np.ones(400, dtype=bool))
    assert found.entropy > narrow.entropy + 0.1
    assert narrow.divergence(found) == pytest.approx(entropy.STEP, rel=0.1)


def test_a_policy_that_fails_on_half_of_the_devices_moves_the_distribution_to_the_others(narrow):
    wide = dataclasses.replace(narrow, a=narrow.a / 4, b=narrow.b / 4)
    operation_ms = wide.sample(2_000, np.random.default_rng(0))
    pool = operation_ms[:, space.OPERATIONS.index("avg_pool_3x3")]
    success = pool > np.quantile(pool, 0.7)
    found = entropy.widened(wide, operation_ms, success)
    moved = found.a / (found.a + found.b) - wide.a / (wide.a + wide.b)
    assert moved.argmax() == space.OPERATIONS.index("avg_pool_3x3") and moved.max() > 0.01
    assert wide.divergence(found) < 1.1 * entropy.STEP


def test_an_episode_is_successful_if_it_measures_a_good_cell():
    score, rng = proxies.stored_score(), np.random.default_rng(0)
    operation_ms = devices.SyntheticDevices.fit().sample(2, rng)
    best = [devices.optimum(score, devices.all_operation_counts() @ ms) for ms in operation_ms]
    path = np.array([[7, 7], [best[0], 7], [9, 7]])  # the second episode stays at a poor cell
    observations = np.zeros((3, 2, mdp.OBSERVATION_SIZE), dtype=np.float32)
    observations[..., : mdp.STATE_SIZE - 1] = np.eye(5)[space.all_ops()[path]].reshape(3, 2, -1)
    assert entropy._successes(observations, operation_ms, score).tolist() == [True, False]


@pytest.mark.slow
def test_a_training_widens_and_is_reproducible(narrow):
    score, settings = proxies.stored_score(), Settings(total_steps=40_000)
    policy, trace = entropy.train(settings, narrow, score)
    again, _ = entropy.train(settings, narrow, score)
    assert all((a == b).all() for a, b in zip(policy.weights, again.weights, strict=True))
    assert trace["timestep"].tolist() == [20_000, 40_000] and trace["success"].between(0, 1).all()
    _, fixed = entropy.train(settings, narrow.uniform(), score, widen=False)
    assert fixed["entropy"].tolist() == pytest.approx([0, 0], abs=1e-12)
