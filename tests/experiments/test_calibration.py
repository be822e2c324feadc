"""Calibration of predictions whose errors are known."""

import numpy as np
import pandas as pd
import pytest

from simmore import space
from simmore.devices import normalised_regret, reward
from simmore.experiments import calibration
from simmore.models.readings import resolution
from simmore.strategies import Problem, Session, run


@pytest.fixture
def searched():
    """A hundred searches on twenty devices: ranges as predicted, regrets half of what is predicted."""
    k = np.arange(100)
    return pd.DataFrame({
        "source": "simulated", "device": [f"device {number}" for number in k % 20], "start": 0, "n_measured": 10,
        "range_percentile": k + 0.5, "predicted_regret": k / 100, "true_regret": k / 200,
    })[calibration.COLUMNS]  # fmt: skip


def test_a_calibrated_range_is_below_each_quantile_as_often_as_predicted(searched):
    curve = calibration.calibration_curves(searched, np.linspace(0, 1, 11))
    np.testing.assert_allclose(curve["observed"], curve["nominal"])
    too_low = calibration.calibration_curves(searched.assign(range_percentile=100.0), [0.5, 0.99, 1.0])
    assert too_low["observed"].tolist() == [0, 0, 1]


def test_bins_show_that_true_regret_is_half_of_the_predicted_one(searched):
    bins = calibration.regret_bins(searched, bins=4)
    assert bins["n"].tolist() == [25] * 4 and bins["predicted"].is_monotonic_increasing
    np.testing.assert_allclose(bins["true"], bins["predicted"] / 2)
    assert (bins["low"] <= bins["true"]).all() and (bins["true"] <= bins["high"]).all()
    single = calibration.regret_bins(searched.assign(device="one"), bins=2)
    assert single["low"].isna().all() and single["true"].notna().all()


def test_the_summary_counts_searches(searched):
    row = calibration.summary(searched).loc[("simulated", 10)]
    assert row["range below median"] == 0.5 and row["range in central 90%"] == pytest.approx(0.9)
    assert row["true regret"] == pytest.approx(row["predicted regret"] / 2) and row["true ≤ predicted"] == 1


def test_simulated_devices_with_a_coarse_timer_show_whole_milliseconds():
    found = calibration.simulated_devices(12, seed=5)
    tables = np.stack([device.table for device in found])
    coarse = np.array([resolution(table[:10]) == 1 for table in tables])
    assert coarse.any() and not coarse.all()
    assert (tables[coarse] == np.round(tables[coarse])).all()
    np.testing.assert_allclose(tables[~coarse].mean(axis=1), 10)


def test_one_search_is_judged_after_every_number_of_measurements(conv_score, monkeypatch):
    monkeypatch.setattr(calibration, "MEASURED", (2, 3))
    monkeypatch.setattr(calibration, "BUDGET", 3)
    problem = calibration.Problem(conv_score)
    frame = calibration.searches(calibration.simulated_devices(1), "simulated", n_starts=1, problem=problem, n_jobs=1)
    assert list(frame.columns) == calibration.COLUMNS and frame["n_measured"].tolist() == [2, 3]
    assert frame["range_percentile"].between(0, 100).all() and (frame["true_regret"] >= 0).all()
    assert (frame["predicted_regret"] > 0).all()


def test_two_recommendations_of_the_same_searches_are_compared(conv_score, monkeypatch):
    monkeypatch.setattr(calibration, "MEASURED", (3,))
    monkeypatch.setattr(calibration, "BUDGET", 3)
    problem, tested = Problem(conv_score), calibration.simulated_devices(2)
    row = calibration.rules(tested, "simulated", n_starts=1, problem=problem, n_jobs=1).loc["simulated", 3]
    assert row["own heads"] - row["posterior"] == pytest.approx(row["difference"], abs=1e-12)
    assert row["low"] <= row["difference"] <= row["high"]
    expected = []
    for k, device in enumerate(tested):
        start = int(np.random.default_rng(k).integers(space.N_ARCHS, size=1)[0])
        rewards = reward(problem.score, device.table)
        for name in ("controller", "controller/1", "controller/2"):
            session = Session(name, problem, budget=3, start=start, seed=np.random.default_rng([k, 0]))
            expected.append(normalised_regret(rewards, run(session, device).arch))
    assert row["posterior"] == pytest.approx(np.mean(expected))
