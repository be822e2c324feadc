import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from simmore import devices, space
from simmore.models import acquisition
from simmore.models.known import tables
from simmore.models.posterior import Sampler
from simmore.models.priors import mixture_prior
from simmore.models.variances import Variances
from simmore.rl import shortlist, shortlist_training
from simmore.rl.shortlist_training import AcquisitionEnv, ResampledDevices

TINY = dict(total_steps=64, n_envs=2, n_steps=32, batch_size=32, n_epochs=2, samples=16)


@pytest.fixture(scope="module")
def known(synthetic):
    """Four simulated devices."""
    rng = np.random.default_rng(0)
    return [synthetic.device(rng, f"board{k}") for k in range(4)]


@pytest.fixture(scope="module")
def env(known, conv_score):
    table = tables(known)
    prior = mixture_prior(table, Variances((0.6, 0.05, 0.003), (0.05, 0.005, 0.001), 4e-4, 3e-3, 0.3))
    rng = np.random.default_rng(0)
    posterior = Sampler(prior, acquisition.candidates(prior, conv_score, 1.0, rng), n=16, rng=rng)
    return AcquisitionEnv(posterior, ResampledDevices(table, [device.name for device in known], prior), conv_score)


def test_gymnasium_accepts_the_environment(env):
    check_env(env, skip_render_check=True)


def test_the_same_seed_gives_the_same_search(env):
    def search(seed):
        observations = [env.reset(seed=seed)[0]]
        return np.stack([*observations, *(env.step(np.int64(k))[0] for k in range(3))])

    np.testing.assert_array_equal(search(5), search(5))
    assert not np.array_equal(search(5), search(6))


def test_a_search_ends_at_its_budget_and_its_rewards_sum_to_the_improvement(env):
    env.reset(seed=1)
    reward, start = env._reward, env._measured[0]
    steps = [env.step(np.int64(0)) for _ in range(9)]
    assert [step[2] for step in steps] == [False] * 8 + [True] and not any(step[3] for step in steps)
    assert not steps[-1][0].any() and len(set(env._measured)) == 10
    regret = devices.normalised_regret(reward, [start, env._measured[int(reward[env._measured].argmax())]])
    improvement = np.minimum(regret, 1.5) @ [1, -1]
    assert sum(step[1] for step in steps) == pytest.approx(improvement)


def test_a_resampled_device_is_not_in_the_prior_that_searches_it(env, known):
    latency_ms, weights = env._sampler.sample(np.random.default_rng(0))
    assert latency_ms.shape == (space.N_ARCHS,) and (latency_ms > 0).all()
    assert weights.sum() == pytest.approx(1) and (weights == 0).sum() == 1 and len(weights) == 1 + len(known)


def test_a_small_training_changes_the_last_layer_and_describes_itself(known, conv_score):
    trained = shortlist_training.train(known, conv_score, **TINY)
    assert trained.layer_sizes == (shortlist.FEATURES, 32, 32, 1)
    assert trained.weights[2].any(), "the last layer starts at zero"
    assert trained.description["devices"] == [f"board{k}" for k in range(4)]
    assert len(trained.description["returns"]) == 1 and trained.description["settings"]["n_steps"] == 32


@pytest.mark.slow
def test_the_same_seed_gives_the_same_network_and_another_seed_another(known, conv_score):
    one, again, other = (shortlist_training.train(known, conv_score, seed=seed, **TINY) for seed in (0, 0, 1))
    assert all((array == again.arrays()[name]).all() for name, array in one.arrays().items())
    assert not (one.weights[0] == other.weights[0]).all()


def test_all_folds_are_trained_without_their_families(tmp_path, monkeypatch, conv_score, known):
    trained = {}

    def train(chosen, score):
        fold = "abcd"[len(trained)]
        trained[fold] = {devices.family(device.name) for device in chosen}
        return shortlist.load(fold)

    monkeypatch.setattr(shortlist_training, "train", train)
    monkeypatch.setattr(shortlist_training, "POLICIES", tmp_path)
    shortlist_training.train_all(conv_score, n_jobs=1)
    assert sorted(file.stem for file in tmp_path.iterdir()) == [f"shortlist_{fold}" for fold in shortlist.FOLDS]
    for fold, families in shortlist.FOLDS.items():
        assert trained[fold] and not trained[fold] & set(families)


def test_the_numpy_network_is_torchs(known, conv_score, env):
    import torch
    from stable_baselines3.common.vec_env import DummyVecEnv

    settings = {**shortlist_training.PPO_SETTINGS, "batch_size": 256}
    model = shortlist_training._model(DummyVecEnv([lambda: env]), 0, settings)
    torch.nn.init.normal_(model.policy.mlp_extractor.head.weight)
    seen = env.reset(seed=0)[0]
    with torch.no_grad():
        theirs = model.policy.get_distribution(torch.as_tensor(seen[None])).distribution.logits.numpy()[0]
    ours = shortlist_training.to_network(model, {}).logits(seen)
    np.testing.assert_allclose(ours - np.log(np.exp(ours).sum()), theirs, atol=1e-4)
