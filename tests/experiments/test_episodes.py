"""One episode, step by step: each step edits one edge at most, and rewards add up."""

import numpy as np
import pytest

from simmore import devices, proxies, space
from simmore.experiments import episodes
from simmore.plots.labels import OPERATION_LABELS
from simmore.rl import policy


def test_an_episode_edits_one_edge_at_a_time_and_its_rewards_add_up():
    found = episodes.episode(policy.load("paper"), devices.SyntheticDevices.fit(), proxies.stored_score(), steps=5)
    ops = space.to_ops(found["arch"].to_numpy())
    assert len(found) == 6 and found.index.name == "step"
    assert ((ops[1:] != ops[:-1]).sum(axis=1) <= 1).all()
    np.testing.assert_allclose(found["reward"], found["score"] + found["inverse_latency"])
    np.testing.assert_allclose(found["score"], proxies.stored_score()[found["arch"]])


def test_the_first_action_is_the_most_likely_one():
    probabilities, after = episodes.first_action(policy.load("paper"), 0)
    edge, operation = probabilities["edge"], probabilities["operation"]
    assert list(operation) == list(OPERATION_LABELS) and next(iter(edge)) == "0→1"
    assert sum(edge.values()) == pytest.approx(1) and sum(operation.values()) == pytest.approx(1)
    expected = space.to_ops(0).copy()
    expected[list(edge.values()).index(max(edge.values()))] = list(operation.values()).index(max(operation.values()))
    assert after.tolist() == expected.tolist()
