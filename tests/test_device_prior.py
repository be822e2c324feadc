"""What is known of a device before and after a few measurements, checked on devices whose truth is known."""

import dataclasses

import numpy as np
import pytest

from simmore import data, devices, proxies, space
from simmore.models import priors
from simmore.models.posterior import Draws, Posterior
from simmore.models.priors import Variances
from simmore.strategies import improvement, recommendation

EVERYTHING = np.arange(space.N_ARCHS)
VARIANCES = Variances((0.5, 0.05, 0.003), (1e-4, 0.02, 1e-4), 5e-4, 1e-3, 0.1)


@pytest.fixture(scope="module")
def known():
    """Ten additive devices with some noise of their own, in ms."""
    rng = np.random.default_rng(0)
    sampler = devices.SyntheticDevices.fit()
    table = devices.all_operation_counts() @ sampler.sample(10, rng).T  # (cells, devices)
    return (table * np.exp(0.02 * rng.standard_normal(table.shape))).T


@pytest.fixture(scope="module")
def prior(known):
    return priors.make_prior(known, VARIANCES)


def test_edges_that_the_output_needs_by_hand():
    cell = int(space.to_archs([3, 0, 0, 1, 0, 4]))  # conv 0→1 leads nowhere, skip 0→3 counts, pool 2→3 gets nothing
    used = priors.used_edges()[cell]
    # 2→3 reaches the output, though nothing reaches it
    assert used.tolist() == [False, False, False, True, False, True]
    counts, needed = (block[cell] * 6 for block in priors.feature_blocks())
    assert counts.tolist() == pytest.approx([3, 1, 0, 1, 1])
    assert needed.tolist() == pytest.approx([6, 1, 0, 0, 1])  # the first says that anything is used at all


def test_the_mixture_is_one_broad_and_one_component_a_device(prior, known):
    assert prior.centres.shape == (11, space.N_ARCHS) and prior.near.tolist() == [0] + [1] * 10
    assert prior.weights.sum() == pytest.approx(1) and prior.weights[0] == 0.1
    np.testing.assert_allclose(prior.mean.mean(), 1)
    assert (np.abs(prior.log_stretch) < 0.1).all() and not prior.whole_ms.any()
    assert priors.counts_whole_ms([3.0, 7.0]) and not priors.counts_whole_ms([3.0, 7.1])


def test_a_known_device_is_recognised_at_another_scale(prior, known):
    archs = np.random.default_rng(1).choice(space.N_ARCHS, 8, replace=False)
    posterior = Posterior.of(prior, archs, 40 * known[3, archs])
    assert posterior.weights.sum() == pytest.approx(1)
    error = posterior.mean_ms() / (40 * known[3]) - 1
    assert np.abs(error).mean() < 0.04
    assert posterior.weights.sum(axis=(0, 2)).argmax() == 4  # component 0 is the broad one


def test_draws_agree_with_the_posterior_mean_and_the_measurements(prior, known):
    archs = np.random.default_rng(2).choice(space.N_ARCHS, 6, replace=False)
    cells = np.unique(np.r_[archs, np.arange(0, space.N_ARCHS, 97)])
    drawn = Draws(prior, cells, n=2000).condition(archs, known[0, archs])
    mean = Posterior.of(prior, archs, known[0, archs]).mean_ms()[cells]
    np.testing.assert_allclose(drawn.latency_ms.mean(axis=1), mean, rtol=0.03)
    assert drawn.latency_ms.std(axis=1)[np.isin(cells, archs)].max() < drawn.latency_ms.std(axis=1).max()
    assert (drawn.range_ms >= drawn.least_range_ms - 1e-9).all() and drawn.median_range_ms() > 0


def test_the_unit_of_time_does_not_matter(prior, known):
    archs = np.array([5, 900, 7000])
    one, other = (Posterior.of(prior, archs, scale * known[1, archs]).mean_ms() for scale in (1, 1e3))
    np.testing.assert_allclose(1e3 * one, other, rtol=1e-9)


def test_a_component_without_weight_says_nothing(prior, known):
    weights = prior.weights.copy()
    weights[4] = 0
    without = dataclasses.replace(prior, weights=weights / weights.sum())
    assert Posterior.of(without, [1, 2, 3], known[3, [1, 2, 3]]).weights[:, 4].sum() < 1e-100


def test_cells_that_do_not_compile_teach_nothing(prior, known):
    latency = known[2, [10, 20, 30]].copy()
    latency[1] = np.inf
    one = Posterior.of(prior, [10, 20, 30], latency)
    assert one.archs.tolist() == [10, 30] and np.isfinite(one.mean_ms()).all()


def test_the_variances_of_a_known_mixture_make_it_likelier(known):
    families = [str(k) for k in range(10)]
    fitted = priors.fit_variances(known, families, cells=20, repeats=1, iterations=4)
    assert all(value > 0 for value in (*fitted.broad, *fitted.local, fitted.s0, fitted.s1))
    cases = priors._Cases(known, np.asarray(families), 20, 1, np.random.default_rng(0))
    theta = np.r_[
        np.log([*fitted.broad, *fitted.local, fitted.s0, fitted.s1]), np.log(fitted.p_broad / (1 - fitted.p_broad))
    ]
    start = np.r_[np.log([0.6, 0.05, 0.003, 0.05, 0.005, 0.001, 4e-4, 3e-3]), -1.0]
    assert cases.log_likelihood(theta) > cases.log_likelihood(start)


def test_a_tested_family_is_in_neither_tables_nor_variances(measured_tables):
    names = [device.name for device in priors.known_devices(("titan_rtx_1",))]
    assert len(names) == len(data.MEASURED) - 2 and not any(name.startswith("titan_rtx") for name in names)
    assert priors.stored_variances(("titan_rtx_256",)) != priors.stored_variances(())
    assert priors.stored_variances(("mine",)) == priors.stored_variances(())
    assert priors.stored_variances(("raspi4_lut",)) == priors.stored_variances(("raspi4",))


def test_without_any_measured_table_the_embedded_sums_are_known(monkeypatch):
    monkeypatch.setattr(devices, "available", lambda names: [])
    priors.known_devices.cache_clear()
    try:
        names = [device.name for device in priors.known_devices(("raspi4",))]
    finally:
        priors.known_devices.cache_clear()
    assert len(names) == 17 and "raspi4_lut" not in names


# the answer


def test_the_answer_by_hand():
    assert recommendation.best_tradeoff([0.5, 0.9], [1.0, 5.0], 8.0) == 0  # 0.5 − 1/8 against 0.9 − 5/8
    assert recommendation.best_tradeoff([0.5, 0.9], [1.0, 5.0], 20.0) == 1
    assert recommendation.best_tradeoff([0.5, 0.9], [np.inf, 5.0], 1.0) == 1
    assert recommendation.best_within([0.5, 0.9], [1.0, 5.0], 2.0) == 0
    assert recommendation.best_within([0.5, 0.9], [1.0, 5.0], 5.0) == 1
    assert recommendation.best_within([0.5, 0.9], [1.0, 5.0], 0.5) is None


def test_the_expected_range_holds_what_was_measured(prior, known):
    fastest, slowest = recommendation.ExpectedRange(prior).bounds_ms([0, 1, 2], known[0, [0, 1, 2]])
    assert fastest <= known[0, :3].min() * 1.05 and slowest >= known[0, :3].max() * 0.95
    assert slowest - fastest == pytest.approx(np.ptp(known[0]), rel=0.5)


# what to measure next


def test_expected_improvement_by_hand():
    reward = np.array([[1.0, 1.0], [2.0, 0.0]])
    sure = improvement.expected_improvement(reward, np.array([1.0, 1.0]), np.full((2, 2), 1e-6))
    np.testing.assert_allclose(sure, [0, 0.5], atol=1e-6)
    # a Gaussian at the best in hand improves on it by σ/√(2π)
    unsure = improvement.expected_improvement(np.ones((1, 3)), np.ones(3), np.full((1, 3), 2.0))
    np.testing.assert_allclose(unsure, 2 / np.sqrt(2 * np.pi), rtol=1e-6)


def test_candidates_hold_the_best_cell_of_almost_any_device(known, prior):
    score = proxies.skip_score(EVERYTHING) / 2
    cells = improvement.candidates(prior, score)
    best = [(score - (row - row.min()) / np.ptp(row)).argmax() for row in known]
    assert np.isin(best, cells).mean() >= 0.7 and len(cells) < 2_000
    assert np.isin(np.argsort(-score)[:20], cells).all()
