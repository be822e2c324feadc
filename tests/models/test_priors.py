"""Priors, posteriors and acquisition functions, checked on devices whose truth is known."""

import dataclasses

import numpy as np
import pytest

from simmore import data, devices, proxies, space
from simmore.models import Knowledge, acquisition, known, priors, variances
from simmore.models.features import feature_blocks
from simmore.models.posterior import Posterior, Sampler, extreme_cells
from simmore.models.variances import Variances
from simmore.strategies import History, Problem
from simmore.strategies.recommendation import ExpectedRange

EVERYTHING = np.arange(space.N_ARCHS)
VARIANCES = Variances((0.5, 0.05, 0.003), (1e-4, 0.02, 1e-4), 5e-4, 1e-3, 0.1)


@pytest.fixture(scope="module")
def tables():
    """Ten additive devices with some noise, ``(devices, cells)`` in ms."""
    rng = np.random.default_rng(0)
    table = devices.all_operation_counts() @ devices.SyntheticDevices.fit().sample(10, rng).T
    return (table * np.exp(0.02 * rng.standard_normal(table.shape))).T


@pytest.fixture(scope="module")
def prior(tables):
    return priors.mixture_prior(tables, VARIANCES)


def sampler(prior, cells, n=384, seed=0):
    return Sampler(prior, cells, n=n, rng=np.random.default_rng(seed))


def test_features_of_a_cell_by_hand():
    cell = int(space.to_archs([3, 0, 0, 1, 0, 4]))  # conv 0→1 leads nowhere, skip 0→3 counts, pool 2→3 gets nothing
    counts, live = (block[cell] * 6 for block in feature_blocks())
    assert counts.tolist() == pytest.approx([3, 1, 0, 1, 1])
    assert live.tolist() == pytest.approx([6, 1, 0, 0, 1])  # the first says that any edge leads to the output


def test_the_mixture_has_one_broad_component_and_one_a_device(prior):
    assert prior.centres.shape == (11, space.N_ARCHS) and prior.kind.tolist() == [0] + [1] * 10
    assert prior.weights.sum() == pytest.approx(1) and prior.weights[0] == 0.1
    np.testing.assert_allclose(prior.mean.mean(), 1)
    assert (np.abs(prior.inflation.log_factor) < 0.1).all() and not prior.inflation.resolution.any()


def test_a_known_device_is_recognised_at_another_scale(prior, tables):
    archs = np.random.default_rng(1).choice(space.N_ARCHS, 8, replace=False)
    posterior = Posterior.of(prior, archs, 40 * tables[3, archs])
    assert posterior.weights.sum() == pytest.approx(1)
    assert np.abs(posterior.mean_ms() / (40 * tables[3]) - 1).mean() < 0.04
    assert posterior.weights.sum(axis=(0, 2)).argmax() == 4  # component 0 is the broad one


def test_an_additive_device_is_learnt_from_its_five_single_operation_cells():
    xi = devices.SyntheticDevices.fit()
    device = xi.device(np.random.default_rng(0))
    archs = space.single_operation_archs()
    mean = Posterior.of(priors.linear_prior(xi), archs, device.latency_ms(archs)).mean_ms()
    assert np.abs(mean / device.latency_ms(EVERYTHING) - 1).max() < 0.1


def test_the_deviation_is_smallest_where_something_was_measured(prior, tables):
    archs = np.array([5, 900, 7000])
    for one in (prior, priors.covariance_prior(tables)):
        posterior = Posterior.of(one, archs, tables[1, archs])
        deviation = posterior.smooth_deviation_ms(EVERYTHING)
        assert (deviation >= 0).all() and deviation[archs].max() < np.median(deviation)


@pytest.mark.parametrize("make", [lambda t: priors.mixture_prior(t, VARIANCES), priors.covariance_prior])
def test_samples_agree_with_the_posterior_mean_and_the_measurements(make, tables):
    prior = make(tables)
    archs = np.random.default_rng(2).choice(space.N_ARCHS, 6, replace=False)
    cells = np.unique(np.r_[archs, np.arange(0, space.N_ARCHS, 97)])
    samples = sampler(prior, cells, n=2000).condition(archs, tables[0, archs])
    mean = Posterior.of(prior, archs, tables[0, archs]).mean_ms()[cells]
    np.testing.assert_allclose(samples.latency_ms.mean(axis=1), mean, rtol=0.05)
    assert samples.latency_ms.std(axis=1)[np.isin(cells, archs)].max() < samples.latency_ms.std(axis=1).max()
    assert (samples.range_ms >= samples.least_range_ms - 1e-9).all() and samples.median_range_ms() > 0


def test_the_unit_of_time_does_not_matter(prior, tables):
    archs = np.array([5, 900, 7000])
    one, other = (Posterior.of(prior, archs, scale * tables[1, archs]).mean_ms() for scale in (1, 1e3))
    np.testing.assert_allclose(1e3 * one, other, rtol=1e-9)


def test_a_component_without_weight_has_no_posterior_weight(prior, tables):
    weights = prior.weights.copy()
    weights[4] = 0
    without = dataclasses.replace(prior, weights=weights / weights.sum())
    assert Posterior.of(without, [1, 2, 3], tables[3, [1, 2, 3]]).weights[:, 4].sum() < 1e-100


def test_cells_that_do_not_compile_are_not_used(prior, tables):
    latency = tables[2, [10, 20, 30]].copy()
    latency[1] = np.inf
    one = Posterior.of(prior, [10, 20, 30], latency)
    assert one.archs.tolist() == [10, 30] and np.isfinite(one.mean_ms()).all()


def test_fitted_variances_have_a_higher_likelihood_than_their_start(tables):
    families = [str(k) for k in range(10)]
    fitted = variances.fit_variances(tables, families, cells=20, repeats=1, iterations=4)
    assert all(value > 0 for value in (*fitted.broad, *fitted.local, fitted.s0, fitted.s1))
    cases = variances._Cases(tables, np.asarray(families), 20, 1, np.random.default_rng(0))
    theta = np.r_[
        np.log([*fitted.broad, *fitted.local, fitted.s0, fitted.s1]), np.log(fitted.p_broad / (1 - fitted.p_broad))
    ]
    start = np.r_[np.log([0.6, 0.05, 0.003, 0.05, 0.005, 0.001, 4e-4, 3e-3]), -1.0]
    assert cases.log_likelihood(theta) > cases.log_likelihood(start)


def test_a_family_that_is_left_out_is_in_neither_tables_nor_variances(measured_tables):
    names = [device.name for device in known.known_devices(("titan_rtx_1",))]
    assert len(names) == len(data.MEASURED) - 2 and not any(name.startswith("titan_rtx") for name in names)
    assert variances.stored_variances(("titan_rtx_256",)) != variances.stored_variances(())
    assert variances.stored_variances(("mine",)) == variances.stored_variances(())
    assert Knowledge(["titan_rtx_256"]).without == Knowledge(["titan_rtx_1"]).without == ("titan_rtx",)


def test_ξ_leaves_out_the_same_families():
    assert Knowledge(["raspi4"]).xi.fitted_to == tuple(name for name in devices.PAPER_DEVICES if name != "raspi4")
    assert Knowledge().xi.fitted_to == devices.PAPER_DEVICES


def test_without_any_measured_table_the_embedded_sums_are_known(monkeypatch):
    monkeypatch.setattr(devices, "available", lambda names: [])
    known.known_devices.cache_clear()
    try:
        names = [device.name for device in known.known_devices(("raspi4",))]
    finally:
        known.known_devices.cache_clear()
    assert len(names) == 17 and "raspi4_lut" not in names


def test_the_expected_range_contains_what_was_measured(prior, tables):
    history = History(zip([0, 1, 2], tables[0, :3], strict=True))
    fastest, slowest = ExpectedRange(prior).estimated_range_ms(history)
    assert fastest <= tables[0, :3].min() * 1.05 and slowest >= tables[0, :3].max() * 0.95
    assert slowest - fastest == pytest.approx(np.ptp(tables[0]), rel=0.5)


def test_the_expected_regret_is_that_of_devices_like_the_known_ones(prior, tables):
    """On devices that the prior describes well, the predicted regret of a bad and of the best cell are far apart."""
    problem = Problem(proxies.stored_score())
    rule = ExpectedRange(prior)
    reward = devices.reward(problem.score, tables[5])
    best, bad = int(reward.argmax()), int(np.argsort(reward)[space.N_ARCHS // 3])
    history = History([(arch, tables[5, arch]) for arch in (best, bad, 100, 2000, 9000)])
    truth = devices.normalised_regret(reward, [best, bad])
    predicted = [rule.expected_regret(problem, history, arch) for arch in (best, bad)]
    assert predicted[0] < 0.2 and predicted[1] == pytest.approx(truth[1], rel=0.4)


def test_expected_improvement_by_hand():
    reward = np.array([[1.0, 1.0], [2.0, 0.0]])
    sure = acquisition.expected_improvement(reward, np.array([1.0, 1.0]), np.full((2, 2), 1e-6))
    np.testing.assert_allclose(sure, [0, 0.5], atol=1e-6)
    # a Gaussian at the incumbent improves on it by σ/√(2π)
    unsure = acquisition.expected_improvement(np.ones((1, 3)), np.ones(3), np.full((1, 3), 2.0))
    np.testing.assert_allclose(unsure, 2 / np.sqrt(2 * np.pi), rtol=1e-6)


def test_candidates_contain_the_best_cell_of_most_devices_and_the_top_scores(tables, prior):
    score = proxies.skip_score(EVERYTHING) / 2
    cells = acquisition.candidates(prior, score, 1.0, np.random.default_rng(0))
    best = [devices.optimum(score, row) for row in tables]
    assert np.isin(best, cells).mean() >= 0.7 and len(cells) < 2_000
    assert np.isin(np.argsort(-score)[:20], cells).all()


def test_extreme_cells_contain_the_fastest_and_the_slowest_of_most_devices(tables, prior):
    cells = extreme_cells(prior, rng=np.random.default_rng(0))
    assert np.isin(np.r_[tables.argmin(axis=1), tables.argmax(axis=1)], cells).mean() > 0.5
