"""Figures and provenance as they are written."""

import json

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from simmore.experiments import record


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


def test_figures_are_outdated_that_are_missing_of_the_other_kind_or_of_fewer_tables(tmp_path, monkeypatch):
    assert record.outdated(tmp_path, ["fig"], quick=True) == ["fig"]
    draw(tmp_path)
    record.Recorder("01", tmp_path, seed=0, quick=True).claim(6, "0.1", hours=0.1)
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
    (tmp_path / "goals.csv").unlink()
    assert record.outdated(tmp_path, ["fig"], quick=True) == ["fig"]
    record.Recorder("03", tmp_path, seed=0, quick=True).claim(6, "0.1", hours=0.1)
    assert record.outdated(tmp_path, ["fig"], quick=True) == []
    (tmp_path / "fig.pdf").write_bytes(b"")
    assert record.outdated(tmp_path, ["fig"], quick=True) == ["fig"]
