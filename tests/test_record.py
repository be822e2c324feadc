import json

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from simmore.experiments import record


def draw(folder, notebook="01_test", **changes):
    results = record.Recorder(notebook, folder, seed=0, quick=True)
    figure, ax = plt.subplots()
    ax.scatter([1, 2], [3, 4], rasterized=True)
    ax.set_title("ρ = 0.5")
    results.figure(figure, "fig", pd.DataFrame({"x": [1 / 3, 2], "y": [3, 4]}))
    plt.close(figure)
    return results


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


def claim(number, ours="1", verdict="partly"):
    return record.Claim(number, "says", "2", ours, "ms", verdict)


def test_a_notebooks_claims_replace_its_own_and_no_others(tmp_path):
    first, second = (record.Recorder(name, tmp_path, seed=0, quick=False) for name in ("01", "02"))
    first.claims([claim(1), claim(7)])
    second.claims([claim(2)])
    table = first.claims([claim(7, ours="9"), claim(1)])
    assert table["id"].tolist() == [1, 2, 7] and table["ours"].tolist() == ["1", "1", "9"]
    assert table.columns.tolist() == "id claim paper ours unit verdict notebook".split()
    assert pd.read_csv(tmp_path / "claims.csv", dtype=str).astype({"id": int}).equals(table)


def test_the_readmes_table(tmp_path):
    record.Recorder("01_test", tmp_path, seed=0, quick=False).claims([claim(7, ours="9")])
    assert record.claims_markdown(tmp_path).splitlines()[2] == "| 7 | says | 2 | 9 | ms | **partly** | 01 |"


def test_verdicts_are_three():
    with pytest.raises(ValueError, match="a verdict is one of"):
        claim(1, verdict="yes")
