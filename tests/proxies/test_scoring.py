"""Scores of all cells as a table, and of any cells live."""

import json
import math

import numpy as np
import pytest

from simmore import data, parallel, proxies, space
from simmore.proxies import parts, scoring

pytest.importorskip("torch")


def pretended(part):
    """A part's result without the work. One cell's NASWOT is singular and its LogSynflow overflows."""
    archs = part.archs()
    values = archs + 1.0 + 2.0 * part.seed
    values[archs == 7] = -math.inf if part.score == "naswot" else math.inf
    return part, parts.Scored(archs, values, np.full(len(archs), 0.5))


def test_a_table_of_two_seeds_has_means_deviations_and_metadata(tmp_path, monkeypatch):
    """Scores are 1 + cell for seed 0 and 3 + cell for seed 1: mean 2 + cell, standard deviation √2."""
    monkeypatch.setattr(parts, "score_part", pretended)
    monkeypatch.setattr(parts, "CHUNK", 4000)
    out = tmp_path / "scores.npz"
    monkeypatch.setattr(parallel, "unordered", lambda function, tasks, **_: map(function, tasks))
    assert scoring.score_all(seeds=(0, 1), folder=tmp_path / "parts", out=out) == out
    with np.load(out) as arrays:
        table = {name: arrays[name] for name in arrays.files}
    expected = np.arange(space.N_ARCHS) + 2.0
    expected[7] = 2.0  # the lowest of the others
    np.testing.assert_array_equal(table["naswot"], expected)
    assert table["logsynflow"][7] == space.N_ARCHS + 1  # the largest of the others
    np.testing.assert_array_equal(table["seconds"], np.ones(space.N_ARCHS))
    spread = np.full(space.N_ARCHS, 2**0.5)
    spread[7] = 0
    np.testing.assert_allclose(table["naswot_sd"], spread, rtol=1e-6)
    assert all(np.isfinite(values).all() and len(values) == space.N_ARCHS for values in table.values())
    assert table["score"].min() >= 0 and table["score"].max() <= 1
    metadata = json.loads(out.with_suffix(".json").read_text())
    stored = json.loads((scoring.paths.TABLES / "scores_cifar10.json").read_text())
    assert list(metadata) == list(stored) and list(metadata["versions"]) == list(stored["versions"])
    assert (metadata["seeds"], metadata["singular_kernels"], metadata["overflows"]) == ([0, 1], 1, 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dataset": "cifar11"}, "cifar11.*choose one of cifar10, cifar100, ImageNet16-120"),
        ({"batch": 1}, "at least two"),
        ({"seeds": ()}, "at least one"),
        ({"seeds": (0, 0)}, "each once"),
        ({"inputs": "natural"}, "name a file"),
    ],
)
def test_a_job_with_wrong_arguments_is_an_error(arguments, message):
    with pytest.raises(ValueError, match=message):
        scoring.score_all(**arguments)


def test_live_scores_equal_the_stored_table():
    table = data.scores("cifar10")
    no_path = space.to_arch([0] * 6)
    live = scoring.score([space.to_string(4), "".join(map(str, space.to_ops(11))), no_path])
    assert live.index.tolist() == [4, 11, no_path]
    for name in ("naswot", "logsynflow", "skip", "score", "params", "flops"):
        np.testing.assert_allclose(live[name], table.loc[live.index, name], rtol=1e-5)
    with pytest.raises(ValueError, match="no cell of the search space"):
        scoring.score("|conv|")


@pytest.mark.parametrize("dataset", data.DATASETS)
def test_stored_scores_rank_cells_as_the_published_scores_do(dataset, measured_tables):
    from scipy.stats import spearmanr

    table, published = data.scores(dataset), data.published_scores(dataset)
    np.testing.assert_allclose(table["skip"], proxies.skip_score(np.arange(space.N_ARCHS)))
    for name in ("naswot", "logsynflow"):
        finite = np.isfinite(published[name])
        assert spearmanr(table[name][finite], published[name][finite]).statistic >= 0.97
