"""The tables of claims and goals, and the figures that claims are judged by."""

import numpy as np
import pandas as pd
import pytest

from simmore import data, devices, space
from simmore.experiments import claims, evidence, prediction, record
from simmore.rl import mdp


def table(folder, file="claims.csv"):
    return pd.read_csv(folder / file, dtype=str, keep_default_na=False).set_index("id")


def test_claims_and_goals_have_tables_of_their_own(tmp_path):
    results = record.Recorder("06", tmp_path, seed=0, quick=False)
    everything = (*prediction.TRAIN_DEVICES, *prediction.TEST_DEVICES)
    results.claim(9, "0.90; 0.88", everything)
    results.goal("prediction", "0.982", everything, spearman=0.982)
    assert table(tmp_path)["verdict"].to_dict() == {"9": "not tested: HELP was not run"}
    assert table(tmp_path, "goals.csv")["verdict"].to_dict() == {"prediction": "met"}
    for each, entered in ((claims.PAPER, results.claims()), (claims.PROJECT, results.goals())):
        assert tuple(table(tmp_path, each.file).reset_index().columns) == each.columns == ("id", *entered.columns)


def test_a_notebooks_claims_replace_its_own_and_no_others(tmp_path):
    record.Recorder("01", tmp_path, seed=0, quick=False).claim(1, "old", lowest=0.6, highest=0.6)
    record.Recorder("03", tmp_path, seed=0, quick=False).claim(6, "0.1", hours=0.1)
    again = record.Recorder("01", tmp_path, seed=0, quick=False)
    again.claim(7, "440, 90", plain_ms=440, fast_ms=90)
    again.claim(1, "new", lowest=0.4, highest=0.6)
    found = table(tmp_path)
    assert found["ours"].to_dict() == {"1": "new", "6": "0.1", "7": "440, 90"}
    assert found["verdict"].tolist() == ["partly", "reproduced", "partly"]
    assert sorted(again.claims().index) == [1, 7] and again.goals().empty


def test_a_claim_about_missing_devices_is_not_evaluated_and_keeps_no_stale_figure(tmp_path):
    results = record.Recorder("04", tmp_path, seed=0, quick=False)
    results.claim(4, "0.1; 0.3; 0.2", devices.TEST_DEVICES, difference=0.2, low=0.1)
    assert table(tmp_path).loc["4", ["ours", "verdict", "devices"]].tolist() == [
        "0.1; 0.3; 0.2", "reproduced", "HELP's test devices",
    ]  # fmt: skip
    record.Recorder("04", tmp_path, seed=0, quick=False).claim(4, "0.1; 0.1; 0.0", ["raspi4"], difference=0, low=0)
    ours, verdict, shown = table(tmp_path).loc["4", ["ours", "verdict", "devices"]]
    assert (ours, verdict) == ("", "not evaluated") and shown.startswith("missing: titan_rtx_1, gold_6226")


def test_a_table_of_an_earlier_version_is_not_mixed_with_this_one(tmp_path):
    (tmp_path / "claims.csv").write_text("id,claim,verdict,notebook\n9,old,partly,06\n")
    record.Recorder("03", tmp_path, seed=0, quick=False).claim(6, "0.1", hours=0.1)
    assert table(tmp_path).index.tolist() == ["6"]


def test_a_goal_that_is_no_longer_one_is_dropped(tmp_path):
    record.Recorder("07", tmp_path, seed=0, quick=False).goal("repeatability", "", lowest=1)
    file = tmp_path / "goals.csv"
    file.write_text(file.read_text().replace("repeatability", "an earlier goal"))
    record.Recorder("05", tmp_path, seed=0, quick=False).goal("class left out", "", mean=0.1)
    assert table(tmp_path, "goals.csv").index.tolist() == ["class left out"]


def test_a_damaged_claims_table_is_set_aside(tmp_path, capsys):
    (tmp_path / "claims.csv").write_bytes(b"id,claim\n\xff,x,y,z\n")
    record.Recorder("03", tmp_path, seed=0, quick=False).claim(6, "0.1", hours=0.1)
    assert table(tmp_path).index.tolist() == ["6"] and "claims.csv is damaged" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("key", "values", "verdict"),
    [
        (1, {"lowest": 0.51, "highest": 0.6}, "reproduced"),
        (1, {"lowest": 0.1, "highest": 0.2}, "not reproduced"),
        (3, {"improved": 5, "of": 5, "drift": 0.02}, "reproduced"),
        (3, {"improved": 5, "of": 5, "drift": 0.06}, "partly"),
        (3, {"improved": 4, "of": 5, "drift": 0.02}, "partly"),
        (4, {"difference": 0.2, "low": -0.1}, "partly"),
        (4, {"difference": -0.1, "low": -0.2}, "not reproduced"),
        (5, {"most": 10, "mean": 0.2, "worst": 0.9}, "reproduced"),
        (5, {"most": 10, "mean": 0.2, "worst": 1.0}, "partly"),
        (5, {"most": 11, "mean": 0.2, "worst": 0.9}, "not reproduced"),
        (6, {"hours": 1.0}, "not reproduced"),
        (7, {"plain_ms": 440, "fast_ms": 90}, "partly"),
        (8, {"mean": 0.9, "lowest": 0.6}, "partly"),
        ("no tables, robust", {"mean": 0.04, "worst": 0.16}, "missed"),
        ("no tables, robust", {"mean": 0.04, "worst": 0.1}, "met"),
        ("within a limit", {"accuracy": 71, "broken": 1}, "missed"),
    ],
)
def test_verdicts_by_hand(key, values, verdict):
    found = claims.PAPER if key in claims.CLAIMS else claims.PROJECT
    assert found.entries[key].judge(**values) == verdict and verdict in found.verdicts


def test_the_readmes_tables_have_a_heading_and_a_row_an_entry(tmp_path):
    results = record.Recorder("03_test", tmp_path, seed=0, quick=False)
    results.claim(6, "0.04", hours=0.04)
    results.goal("class left out", "0.06", data.MEASURED, mean=0.06)
    lines = claims.markdown(tmp_path).splitlines()
    assert lines[0] == "### Claims of the paper" and lines[6] == "### Goals of this project" and len(lines) == 11
    assert lines[2] == "| id | claim | paper | here | unit | refuted if | verdict | devices | notebook |"
    assert lines[4].startswith("| 6 | training takes under one GPU hour") and "| one hour or more | **repro" in lines[4]
    claim = "the default search with tables, own class of hardware left out"
    assert lines[10].startswith(f"| class left out | {claim} | ≤ 0.05 | 0.06 |")


def test_texts_are_those_of_the_code_and_figures_those_of_the_notebooks(tmp_path):
    results = record.Recorder("04", tmp_path, seed=0, quick=False)
    results.claim(4, "0.1; 0.3; 0.2", ["raspi4"], difference=0.2, low=0.1)
    results.claim(6, "0.04", hours=0.04)
    file = tmp_path / "claims.csv"
    file.write_text(file.read_text().replace("hours of one CPU core", "an earlier text").replace("< 1 hour", "< 1"))
    found = claims.PAPER.read(tmp_path).set_index("id")
    assert found.loc["6", ["paper", "ours", "unit", "verdict"]].tolist() == [
        "< 1 hour", "0.04", claims.CLAIMS[6].unit, "reproduced",
    ]  # fmt: skip
    assert found.loc["4", "devices"].startswith("missing: ") and found.loc["4", "verdict"] == "not evaluated"
    assert "an earlier text" not in claims.markdown(tmp_path)


def test_every_text_can_be_read_alone():
    for table_ in claims.TABLES:
        for key, claim in table_.entries.items():
            assert not claim.claim.startswith("the same"), key
            assert claim.devices != "none" and bool(claim.devices) >= bool(claim.needs), key
            assert len(claim.unit.split()) >= 3, key


def test_random_cells_by_hand_and_by_chance():
    """A training curve of a policy of random cells, on one device: means over all cells."""
    score = np.linspace(0, 1, space.N_ARCHS)
    sampler = devices.SyntheticDevices(np.array([1.0, 2, 3, 4, 7]), np.zeros(5))
    found = evidence.random_cells(sampler, score, n=2)
    latency = devices.AdditiveDevice("one", sampler.mean_ms).latency_ms(np.arange(space.N_ARCHS))
    assert found["score"] == pytest.approx(0.5)
    assert found["inverse_latency"] == pytest.approx(devices.inverse_latency(latency).mean())
    assert found["episode_return"] == pytest.approx(mdp.HORIZON * (0.5 + found["inverse_latency"]))
    assert found["val_accuracy"] == pytest.approx(data.accuracy("cifar10").mean())
    # without equal sums of different counts, as synthetic devices have them
    counts = devices.all_operation_counts() @ 7.0 ** np.arange(5)
    percentile = np.searchsorted(np.sort(counts), counts, side="right").mean() / space.N_ARCHS
    assert found["latency_percentile"] == pytest.approx(100 * percentile)


def test_the_gain_of_a_plateau_by_hand():
    rows = [(seed, step, value + 0.1 * seed) for seed in (0, 1) for step, value in enumerate([0.0, 1.0, 3.0, 3.0, 3.0])]
    curves = pd.DataFrame(rows, columns=["seed", "timestep", "episode_return"])
    curves["latency_percentile"] = -curves["episode_return"]
    found = evidence.training_gain(curves, {"episode_return": 1.0, "latency_percentile": -1.0}, last=2)
    assert found["gain"].tolist() == pytest.approx([2.05, -2.05])
    assert found["improves"].all()
    worse = evidence.training_gain(curves, {"episode_return": 3.0, "latency_percentile": -5.0}, last=2)
    assert not worse["improves"].any()  # the interval of two seeds includes 0; a higher percentile is slower
    assert evidence.return_drift(curves, last=2) == pytest.approx((1.0, 1.0, 1.0))  # 3 after (1 + 3) / 2


def test_own_recommendations_against_those_of_other_devices():
    """Each of three devices has its fastest cell as its own recommendation; two of the devices are alike."""
    times = {"a": [1.0, 2, 2, 2, 2], "b": [2.0, 1, 2, 2, 2], "c": [2.0, 1, 2, 2, 2]}
    tested = [devices.AdditiveDevice(name, np.array(operation_ms)) for name, operation_ms in times.items()]
    first, second = space.single_operation_archs()[:2].tolist()
    rows = [(name, start, arch) for name, arch in (("a", first), ("b", second), ("c", second)) for start in range(2)]
    searches, score = pd.DataFrame(rows, columns=["device", "start", "arch"]), np.zeros(space.N_ARCHS)
    found = evidence.own_against_others(searches, tested, score)
    slowest = devices.normalised_regret(devices.reward(score, devices.whole_table(tested[0])), second)
    assert found["own"].tolist() == [0, 0, 0] and slowest > 1
    assert found["others"].tolist() == pytest.approx([slowest, slowest / 2, slowest / 2])


def test_a_table_is_additive_or_not(synthetic):
    device = synthetic.device(np.random.default_rng(0))
    assert prediction.additive_fit(device) == pytest.approx(1)
    table = device.latency_ms(np.arange(space.N_ARCHS))
    rest = np.random.default_rng(1).permutation(np.repeat([-1.0, 1.0], [7813, 7812])) * table.std()
    half = devices.TableDevice("half", table + rest - (table + rest).min() + 1)
    assert prediction.additive_fit(half) == pytest.approx(0.5, abs=0.02)


def test_helps_cells_by_hand():
    truth = np.arange(space.N_ARCHS)[::-1] + 1.0
    assert sorted(prediction.compared(truth, helps_cells=True)) == list(range(1000, 1800))
    truth[5] = np.inf
    assert len(prediction.compared(truth)) == space.N_ARCHS - 1
