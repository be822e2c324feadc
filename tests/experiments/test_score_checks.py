"""Checks of the training-free scores."""

import numpy as np
import pandas as pd
import pytest

from simmore import data, devices, space
from simmore.experiments import score_checks


def test_spread_of_two_cells_computed_by_hand():
    """Three seeds: standard deviations are 10 % and 20 % of the mean, and all seeds rank the cells alike."""
    values = {0: [90.0, 100.0, 110.0], 1: [800.0, 1000.0, 1200.0]}
    rows = [("cifar10", arch, seed, v, v) for arch, of in values.items() for seed, v in enumerate(of)]
    table = pd.DataFrame(rows, columns=["dataset", "arch", "seed", "naswot", "logsynflow"])
    found = score_checks.spread(table).set_index("score")
    assert found.loc["naswot", "relative_sd"] == pytest.approx(0.15)
    assert found.loc["logsynflow", "spearman"] == pytest.approx(1)


def test_spread_leaves_out_singular_kernels():
    rows = [
        ("cifar10", arch, seed, -np.inf if arch == 0 else arch + seed / 10, 1.0) for arch in range(4) for seed in (0, 1)
    ]
    table = pd.DataFrame(rows, columns=["dataset", "arch", "seed", "naswot", "logsynflow"])
    assert np.isfinite(score_checks.spread(table).set_index("score").loc["naswot", "relative_sd"])


def test_stored_samples_equal_new_scores():
    for file, inputs in ((score_checks.SPREAD, "noise"), (score_checks.NATURAL, "natural")):
        stored = pd.read_csv(file)
        stored = stored[stored["dataset"] == "cifar10"] if "dataset" in stored else stored.assign(seed=0)
        few = stored[(stored["seed"] == 0) & np.isfinite(stored["naswot"])].head(2).set_index("arch")
        live = score_checks.sample_scores(few.index, scores=("naswot",), inputs=inputs, n_jobs=1).set_index("arch")
        np.testing.assert_allclose(live.loc[few.index, "naswot"], few["naswot"], rtol=1e-4)


def test_stored_samples_of_the_first_seed_equal_the_stored_table():
    for dataset, stored in pd.read_csv(score_checks.SPREAD).groupby("dataset"):
        first = stored[(stored["seed"] == 0) & np.isfinite(stored["naswot"])]
        table = data.scores(dataset).loc[first["arch"]]
        for name in ("naswot", "logsynflow"):
            np.testing.assert_allclose(first[name], table[name], rtol=1e-4)


def test_correlation_of_p_and_effect_of_its_terms():
    frame = score_checks.correlations("cifar10")
    assert list(frame.columns) == ["dataset", "score", "against", "cells", "spearman", "low", "high"]
    p = frame[(frame["score"] == "p") & (frame["against"] == "validation")]
    assert p["spearman"].item() == pytest.approx(0.617, abs=0.001) and p["cells"].item() == 15_625
    terms = score_checks.leave_one_out("cifar10", [devices.load("nats_gpu")]).set_index("without")
    assert terms.loc["nothing", "spearman"] == pytest.approx(p["spearman"].item())
    assert set(terms.index) == {"nothing", "naswot", "logsynflow", "skip"}


def test_scores_agree_with_the_published_ones(measured_tables):
    frame = score_checks.agreement()
    assert len(frame) == 6 and (frame["spearman"] >= 0.97).all() and frame["top_5_percent"].between(0.5, 1).all()


def test_a_network_scored_alone_takes_all_seconds_of_its_canonical_form(monkeypatch):
    def score_part(part):
        cells = part.archs()
        return part, score_checks.parts.Scored(cells, np.zeros(len(cells)), np.full(len(cells), 0.5))

    monkeypatch.setattr(score_checks.parts, "score_part", score_part)
    empty = [space.to_arch((0, 0, 0, 0, 0, 0))]
    equal = len(space.canonical_classes()[space.canonical_form(empty[0]).ops])
    assert score_checks.scoring_seconds(empty)[0] == 2 * 0.5
    assert score_checks.scoring_seconds(empty, alone=True)[0] == 2 * 0.5 * equal > 1
