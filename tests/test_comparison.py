"""The comparison, the limits and the predictions, on devices that are always there."""

import numpy as np
import pandas as pd
import pytest

from simmore import data, devices, space
from simmore.experiments import comparison, limits, prediction, summaries
from simmore.strategies import catalogue as strategies
from simmore.strategies import loop

EVERYTHING = np.arange(space.N_ARCHS)


@pytest.fixture(scope="module")
def gpu():
    return devices.load("nats_gpu")


@pytest.fixture(scope="module")
def frame(gpu, tmp_path_factory):
    folder = tmp_path_factory.mktemp("parts")
    score = space.operation_counts(EVERYTHING)[:, 3] / 12.0
    run = lambda: comparison.compare(  # noqa: E731
        [gpu], score, names=["random", "mean_device"], n_starts=3, budget=6, n_jobs=1, folder=folder
    )
    first = run()
    files = {file: file.stat().st_mtime_ns for file in folder.iterdir()}
    assert len(files) == 2
    pd.testing.assert_frame_equal(first, run())  # read back, not searched again
    assert files == {file: file.stat().st_mtime_ns for file in folder.iterdir()}
    return first


def test_a_comparison_has_a_row_for_every_budget(frame):
    assert list(frame.columns) == ["strategy", "device", "seed", "budget", "regret", "regret_best"]
    assert len(frame) == 2 * 3 * 6 and not frame.isna().any().any()
    assert (frame["regret"] >= frame["regret_best"] - 1e-9).all()


def test_an_answer_after_fewer_measurements_is_that_of_a_smaller_budget(gpu, frame):
    score = space.operation_counts(EVERYTHING)[:, 3] / 12.0
    start = int(np.random.default_rng(comparison.SEED).integers(space.N_ARCHS, size=3)[1])
    rng = np.random.default_rng([comparison.SEED, 1])
    found = loop.search(gpu, loop.random_search, start=start, budget=4, seed=rng, score=score)
    from simmore.devices import rewards

    expected = rewards.normalised_regret(rewards.reward(score, gpu.latency_ms(EVERYTHING)), np.asarray(found.arch))
    row = frame[(frame["strategy"] == "random") & (frame["seed"] == 1) & (frame["budget"] == 4)]
    assert row["regret"].item() == pytest.approx(float(expected), rel=1e-3)


def test_the_tables_of_a_comparison(frame):
    table = summaries.summary(frame, budget=6)
    by_hand = frame[(frame["strategy"] == "random") & (frame["budget"] == 6)]["regret"].mean()
    assert table.loc["random", ("answer", "mean")] == pytest.approx(by_hand)
    assert (table["answer", "low"] <= table["answer", "iqm"] + 1e-9).all()
    wins = summaries.improvement(frame, budget=6)
    assert wins.loc["random", "mean_device"] + wins.loc["mean_device", "random"] == pytest.approx(1)
    probability, low, high = summaries.improvement_interval(frame, "mean_device", "random", budget=6)
    assert low <= probability <= high and probability == wins.loc["mean_device", "random"]
    curves = summaries.curves(frame)
    assert len(curves) == 12 and (curves["regret_low"] <= curves["regret_high"]).all()
    profile = summaries.profiles(frame, np.array([0.0, 1e9]), budget=6)
    assert profile.loc[1e9].tolist() == [1, 1]


def test_no_answer_breaks_its_limit_and_a_row_says_when_there_is_none(gpu, monkeypatch):
    latency = gpu.latency_ms(EVERYTHING)
    monkeypatch.setattr(limits, "cases", lambda: [(gpu, float(np.median(latency))), (gpu, float(latency.min()) / 2)])
    score = space.operation_counts(EVERYTHING)[:, 3] / 6.0
    rows = limits.constrained([strategies.BEST], score, data.accuracy("cifar100"), cases=limits.cases(), n_starts=2)
    kept, none = rows.iloc[:2], rows.iloc[2:]
    assert (kept["latency_ms"] <= kept["limit_ms"]).all() and not rows["violates"].any()
    assert none["accuracy"].isna().all() and (rows["measurements"] <= 10).all()
    overview = limits.overview(rows)
    assert overview.loc[strategies.BEST, "limits broken"] == 0 and overview.loc[strategies.BEST, "none found"] == 0.5


def test_helps_table_breaks_five_of_fifteen_limits():
    assert len(limits.HELP) == 15 and len(limits.KEPT_BY_HELP) == 10
    assert np.mean([limits.HELP[case][1] for case in limits.KEPT_BY_HELP]) == pytest.approx(70.55)


def test_predictions_from_a_few_samples(gpu):
    frame = prediction.few_shot([gpu], samples=(5, 10), draws=2, n_jobs=1)
    assert list(frame.columns) == ["method", "device", "samples", "draw", "spearman", "kendall"]
    assert len(frame) == len(prediction.METHODS) * 4 + 1 and frame["spearman"].between(-1, 1).all()
    table = prediction.table(frame)
    assert table.loc["mixture of devices (ours)", "mean"] > max(0.8, table.loc["linear, target alone", "mean"])
    assert table.loc["LUT", "nats_gpu"] == frame[frame["method"] == "LUT"]["spearman"].item()


def test_flops_by_hand():
    flops = prediction.flops(np.array([]), np.array([]))
    assert flops[space.to_arch("321410")] == 9 + 1


def test_ours_on_helps_split(measured_tables):
    tested = prediction.tested_devices()
    frame = prediction.few_shot(tested, samples=(10,), draws=3, methods=["mixture of devices (ours)"], n_jobs=1)
    assert frame[frame["method"] != "LUT"].groupby("device")["spearman"].mean().mean() >= 0.955
