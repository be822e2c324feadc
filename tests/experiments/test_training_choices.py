"""The table of training choices, and how a policy is judged."""

import numpy as np
import pytest

from simmore import devices, proxies
from simmore.experiments import training_choices
from simmore.rl import policy


def test_the_package_s_table_has_every_choice_seed_and_budget():
    frame, traces = training_choices.results()
    names = [choice.name for choice in training_choices.CHOICES]
    assert list(frame["choice"].unique()) == names and len(set(names)) == len(names)
    by = frame[frame["kind"] != "measured"].groupby(["choice", "seed", "kind", "sees", "budget"]).size()
    assert len(by) == len(names) * 3 * 2 * 2 * 3 and (by == 1).all()
    measured = frame[frame["kind"] == "measured"].groupby(["choice", "seed", "sees", "budget"])["device"].nunique()
    assert (measured == 17).all() and len(measured) == len(names) * 3 * 2 * 3
    assert frame["regret"].between(0, 3).all()
    widened = traces[traces["choice"] == "entropy maximisation"].groupby("seed")
    assert len(widened) == 3
    for _, one in widened:
        assert one["entropy"].iloc[-1] > one["entropy"].iloc[0] and one["success"].between(0, 1).all()


def test_a_policy_that_does_not_see_latencies_goes_the_same_way_on_every_device(monkeypatch):
    score, paper = proxies.stored_score(), policy.load("paper")
    counts = devices.all_operation_counts()
    drawn = devices.SyntheticDevices.fit().sample(2, np.random.default_rng(0))
    boards = [devices.TableDevice(str(k), counts @ ms) for k, ms in enumerate(drawn)]
    paths = []
    monkeypatch.setattr(
        training_choices.mdp, "best_measured", lambda value, archs, budget: paths.append(archs) or value
    )
    for sees in (False, True):
        for board in boards:
            training_choices.regrets(paper, board, score, sees=sees)
    blind, seeing = paths[: len(paths) // 2], paths[len(paths) // 2 :]
    assert (blind[0] == blind[-1]).all() and (seeing[0] != seeing[-1]).any()


def test_the_paper_s_policy_is_better_than_ten_random_cells_and_improves_with_the_budget():
    score, xi = proxies.stored_score(), devices.SyntheticDevices.fit()
    board = devices.TableDevice("board", devices.all_operation_counts() @ xi.mean_ms)
    three, five, ten = training_choices.regrets(policy.load("paper"), board, score, sees=True)
    assert three > five > ten and ten < 0.6


@pytest.mark.parametrize("name", ["T = 10", "γ = 0", "no history"])
def test_choices_differ_from_the_paper_in_one_thing(name):
    from dataclasses import asdict

    (choice,) = [one for one in training_choices.CHOICES if one.name == name]
    paper = asdict(training_choices.PAPER.settings)
    assert sum(paper[key] != value for key, value in asdict(choice.settings).items()) == 1
