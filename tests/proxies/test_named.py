"""Named scores over terms, and scores that users bring."""

import numpy as np
import pytest

import simmore
from simmore import data, devices, paths, proxies, space
from simmore.errors import TableMissing
from simmore.proxies import named
from simmore.strategies import Problem


def test_the_log_rank_sum_of_three_cells():
    """Ranks 1 2 3 and 3 1 2 of 3."""
    found = proxies.log_rank_sum([[0.1, 0.2, 0.9], [30, 10, 20]])
    np.testing.assert_allclose(found, np.log([1 / 3 * 1, 2 / 3 * 1 / 3, 1 * 2 / 3]))


@pytest.mark.parametrize("name", proxies.SCORES)
@pytest.mark.parametrize("dataset", data.DATASETS)
def test_named_scores_have_the_distribution_of_p(name, dataset):
    """Equal values share their mean, so quantiles agree up to the largest group of equal cells."""
    score, p = proxies.stored_score(dataset, name), proxies.stored_score(dataset)
    shares = np.linspace(0, 1, 21)
    np.testing.assert_allclose(np.quantile(score, shares), np.quantile(p, shares), atol=0.07)
    assert score.max() <= p.max() and score.min() >= p.min() and not score.flags.writeable


def test_named_scores_order_cells_as_their_definition():
    terms = [proxies.stored_term(name) for name in proxies.SCORES["combined"].terms]
    order = np.argsort(proxies.log_rank_sum(terms))
    assert (np.diff(proxies.stored_score("cifar10", "combined")[order]) >= 0).all()
    np.testing.assert_array_equal(
        np.argsort(proxies.stored_score("cifar10", "params"), kind="stable"),
        np.argsort(data.scores()["params"], kind="stable"),
    )


def test_p_is_the_default_and_unchanged():
    table = data.scores("cifar10")
    np.testing.assert_array_equal(proxies.stored_score("cifar10", "freerea"), proxies.stored_score())
    np.testing.assert_allclose(proxies.stored_score(), table["score"])
    np.testing.assert_array_equal(Problem.of().score, proxies.stored_score())
    assert Problem.of().label == "p" and Problem.of(score="combined").label == "combined"


def test_scores_of_a_few_cells_are_those_of_the_table():
    archs = [0, 17, 4111]
    terms = {name: proxies.stored_term(name)[archs] for name in proxies.TERMS}
    for name in proxies.SCORES:
        found = named.score_of(terms, "cifar10", name)
        np.testing.assert_allclose(found, proxies.stored_score("cifar10", name)[archs], atol=1e-3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda score: score[:-1], r"one number for each of the 15,625 cells.*\(15624,\)"),
        (lambda score: np.where(np.arange(len(score)) == 3, np.nan, score), r"1 of 15,625 values.*cell 3"),
        (lambda score: np.where(np.arange(len(score)) > 15_622, np.inf, score), r"2 of 15,625 values"),
        (lambda score: np.full(len(score), 0.5), "every cell has 0.5"),
        (lambda score: ["a"] * len(score), "array of numbers"),
        (lambda score: "best", "no score 'best': choose one of freerea, az, combined, params"),
    ],
)
def test_a_wrong_score_is_one_sentence(change, message):
    wrong = change(np.linspace(0, 1, space.N_ARCHS))
    with pytest.raises(ValueError, match=message):
        simmore.search("mean", score=wrong)


def test_a_missing_table_names_its_command(monkeypatch, tmp_path):
    monkeypatch.setattr(paths, "TABLES", tmp_path)
    with pytest.raises(TableMissing, match="compute it with `make proxies`"):
        named.stored_term("trainability")
    with pytest.raises(ValueError, match="no term 'depth'"):
        named.stored_term("depth")


def test_searches_take_a_name_or_an_array():
    by_name = simmore.search("mean", "random", score="combined", budget=4)
    by_array = simmore.search("mean", "random", score=proxies.stored_score("cifar10", "combined"), budget=4)
    assert by_name.arch == by_array.arch


@pytest.mark.parametrize("limit_ms", [None, 14.0])
def test_the_shipped_controller_runs_with_the_combined_score(limit_ms):
    """It was trained with p and is conditioned on the score, so nothing is trained again."""
    score, latency = proxies.stored_score("cifar10", "combined"), data.nats_gpu_latency_ms()
    found = simmore.search("nats_gpu", "controller", score="combined", max_latency_ms=limit_ms, start=0)
    assert found.n_measured <= 10
    if limit_ms is None:
        assert devices.normalised_regret(devices.reward(score, latency), found.arch) < 0.5  # 1: ten random cells
    else:
        assert found.latency_ms <= limit_ms
        assert (score[latency <= limit_ms] > score[found.arch]).mean() < 0.02


def test_terms_of_cells_by_name():
    live = simmore.score([0], terms=["skip", "params"])
    assert live.columns.tolist() == ["arch_str", "skip", "params", "flops"]
    with pytest.raises(ValueError, match="no term 'depth'"):
        simmore.score([0], terms=["depth"])
