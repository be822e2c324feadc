"""The accuracy that a score costs: on tables checked by hand, and on a device."""

import numpy as np
import pandas as pd
import pytest

from simmore import data, devices, space
from simmore.experiments import accuracy_lost, limits


def test_accuracy_lost_within_limits_computed_by_hand():
    """Four cells with latencies 1 to 4; the score prefers the slowest."""
    score, accuracy, latency = [1, 2, 3, 4], [60.0, 90.0, 70.0, 80.0], [1.0, 2.0, 3.0, np.inf]
    lost = [accuracy_lost.lost_within(score, accuracy, latency, limit) for limit in (1, 2, 3)]
    assert lost == [0, 0, 20]


def test_the_hypervolume_of_three_points():
    """1 ms, 80 % and 2 ms, 90 %; a dominated point and one beyond the worst add nothing."""
    assert accuracy_lost.hypervolume([2, 1, 3, 9], [90, 80, 85, 99], (4, 70)) == 3 * 10 + 2 * 10
    assert accuracy_lost.hypervolume([5.0, np.nan], [90, 90], (4, 70)) == 0


def test_a_score_that_is_accuracy_loses_nothing(monkeypatch):
    monkeypatch.setattr(accuracy_lost.proxies, "stored_score", lambda dataset, name: data.accuracy(dataset))
    gpu = devices.load("nats_gpu")
    frame = accuracy_lost.known_latency([gpu], ["freerea"])
    assert list(frame.columns) == accuracy_lost.COLUMNS and len(frame) == 3 * len(accuracy_lost.QUANTILES)
    assert (frame["lost"] == 0).all() and np.isinf(frame["measurements"]).all()


def test_limits_are_quantiles_of_the_cells_that_work():
    latency = np.arange(1.0, space.N_ARCHS + 1)
    latency[-1] = np.inf
    device = devices.TableDevice("one", latency)
    assert accuracy_lost.limit_ms(device, 1.0) == space.N_ARCHS - 1
    assert accuracy_lost.limit_ms(device, 0.5) == pytest.approx(space.N_ARCHS / 2)


def test_summaries_weigh_devices_equally():
    """Device a loses 1 and 3, b loses 4 and finds nothing once: (2 + 4) / 2."""
    rows = [("cifar10", "freerea", name, 0.5, 10, start, lost) for name, start, lost in
            [("a", 0, 1.0), ("a", 1, 3.0), ("b", 0, 4.0), ("b", 1, np.nan)]]  # fmt: skip
    frame = pd.DataFrame(rows, columns=accuracy_lost.COLUMNS)
    found = accuracy_lost.summary(frame).iloc[0]
    assert (found["lost"], found["worst"], found["none"]) == (3.0, 4.0, 0.25)
    assert found["low"] < 3 < found["high"]
    known = pd.DataFrame(
        [("cifar10", "freerea", name, 0.5, np.inf, 0, lost) for name, lost in (("a", 1.0), ("b", 2.0))],
        columns=accuracy_lost.COLUMNS,
    )
    assert accuracy_lost.added(pd.concat([known, frame]), "cifar10", "freerea").value == 1.5  # (1 + 2) / 2


def test_searches_of_one_device_lose_little_and_keep_the_limit():
    gpu = devices.load("nats_gpu")
    frame = accuracy_lost.after_measurements([gpu], ["combined"], datasets=["cifar10"], quantiles=[0.5], n_jobs=1)
    assert list(frame.columns) == accuracy_lost.COLUMNS and frame["lost"].between(0, 10).all()
    reached = accuracy_lost.fronts([gpu], ["combined"], datasets=["cifar10"], n_jobs=1)
    assert list(reached.columns) == accuracy_lost.FRONT_COLUMNS and reached["hypervolume"].between(0.3, 1).all()


def test_nasflats_points_have_the_columns_of_limits():
    points = limits.nasflat_points()
    assert list(points.columns) == limits.COLUMNS and len(points) == 5
    assert {limit for _, limit in limits.nasflat_cases()} <= set(points["limit_ms"])
