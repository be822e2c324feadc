import numpy as np
import pytest

from simmore import devices, space
from simmore.rl import ablations, mdp, training
from simmore.rl import policy as policies
from simmore.strategies import loop

SMALL = dict(total_steps=1_000, n_envs=20, evaluate_every=1_000, batch_size=500, n_epochs=2)


@pytest.mark.parametrize("name", ablations.DESIGNS)
def test_every_design_trains(name, synthetic, conv_score):
    settings = training.Settings(**{**SMALL, **ablations.DESIGNS[name]})
    trained = training.train(settings, synthetic, conv_score, progress=False)
    assert trained.controller.layer_sizes[0] == mdp.OBSERVATION_SIZE
    assert trained.curve["timestep"].tolist() == [0, 1_000]


def test_a_policy_without_history_does_not_see_it(synthetic, conv_score):
    settings = training.Settings(**SMALL, sees_history=False)
    policy = training.train(settings, synthetic, conv_score, progress=False).controller
    seen = np.random.default_rng(0).normal(size=(3, mdp.OBSERVATION_SIZE)).astype(np.float32)
    forgetful = seen.copy()
    forgetful[:, mdp.STATE_SIZE :] = 0
    np.testing.assert_array_equal(policy.logits(seen), policy.logits(forgetful))
    assert "sees_history" in policy.description["settings"]


def test_episodes_on_one_device_have_its_latencies(synthetic, conv_score):
    table = np.asarray(devices.load("nats_gpu").latency_ms(np.arange(space.N_ARCHS)))
    episodes = mdp.Episodes(4, synthetic, conv_score, table_ms=table)
    episodes.begin(np.random.default_rng(0))
    np.testing.assert_array_equal(episodes.latency_ms(), table[episodes.archs])
    assert episodes.inverse_latency(np.array([table.min()]))[0] == 1
    assert episodes.inverse_latency(np.array([table.max()]))[0] == pytest.approx(0)


def test_an_unknown_algorithm():
    with pytest.raises(ValueError, match="no algorithm 'DQN': choose one of PPO, TRPO, A2C"):
        training.Settings(algorithm="DQN")


@pytest.mark.parametrize("name", [*ablations.DESIGNS, "target/nats_gpu"])
def test_the_shipped_ablations_search(name):
    policy = ablations.load(name)
    found = loop.search(devices.load("nats_gpu"), loop.follow(policy), start=0, seed=0)
    assert 1 < found.measurements <= 10


def test_saved_in_half_precision_they_still_are_what_they_were(tmp_path, monkeypatch):
    monkeypatch.setattr(ablations, "_FILE", tmp_path / "some")
    whole = policies.load("paper")
    ablations._shipped.cache_clear()
    try:
        ablations.save({"paper": whole})
        again = ablations.load("paper")
    finally:
        ablations._shipped.cache_clear()
    seen = np.random.default_rng(0).random((5, mdp.OBSERVATION_SIZE)).astype(np.float32)
    np.testing.assert_allclose(again.logits(seen), whole.logits(seen), atol=0.05)
