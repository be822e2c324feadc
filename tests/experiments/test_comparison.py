"""The comparison, the limits and the predictions, on devices that need no download."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from simmore import data, devices, paths, space
from simmore.experiments import comparison, limits, prediction, summaries
from simmore.strategies import BEST, Problem, Session, run

EVERYTHING = np.arange(space.N_ARCHS)


@pytest.fixture(scope="module")
def gpu():
    return devices.load("nats_gpu")


@pytest.fixture(scope="module")
def problem(conv_score):
    return Problem(conv_score / 2)


@pytest.fixture(scope="module")
def frame(gpu, problem, tmp_path_factory):
    folder = tmp_path_factory.mktemp("parts")
    options = {"names": ["random", "mean_device"], "n_starts": 3, "budget": 6, "n_jobs": 1, "folder": folder}
    first = comparison.compare([gpu], problem, **options)
    files = {file: file.stat().st_mtime_ns for file in folder.iterdir()}
    assert len(files) == 2
    pd.testing.assert_frame_equal(first, comparison.compare([gpu], problem, **options))  # read back, not searched again
    assert files == {file: file.stat().st_mtime_ns for file in folder.iterdir()}
    return first


def test_a_comparison_has_a_row_for_every_budget(frame):
    assert list(frame.columns) == comparison.COLUMNS
    assert len(frame) == 2 * 3 * 6 and not frame.isna().any().any()
    assert (frame["inference_regret"] >= frame["simple_regret"] - 1e-9).all()
    assert frame.groupby(["strategy", "start"])["simple_regret"].is_monotonic_decreasing.all()


def test_a_recommendation_after_fewer_measurements_is_that_of_a_smaller_budget(gpu, problem, frame):
    start = int(np.random.default_rng(comparison.SEED).integers(space.N_ARCHS, size=3)[1])
    found = run(
        Session("random", problem, start=start, budget=4, seed=np.random.default_rng([comparison.SEED, 1])), gpu
    )
    rewards = devices.reward(problem.score, gpu.latency_ms(EVERYTHING))
    row = frame[(frame["strategy"] == "random") & (frame["start"] == 1) & (frame["budget"] == 4)]
    assert row["arch"].item() == found.arch
    expected = float(devices.normalised_regret(rewards, found.arch))
    assert row["inference_regret"].item() == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: b"\0\xff" * 100,
        lambda content: content[: len(content) // 2],
        lambda content: content[:-1],
        lambda content: content.replace(b"arch", b"cell", 1),
        lambda content: content.replace(b"random", b"random,1", 1),
        lambda content: content[: content.rindex(b",")] + b",fast\n",
    ],
)
def test_a_damaged_part_of_a_comparison_is_set_aside_and_searched_again(gpu, problem, tmp_path, capsys, damage):
    options = {"names": ["random"], "n_starts": 1, "budget": 3, "n_jobs": 1, "folder": tmp_path}
    first = comparison.compare([gpu], problem, **options)
    (file,) = tmp_path.iterdir()
    whole = file.read_bytes()
    file.write_bytes(damage(whole))
    capsys.readouterr()
    pd.testing.assert_frame_equal(comparison.compare([gpu], problem, **options), first)
    assert file.read_bytes() == whole and file.with_name(f"{file.name}.unreadable").read_bytes() == damage(whole)
    assert f"{file} is damaged" in capsys.readouterr().err


def test_a_comparison_on_a_sample_is_over_its_cells(gpu, problem):
    table = gpu.latency_ms(EVERYTHING).copy()
    sample = np.random.default_rng(0).choice(space.N_ARCHS, 300, replace=False)
    table[~np.isin(EVERYTHING, sample)] = np.nan
    device = devices.TableDevice("sample", table)
    case = comparison.Case("random", device, problem, n_starts=100, budget=10)
    assert case.digest() != dataclasses.replace(case, device=gpu).digest()
    frame = comparison.regrets(case)
    assert set(frame["arch"]) <= set(sample.tolist()) and not frame.isna().any().any()
    found = comparison.at(frame)["simple_regret"]
    assert found.mean() == pytest.approx(1, abs=4 * found.std() / 10)  # random search on the sample


def test_an_extreme_cell_changes_the_papers_regret_but_not_the_robust_one(gpu, problem):
    table = gpu.latency_ms(EVERYTHING).copy()
    table[int(table.argmax())] *= 10
    frames = [
        comparison.regrets(comparison.Case("random", device, problem, n_starts=3, budget=4))
        for device in (gpu, devices.TableDevice("nats_gpu", table))
    ]
    simple, robust = ([frame[name].mean() for frame in frames] for name in ("simple_regret", "simple_regret_robust"))
    assert robust[0] == pytest.approx(robust[1], rel=0.02) and abs(simple[0] - simple[1]) > 0.1


def test_a_result_is_kept_under_all_that_it_depends_on(gpu, problem, monkeypatch):
    case = comparison.Case("mean_device", gpu, problem)
    digests = {case.digest()}
    for change in (
        {"strategy": "freerea"}, {"protocol": "none"}, {"budget": 5}, {"seed": 1}, {"n_starts": 2},
        {"problem": Problem(problem.score, weight=2.0)}, {"problem": Problem(problem.score + 1)},
        {"problem": Problem(problem.score, max_latency_ms=9.0)},
        {"device": devices.TableDevice("nats_gpu", 2 * gpu.latency_ms(EVERYTHING))},
    ):  # fmt: skip
        digests.add(dataclasses.replace(case, **change).digest())
    monkeypatch.setattr(comparison, "_code", lambda: "other code")
    digests.add(case.digest())
    assert len(digests) == 11


def test_a_comparison_without_tables_is_not_read_back_when_they_have_arrived(
    gpu, problem, measured_tables, monkeypatch
):
    from simmore.models import knowledge, known

    caches = (known.known_devices, knowledge._tables)
    case = comparison.Case("mean_device", gpu, problem)
    with_tables = case.digest()
    monkeypatch.setattr(devices, "available", lambda names: [])
    for cached in caches:
        cached.cache_clear()
    try:
        assert case.digest() != with_tables
    finally:
        for cached in caches:
            cached.cache_clear()


def test_intervals_are_over_devices_where_there_are_several():
    rows = [("s", f"d{d}", k, 10, regret, regret) for d, regret in enumerate((0.1, 0.3)) for k in range(5)]
    frame = pd.DataFrame(rows, columns=["strategy", "device", "start", "budget", "inference_regret", "simple_regret"])
    frame[["inference_regret_robust", "simple_regret_robust"]] = 0.0
    row = summaries.summary(frame).loc["s", "recommended"]
    assert row["mean"] == pytest.approx(0.2) and row["worst"] == pytest.approx(0.3) and row["robust"] == 0
    assert row["low"] < 0 < 0.3 < row["high"]  # two devices say little, however many starts there are


def test_a_protocol_says_what_is_known():
    raspi4 = devices.load("raspi4_lut")
    assert comparison.known("family", raspi4).without == ("raspi4",)
    assert comparison.known("class", raspi4).without == ("eyeriss", "fpga", "pixel3", "raspi4")
    assert not comparison.known("none", raspi4).uses_tables and comparison.known("blind", raspi4).uses_tables
    with pytest.raises(ValueError, match="no protocol 'all': choose one of family, class, blind, none"):
        comparison.known("all", raspi4)


def test_regrets_by_both_ranges_are_rows(frame):
    rows = comparison.by_range(frame)
    assert len(rows) == 2 * len(frame) and set(rows["range"]) == {"minmax", "robust"}
    robust = rows[rows["range"] == "robust"]["simple_regret"].to_numpy()
    np.testing.assert_array_equal(robust, frame["simple_regret_robust"])


def test_the_tables_of_a_comparison(frame):
    table = summaries.summary(frame, budget=6)
    by_hand = frame[(frame["strategy"] == "random") & (frame["budget"] == 6)]["inference_regret"].mean()
    assert table.loc["random", ("recommended", "mean")] == pytest.approx(by_hand)
    assert (table["recommended", "low"] <= table["recommended", "mean"]).all()
    gain = summaries.difference(frame, "random", "mean_device", budget=6)
    by_strategy = frame[frame["budget"] == 6].groupby("strategy")["inference_regret"].mean()
    assert gain.value == pytest.approx(by_strategy["random"] - by_strategy["mean_device"])
    wins = summaries.improvement(frame, budget=6)
    assert wins.loc["random", "mean_device"] + wins.loc["mean_device", "random"] == pytest.approx(1)
    probability, low, high = summaries.improvement_interval(frame, "mean_device", "random", budget=6)
    assert low <= probability <= high and probability == wins.loc["mean_device", "random"]
    curves = summaries.curves(frame)
    assert len(curves) == 12 and (curves["inference_regret_low"] <= curves["inference_regret_high"]).all()
    profile = summaries.profiles(frame, np.array([0.0, 1e9]), budget=6)
    assert profile.loc[1e9].tolist() == [1, 1]


def test_training_curves_have_an_interval_over_seeds():
    curves = pd.DataFrame({"seed": [0, 1] * 2, "timestep": [0, 0, 5, 5], "score": [1.0, 3.0, 2.0, 2.0]})
    found = summaries.training_curves(curves)
    assert found.loc[("score", 0), "mean"] == 2 and found.loc[("score", 0), "low"] < 1
    assert found.loc[("score", 5)].tolist() == [2, 2, 2]


def test_no_recommendation_breaks_its_limit_and_a_row_says_when_there_is_none(gpu, conv_score):
    latency = gpu.latency_ms(EVERYTHING)
    cases = [(gpu, float(np.median(latency))), (gpu, float(latency.min()) / 2)]
    rows = limits.constrained([BEST], conv_score, data.accuracy("cifar100"), cases=cases, n_starts=2, n_jobs=1)
    kept, none = rows.iloc[:2], rows.iloc[2:]
    assert (kept["latency_ms"] <= kept["limit_ms"]).all() and not rows["violates_limit"].any()
    assert none["accuracy"].isna().all() and (rows["n_measured"] <= 10).all()
    overview = limits.overview(rows)
    assert overview.loc[BEST, "limits broken"] == 0 and overview.loc[BEST, "none found"] == 0.5


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


def test_the_lut_of_an_additive_device_ranks_like_the_device(synthetic):
    assert prediction.lut_kendall(synthetic.device(np.random.default_rng(1))) == pytest.approx(1)


def test_flops_by_hand():
    assert prediction.flops(np.array([]), np.array([]))[space.to_arch("321410")] == 9 + 1


@pytest.mark.slow
def test_ours_on_helps_split_reaches_its_published_level(measured_tables):
    tested = prediction.tested_devices()
    frame = prediction.few_shot(tested, samples=(10,), draws=3, methods=["mixture of devices (ours)"], n_jobs=1)
    assert frame[frame["method"] != "LUT"].groupby("device")["spearman"].mean().mean() >= 0.955


def test_the_searches_of_figure_7_are_less_than_5_mb_and_have_no_copies():
    file = paths.FIGURES / "data" / "fig7_regret.csv"
    assert file.stat().st_size < 5_000_000
    frame = pd.read_csv(file)
    assert not frame["strategy"].str.contains("/").any()
    assert frame["start"].nunique() == comparison.PUBLISHED_STARTS


def test_an_adaptation_gain_is_the_regret_of_the_copy_minus_that_of_the_policy(gpu, problem, tmp_path):
    names = ["trpo", "trpo/blind", comparison.TARGET_ONLY, f"{comparison.TARGET_ONLY}/blind"]
    frame = comparison.compare(
        [dataclasses.replace(gpu, name="pixel3")], problem, names=names, n_starts=3, n_jobs=1, folder=tmp_path
    )
    table = summaries.summary(frame)
    assert set(table.index) == {"trpo", comparison.TARGET_ONLY}  # copies have no row
    for name in table.index:
        means = [frame[(frame["strategy"] == each) & (frame["budget"] == 10)]["inference_regret"].mean()
                 for each in (f"{name}/blind", name)]  # fmt: skip
        assert table.loc[name, ("recommended", "adaptation gain")] == pytest.approx(means[0] - means[1])
