"""Priors, posteriors and acquisition functions, checked on devices whose truth is known."""

import numpy as np
import pytest

from simmore import data, devices, proxies, space
from simmore.devices.simulated import fingerprint
from simmore.models import Knowledge, acquisition, known, prior, simulated
from simmore.models.posterior import Posterior, Sampler, extreme_cells
from simmore.models.prior import from_tables, gaussian_prior
from simmore.strategies import History, Problem
from simmore.strategies.recommendation import ExpectedRange

EVERYTHING = np.arange(space.N_ARCHS)


@pytest.fixture(scope="module")
def tables():
    """Ten additive devices with some noise, ``(devices, cells)`` in ms."""
    rng = np.random.default_rng(0)
    table = devices.all_operation_counts() @ devices.SyntheticDevices.fit().sample(10, rng).T
    return (table * np.exp(0.02 * rng.standard_normal(table.shape))).T


@pytest.fixture(scope="module")
def mixed(tables):
    return from_tables(simulated.simulated_prior(), tables, "test")


@pytest.fixture(scope="module")
def drawn():
    """Simulated devices that the prior was not fitted to: without noise, and as measured, ``(devices, cells)``.

    A coarse timer shows whole numbers.
    """
    rng = np.random.default_rng(123)
    some = devices.Simulated.draw(20, rng)
    latency, coarse = some.latency(), some.step > 0
    measured = some.measure(latency, rng)
    unit = np.where(coarse, some.step * latency.mean(axis=1), 1)[:, None]
    latency, measured = (table.astype(np.float64) / unit for table in (latency, measured))
    measured[coarse] = np.round(measured[coarse])
    return latency, measured


def sampler(prior, cells, n=384, seed=0):
    return Sampler(prior, cells, n=n, rng=np.random.default_rng(seed))


def test_components_have_weights_that_sum_to_one_for_each_kind_of_timer(mixed):
    for one in (simulated.simulated_prior(), mixed):
        for kind in (False, True):
            assert one.components.weight[one.components.coarse == kind].sum() == pytest.approx(1, abs=1e-5)
        np.testing.assert_allclose(one.components.noise.sum(axis=1), 1, rtol=1e-5)
    near = len(mixed.components) - len(simulated.simulated_prior().components)
    assert near == 20 and mixed.components.weight[-near:].sum() == pytest.approx(0.5)


def test_the_posterior_by_hand():
    """One coordinate, two cells, one component: the formula of Bayesian linear regression."""
    kinds, d = np.array([False, True]), 2
    factor, noise = np.tile(np.eye(d), (2, 1, 1)), np.tile(np.eye(6)[2], (2, 1))
    one = prior.Components(np.ones(2), np.zeros((2, d)), factor, noise, kinds)
    mean, basis = np.zeros(space.N_ARCHS, np.float32), np.zeros((space.N_ARCHS, 1), np.float32)
    basis[0], basis[1] = 1, -1
    found = Posterior.of(prior.Prior("test", mean, basis, one), [0, 1], [np.exp(1 / 3), np.exp(-1 / 3)])
    variance = prior.NOISE_SCALES[2] ** 2
    assert found.weight.tolist() == [1.0]
    assert found.centre[0, 1] == pytest.approx(1 / 3 / (1 + variance / 2), rel=1e-4)
    assert (found.spread[0] @ found.spread[0].T)[1, 1] == pytest.approx(variance / (2 + variance), rel=1e-3)


def test_the_evidence_is_the_density_of_the_prior(mixed):
    """Beside the density of the same Gaussians computed from their covariances."""
    from scipy import stats
    from scipy.special import logsumexp

    archs, y = np.array([5, 900, 7000]), np.array([3.123456789, 7.1, 2.2])
    one = mixed.components[~mixed.components.coarse]
    design, terms = mixed.basis[archs].astype(float), []
    seen = np.log(y) - mixed.mean[archs] - np.log(y).mean()
    for weight, centre, factor, noise in zip(one.weight, one.centre, one.factor, one.noise, strict=True):
        covariance = design @ (factor @ factor.T)[:-1, :-1] @ design.T + prior._SCALE_SD**2
        for share, tau in zip(noise, prior.NOISE_SCALES, strict=True):
            gaussian = stats.multivariate_normal(design @ centre[:-1], covariance + (tau**2 + 1e-8) * np.eye(3))
            terms.append(np.log(weight) + np.log(share) + gaussian.logpdf(seen))
    assert Posterior.of(mixed, archs, y).log_evidence == pytest.approx(logsumexp(terms), rel=1e-5)


def test_a_known_device_is_recognised_at_another_scale(mixed, tables):
    archs = np.random.default_rng(1).choice(space.N_ARCHS, 8, replace=False)
    posterior = Posterior.of(mixed, archs, 40 * tables[3, archs])
    assert posterior.weight.sum() == pytest.approx(1)
    assert np.abs(posterior.predicted_ms() / (40 * tables[3]) - 1).mean() < 0.04


def test_ten_cells_of_a_simulated_device_predict_the_others(drawn):
    latency, measured = drawn
    errors = []
    for truth, seen in zip(latency, measured, strict=True):
        archs = np.random.default_rng(0).choice(space.N_ARCHS, 10, replace=False)
        predicted = Posterior.of(simulated.simulated_prior(), archs, seen[archs]).predicted_ms()
        errors.append(np.median(np.abs(np.log(predicted / truth))))
    spread = np.median(np.abs(np.log(latency / np.median(latency, axis=1, keepdims=True))))
    assert np.median(errors) < 0.2 * spread


def test_ranges_of_simulated_devices_are_as_often_below_what_is_predicted_as_they_should_be(drawn):
    _, measured = drawn
    sampler_, below = sampler(simulated.simulated_prior(), np.arange(10)), []
    for seen in measured:
        archs = np.random.default_rng(0).choice(space.N_ARCHS, 10, replace=False)
        below.append((sampler_.condition(archs, seen[archs]).range_ms < np.ptp(seen)).mean())
    assert 0.25 < np.mean(below) < 0.75 and np.mean(np.abs(np.array(below) - 0.5) < 0.45) > 0.7


def test_the_deviation_is_smallest_where_something_was_measured(mixed, tables):
    archs = np.array([5, 900, 7000])
    for one in (mixed, gaussian_prior(tables, "test", noise=0.05)):
        deviation = Posterior.of(one, archs, tables[1, archs]).deviation_ms(EVERYTHING)
        assert (deviation >= 0).all() and deviation[archs].max() < np.median(deviation)


def test_samples_agree_with_the_posterior_and_the_measurements(mixed, tables):
    archs = np.random.default_rng(2).choice(space.N_ARCHS, 6, replace=False)
    cells = np.unique(np.r_[archs, np.arange(0, space.N_ARCHS, 97)])
    samples = sampler(mixed, cells, n=2000).condition(archs, tables[0, archs])
    predicted = Posterior.of(mixed, archs, tables[0, archs]).predicted_ms()[cells]
    np.testing.assert_allclose(np.exp(np.log(samples.latency_ms).mean(axis=1)), predicted, rtol=0.05)
    assert samples.latency_ms.std(axis=1)[np.isin(cells, archs)].max() < samples.latency_ms.std(axis=1).max()
    assert (samples.range_ms >= np.ptp(tables[0, archs]) * 0.99).all() and (samples.fastest_ms > 0).all()


def test_the_unit_of_time_does_not_matter(mixed, tables):
    archs = np.array([5, 900, 7000])
    one, other = (Posterior.of(mixed, archs, scale * tables[1, archs]).predicted_ms() for scale in (1, 1e3))
    np.testing.assert_allclose(1e3 * one, other, rtol=1e-5)


def test_cells_that_do_not_compile_are_not_used(mixed, tables):
    latency = tables[2, [10, 20, 30]].copy()
    latency[1] = np.inf
    archs, finite = History(zip([10, 20, 30], latency, strict=True)).usable(mixed.shape)
    assert archs.tolist() == [10, 30] and np.isfinite(Posterior.of(mixed, archs, finite).predicted_ms()).all()


def test_the_package_s_prior_was_fitted_to_the_simulated_devices_of_this_code():
    """Where this fails, the simulated devices changed: `make train` fits the prior and trains the controllers anew."""
    np.testing.assert_allclose(simulated.fitted_devices(), fingerprint(), rtol=1e-3)


def test_a_small_fit_is_reproducible_and_is_read_as_it_was_written(tmp_path, monkeypatch):
    pytest.importorskip("sklearn")
    monkeypatch.setattr(simulated, "TABLE", tmp_path / "prior.safetensors")
    one, other = (simulated.fit(n=300, n_basis=200, n_coordinates=4, components=(3, 2)) for _ in range(2))
    np.testing.assert_array_equal(one.components.centre, other.components.centre)
    simulated.save(one)
    simulated.simulated_prior.cache_clear()
    try:
        read = simulated.simulated_prior()
        (tmp_path / "prior.safetensors").write_bytes(b"cut off")
        simulated.simulated_prior.cache_clear()
        with pytest.raises(ValueError, match="Install the package again"):
            simulated.simulated_prior()
    finally:
        simulated.simulated_prior.cache_clear()
    np.testing.assert_allclose(read.components.factor, one.components.factor, atol=1e-3)
    np.testing.assert_allclose(read.basis, one.basis, atol=5e-3)


def test_a_family_that_is_left_out_is_not_among_the_tables(measured_tables):
    names = [device.name for device in known.known_devices(("titan_rtx_1",))]
    assert len(names) == len(data.MEASURED) - 2 and not any(name.startswith("titan_rtx") for name in names)
    assert Knowledge(["titan_rtx_256"]).without == Knowledge(["titan_rtx_1"]).without == ("titan_rtx",)
    assert Knowledge(tables=False).tables is simulated.simulated_prior()
    assert Knowledge(tables=False).covariance.source == "lookup tables of other devices"


def test_ξ_leaves_out_the_same_families():
    assert Knowledge(["raspi4"]).xi.fitted_to == tuple(name for name in devices.PAPER_DEVICES if name != "raspi4")
    assert Knowledge().xi.fitted_to == devices.PAPER_DEVICES


def test_without_any_measured_table_simulated_devices_are_known(monkeypatch):
    monkeypatch.setattr(devices, "available", lambda names: [])
    known.known_devices.cache_clear()
    try:
        assert known.known_devices(("raspi4", "none")) == ()
        assert Knowledge(["raspi4", "none"]).tables is simulated.simulated_prior()
    finally:
        known.known_devices.cache_clear()


def test_the_expected_range_contains_what_was_measured(mixed, tables):
    history = History(zip([0, 1, 2], tables[0, :3], strict=True))
    fastest, slowest = ExpectedRange(mixed).estimated_range_ms(history)
    assert fastest <= tables[0, :3].min() * 1.05 and slowest >= tables[0, :3].max() * 0.95
    assert slowest - fastest == pytest.approx(np.ptp(tables[0]), rel=0.5)


def test_the_expected_regret_is_that_of_devices_like_the_known_ones(mixed, tables):
    """On devices that the prior describes well, the predicted regret of a bad and of the best cell are far apart."""
    problem = Problem(proxies.stored_score())
    rule = ExpectedRange(mixed)
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


def test_candidates_contain_the_best_cell_of_most_devices_and_the_top_scores(tables, mixed):
    score = proxies.skip_score(EVERYTHING) / 2
    cells = acquisition.candidates(mixed, score, 1.0, np.random.default_rng(0))
    best = [devices.optimum(score, row) for row in tables]
    assert np.isin(best, cells).mean() >= 0.7 and len(cells) < 2_000
    assert np.isin(np.argsort(-score)[:20], cells).all()


def test_extreme_cells_contain_the_fastest_and_the_slowest_of_most_devices(tables, mixed):
    cells = extreme_cells(mixed, rng=np.random.default_rng(0))
    assert np.isin(np.r_[tables.argmin(axis=1), tables.argmax(axis=1)], cells).mean() > 0.5
