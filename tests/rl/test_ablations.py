import dataclasses

import numpy as np
import pytest

from simmore import devices, space
from simmore.rl import ablations, mdp, policy, training

SMALL = dict(total_steps=1_000, n_envs=20, evaluate_every=1_000, batch_size=500, n_epochs=2)


@pytest.mark.parametrize("name", ablations.DESIGNS)
def test_every_design_trains(name, synthetic, conv_score):
    settings = dataclasses.replace(ablations.DESIGNS[name], **SMALL)
    trained = training.train(settings, synthetic, conv_score, progress=False)
    assert trained.policy.layer_sizes == (mdp.OBSERVATION_SIZE, 64, 64, 11)
    assert trained.curve["timestep"].tolist() == [0, 1_000]


def test_a_policy_without_history_ignores_it(synthetic, conv_score):
    settings = training.Settings(**SMALL, sees_history=False)
    trained = training.train(settings, synthetic, conv_score, progress=False).policy
    seen = np.random.default_rng(0).normal(size=(3, mdp.OBSERVATION_SIZE)).astype(np.float32)
    forgetful = seen.copy()
    forgetful[:, mdp.STATE_SIZE :] = 0
    np.testing.assert_array_equal(trained.forward(seen), trained.forward(forgetful))
    assert trained.description["settings"]["sees_history"] is False


def test_episodes_on_one_device_have_its_latencies(synthetic, conv_score):
    table = np.asarray(devices.load("nats_gpu").latency_ms(np.arange(space.N_ARCHS)))
    episodes = mdp.Episodes(4, synthetic, conv_score, table_ms=table)
    episodes.begin(np.random.default_rng(0))
    np.testing.assert_array_equal(episodes.latency_ms(), table[episodes.archs])
    assert episodes.inverse_latency(np.array([table.min()]))[0] == 1
    assert episodes.inverse_latency(np.array([table.max()]))[0] == pytest.approx(0)


def test_an_unknown_algorithm_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="no algorithm 'DQN': choose one of PPO, TRPO, A2C"):
        training.Settings(algorithm="DQN")


def test_all_ablations_are_trained_and_written_in_half_precision(tmp_path, monkeypatch, conv_score):
    monkeypatch.setattr(ablations, "POLICIES", tmp_path)
    monkeypatch.setattr(ablations.paths, "BUILD", tmp_path / "build")
    monkeypatch.setattr(ablations, "DESIGNS", {"no_history": training.Settings(**SMALL, sees_history=False)})
    monkeypatch.setattr(ablations, "TARGET_ONLY", training.Settings(**SMALL, sees_history=False, seed=1))
    ablations.train_all(conv_score, [devices.load("nats_gpu")], n_jobs=1)
    for name in ("no_history", "target_nats_gpu"):
        trained = policy.load(tmp_path / f"{name}.safetensors")
        assert all((array == array.astype(np.float16)).all() for array in trained.arrays().values())
        assert ("table_sha256" in trained.description) is (name == "target_nats_gpu")
