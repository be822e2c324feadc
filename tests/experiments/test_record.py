"""Figures, claims and provenance as they are written."""

import json

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from simmore import devices
from simmore.experiments import claims, record


def draw(folder):
    results = record.Recorder("01_test", folder, seed=0, quick=True)
    figure, ax = plt.subplots()
    ax.scatter([1, 2], [3, 4], rasterized=True)
    ax.set_title("ρ = 0.5")
    results.figure(figure, "fig", pd.DataFrame({"x": [1 / 3, 2], "y": [3, 4]}))
    plt.close(figure)


def test_figures_and_data_are_the_same_bytes_twice(tmp_path):
    for name in ("a", "b"):
        draw(tmp_path / name)
    for file in ("fig.pdf", "fig.png", "data/fig.csv"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    assert (tmp_path / "a/data/fig.csv").read_text() == "x,y\n0.333333,3\n2,4\n"


def test_provenance_says_where_a_figure_came_from(tmp_path):
    draw(tmp_path)
    entry = json.loads((tmp_path / "provenance.json").read_text())["fig"]
    assert entry["notebook"] == "01_test" and entry["quick"] is True and entry["seed"] == 0
    assert "scores_cifar10.npz" in entry["data"] and entry["versions"]["numpy"] and entry["commit"]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"fig": 3}'])
def test_a_damaged_provenance_is_set_aside(tmp_path, capsys, content):
    (tmp_path / "provenance.json").write_text(content)
    draw(tmp_path)
    assert list(json.loads((tmp_path / "provenance.json").read_text())) == ["fig"]
    assert (tmp_path / "provenance.json.unreadable").read_text() == content
    assert "provenance.json is damaged" in capsys.readouterr().err


def test_a_damaged_claims_table_is_set_aside(tmp_path, capsys):
    (tmp_path / "claims.csv").write_bytes(b"id,claim\n\xff,x,y,z\n")
    record.Recorder("01", tmp_path, seed=0, quick=False).claim(7, "80", seconds=0.08)
    assert table(tmp_path).index.tolist() == ["7"] and "claims.csv is damaged" in capsys.readouterr().err


def test_figures_are_outdated_that_are_missing_of_the_other_kind_or_of_fewer_tables(tmp_path, monkeypatch):
    assert record.outdated(tmp_path, ["fig"], quick=True) == ["fig"]
    draw(tmp_path)
    record.Recorder("01", tmp_path, seed=0, quick=True).claim(7, "80", seconds=0.08)
    assert record.outdated(tmp_path, ["fig", "other"], quick=True) == ["other"]
    assert record.outdated(tmp_path, ["fig"], quick=False) == ["fig"]
    now = record.data_digests()
    for tables, expected in (
        ({**now, "latency/new": "0" * 64}, ["fig"]),  # a table has arrived
        ({**now, "scores_cifar10.npz": "0" * 64}, ["fig"]),  # a table has changed
        (dict(list(now.items())[1:]), []),  # a table is gone: what was drawn with it is better
    ):
        monkeypatch.setattr(record, "data_digests", lambda tables=tables: tables)
        assert record.outdated(tmp_path, ["fig"], quick=True) == expected
    monkeypatch.undo()
    (tmp_path / "fig.pdf").write_bytes(b"")
    assert record.outdated(tmp_path, ["fig"], quick=True) == ["fig"]


def table(folder):
    return pd.read_csv(folder / "claims.csv", dtype=str, keep_default_na=False).set_index("id")


def test_a_notebooks_claims_replace_its_own_and_no_others(tmp_path):
    record.Recorder("01", tmp_path, seed=0, quick=False).claim(1, "old", lowest=0.6, highest=0.6)
    record.Recorder("03", tmp_path, seed=0, quick=False).claim(6, "0.1", hours=0.1)
    again = record.Recorder("01", tmp_path, seed=0, quick=False)
    again.claim(1, "new", lowest=0.4, highest=0.6)
    again.claim(7, "80", seconds=0.08)
    found = table(tmp_path)
    assert found["ours"].to_dict() == {"1": "new", "6": "0.1", "7": "80"}
    assert found["verdict"].tolist() == ["partly", "reproduced", "reproduced"]
    assert ["id", *found.columns] == claims.COLUMNS and again.claims().index.tolist() == [1, 7]


def test_a_claim_about_missing_devices_is_not_evaluated_and_keeps_no_stale_figure(tmp_path):
    results = record.Recorder("04", tmp_path, seed=0, quick=False)
    results.claim(4, "6 of 6", devices.TEST_DEVICES, different=6, n=6)
    assert table(tmp_path).loc["4", ["ours", "verdict", "devices"]].tolist() == [
        "6 of 6", "reproduced", "HELP's test devices",
    ]  # fmt: skip
    record.Recorder("04", tmp_path, seed=0, quick=False).claim(4, "1 of 4", ["raspi4"], different=1, n=4)
    ours, verdict, shown = table(tmp_path).loc["4", ["ours", "verdict", "devices"]]
    assert (ours, verdict) == ("", "not evaluated") and shown.startswith("missing: titan_rtx_1, gold_6226")


def test_a_table_of_an_earlier_version_is_not_mixed_with_this_one(tmp_path):
    (tmp_path / "claims.csv").write_text("id,claim,verdict,notebook\n9,old,partly,06\n")
    record.Recorder("01", tmp_path, seed=0, quick=False).claim(7, "80", seconds=0.08)
    assert table(tmp_path).index.tolist() == ["7"]


@pytest.mark.parametrize(
    ("number", "values", "verdict"),
    [
        (1, {"lowest": 0.51, "highest": 0.6}, "reproduced"),
        (1, {"lowest": 0.1, "highest": 0.2}, "not reproduced"),
        (3, {"improved": 5, "of": 5}, "reproduced"),
        (3, {"improved": 4, "of": 5}, "partly"),
        (8, {"mean": 0.9, "lowest": 0.6}, "partly"),
        (10, {"mean": 0.04, "worst": 0.26}, "missed"),
        (10, {"mean": 0.04, "worst": 0.2}, "met"),
    ],
)
def test_verdicts_by_hand(number, values, verdict):
    assert claims.CLAIMS[number].judge(**values) == verdict


def test_the_readmes_table_has_a_row_a_claim(tmp_path):
    record.Recorder("01_test", tmp_path, seed=0, quick=False).claim(7, "80", seconds=0.08)
    lines = claims.markdown(tmp_path).splitlines()
    assert len(lines) == 3 and lines[2].startswith("| 7 | scoring a network") and "| 80 |" in lines[2]
