"""Statistics of runs, checked by hand."""

import numpy as np
import pytest
from scipy import stats

from simmore.experiments import statistics


def test_the_interval_of_a_mean_is_students():
    values = np.random.default_rng(0).normal(size=12)
    found = statistics.interval(values)
    low, high = stats.t.interval(0.95, 11, loc=values.mean(), scale=stats.sem(values))
    assert found == pytest.approx((values.mean(), low, high))


def test_an_interval_of_arrays_is_one_of_each_element():
    values = np.random.default_rng(1).normal(size=(5, 3))
    found = statistics.interval(values)
    assert found.low.shape == (3,) and found.low[1] == pytest.approx(statistics.interval(values[:, 1]).low)


def test_the_interval_of_a_constant_has_no_width():
    assert statistics.interval([[2.0, 4.0]] * 6, statistics.interquartile_mean) == pytest.approx((3, 3, 3))


def test_an_interval_holds_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(2)
    hits = [low <= 0 <= high for _, low, high in (statistics.interval(rng.normal(size=8)) for _ in range(400))]
    assert np.mean(hits) == pytest.approx(0.95, abs=0.04)


def test_one_unit_has_no_interval():
    with pytest.raises(ValueError, match="at least two units"):
        statistics.interval([1.0])


def test_the_interval_of_a_rank_correlation_holds_it_and_narrows_with_more_cells():
    rng = np.random.default_rng(3)
    a = rng.normal(size=4_000)
    b = a + rng.normal(size=4_000)
    wide, narrow = (statistics.spearman_interval(a[:n], b[:n]) for n in (200, 4_000))
    assert narrow.value == pytest.approx(statistics.spearman(a, b))
    assert narrow.high - narrow.low < wide.high - wide.low and narrow.low < 0.69 < narrow.high  # 6/π asin(1/√8)


def test_the_interquartile_mean_by_hand():
    assert statistics.interquartile_mean([0, 1, 2, 3, 4, 5, 6, 1000]) == (2 + 3 + 4 + 5) / 4
    assert statistics.interquartile_mean([[0, 1], [2, 100]]) == 1.5  # over all runs, whatever the device


def test_a_performance_profile_by_hand():
    np.testing.assert_array_equal(statistics.performance_profile([[0, 1], [2, 3]], [-1, 0, 1.5, 3]), [0, 0.25, 0.5, 1])


def test_the_probability_of_improvement_by_hand():
    # device one: ours always smaller; device two: equal
    assert statistics.probability_of_improvement([[0, 0], [5, 5]], [[1, 2], [5, 5]]) == 0.75
    assert statistics.probability_of_improvement([[3]], [[3]]) == 0.5


def test_rank_correlations_by_hand():
    assert statistics.spearman([1, 2, 3], [10, 20, 30]) == pytest.approx(1)
    assert statistics.kendall([1, 2, 3], [1, 3, 2]) == pytest.approx(1 / 3)
