import numpy as np
import pytest

from simmore import devices

LATENCY = [1.0, 2.0, 5.0]


def test_inverse_latency_is_1_for_the_fastest_cell_and_0_for_the_slowest():
    np.testing.assert_array_equal(devices.inverse_latency(LATENCY), [1, 0.75, 0])


def test_bounds_of_inverse_latency_may_be_numbers_or_one_pair_per_latency():
    assert devices.inverse_latency(2.0, (1.0, 5.0)) == 0.75
    np.testing.assert_array_equal(devices.inverse_latency(LATENCY, (0.0, 4.0)), [0.75, 0.5, -0.25])
    bounds = np.array([1.0, 1.0, 4.0]), np.array([5.0, 3.0, 6.0])
    np.testing.assert_array_equal(devices.inverse_latency(LATENCY, bounds), [1, 0.5, 0.5])


def test_inverse_latency_is_exactly_the_formula_of_the_environment():
    rng = np.random.default_rng(0)
    fastest, width, share = rng.lognormal(size=(3, 1000))
    latency, slowest = fastest + share * width, fastest + width
    expected = 1 - (latency - fastest) / np.maximum(slowest - fastest, 1e-12)
    assert devices.inverse_latency(latency, (fastest, slowest)).tobytes() == expected.tobytes()


def test_equal_latencies_have_a_finite_inverse_latency():
    np.testing.assert_array_equal(devices.inverse_latency([3.0, 3.0]), [1, 1])
    np.testing.assert_allclose(devices.inverse_latency([3.0, 4.0], (3.0, 3.0)), [1, 1 - 1e12 / 3])


def test_the_reward_is_the_score_plus_the_weighted_inverse_latency():
    score = [0.0, 1.0, 0.5]
    np.testing.assert_array_equal(devices.reward(score, LATENCY), [1, 1.75, 0.5])
    np.testing.assert_array_equal(devices.reward(score, LATENCY, weight=2), [2, 2.5, 0.5])
    np.testing.assert_array_equal(devices.reward(score, LATENCY, bounds_ms=(0, 4)), [0.75, 1.5, 0.25])
    assert devices.reward(0.5, 2.0, bounds_ms=(1.0, 5.0)) == 1.25
    assert devices.optimum(score, LATENCY) == 1


@pytest.mark.parametrize("weight", [0, 1, 3])
def test_a_cell_that_does_not_compile_has_the_reward_minus_infinity(weight):
    rewards = devices.reward([0.0, 9.0, 0.5], [1.0, np.inf, 5.0], weight=weight)
    np.testing.assert_array_equal(rewards, [weight, -np.inf, 0.5])


def test_a_cell_that_does_not_compile_is_never_the_optimum():
    assert devices.inverse_latency([1.0, np.inf, 5.0])[1] == -np.inf
    assert devices.optimum([0.0, 9.0, 0.5], [1.0, np.inf, 5.0]) == 0


def test_the_reward_of_random_search_is_the_mean_over_many_searches():
    rewards = np.random.default_rng(0).normal(size=500)
    draws = np.random.default_rng(1).choice(rewards, size=(100_000, 10)).max(axis=1)
    assert devices.random_search_reward(rewards) == pytest.approx(draws.mean(), abs=4 * draws.std() / np.sqrt(1e5))
    assert devices.random_search_reward([0.0, 1.0], budget=2) == 0.75


def test_regret_is_0_at_the_best_and_1_at_random_search():
    rewards = np.array([0.0, 1.0])
    expected = 1 - 0.5**10  # ten draws of two cells miss the better one that rarely
    np.testing.assert_allclose(devices.normalised_regret(rewards, [1, 0]), [0, 1 / (1 - expected)])


def test_the_unit_of_time_changes_no_inverse_latency():
    for latency in ([1.0, 2.0, 5.0], [3.0, 3.0, 3.0 + 1e-9]):
        for scale in (1e-9, 1e9):
            scaled = devices.inverse_latency(scale * np.array(latency))
            np.testing.assert_allclose(scaled, devices.inverse_latency(latency), rtol=1e-6)


def test_cells_that_were_not_measured_neither_win_nor_count():
    score, latency = np.array([0.0, 1.0, 0.5, 9.0]), np.array([1.0, 2.0, 5.0, np.nan])
    rewards = devices.reward(score, latency)
    np.testing.assert_array_equal(rewards, [1, 1.75, 0.5, np.nan])
    assert devices.optimum(score, latency) == 1
    assert devices.random_search_reward(rewards) == devices.random_search_reward(rewards[:3])
    np.testing.assert_array_equal(
        devices.normalised_regret(rewards, [0, 1, 2]), devices.normalised_regret(rewards[:3], [0, 1, 2])
    )


def test_one_wrong_reading_does_not_change_the_robust_range():
    latency = np.linspace(1.0, 2.0, 10_001)
    wrong = latency.copy()
    wrong[5] = 1000.0
    assert devices.bounds(latency) == (1, 2) and devices.bounds(wrong) == (1, 1000)
    np.testing.assert_allclose(devices.bounds(wrong, robust=True), devices.bounds(latency, robust=True), atol=1e-3)
    np.testing.assert_allclose(devices.bounds(latency, robust=True), (1.001, 1.999))


def test_rewards_with_the_robust_range_are_clipped_to_it_and_failed_cells_stay_failed():
    latency = np.r_[np.linspace(1.0, 2.0, 10_001), 1000.0, np.inf, np.nan]
    rewards = devices.reward(np.zeros(len(latency)), latency, robust=True)
    assert rewards[0] == 1 and rewards[-3] == 0 and np.isneginf(rewards[-2]) and np.isnan(rewards[-1])
    assert rewards[5000] == pytest.approx(0.5, abs=1e-3)
