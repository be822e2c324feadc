import dataclasses

import numpy as np
import pytest

from simmore.rl import mdp, training
from simmore.rl.training import Settings

TINY = Settings(total_steps=2_000, n_envs=20, evaluate_every=1_000, batch_size=500, n_epochs=4)


def same(a, b):
    return all((x == y).all() for x, y in zip((*a.weights, *a.biases), (*b.weights, *b.biases), strict=True))


def test_the_same_seed_gives_the_same_policy_and_another_seed_another(synthetic, conv_score):
    one, again = (training.train(TINY, synthetic, conv_score, progress=False) for _ in range(2))
    assert same(one.policy, again.policy) and one.curve.equals(again.curve)
    other = training.train(dataclasses.replace(TINY, seed=1), synthetic, conv_score, progress=False)
    assert not same(one.policy, other.policy)


def test_the_curve_has_the_columns_of_fig_5(synthetic, conv_score):
    curve = training.train(TINY, synthetic, conv_score, progress=False).curve
    assert curve["timestep"].tolist() == [0, 1_000, 2_000]
    columns = "seed timestep score inverse_latency latency_percentile val_accuracy reference_latency_ms episode_return"
    assert list(curve.columns) == columns.split()
    assert Settings().total_steps // Settings().evaluate_every >= 50


class Interrupted(Exception):
    pass


def test_an_interrupted_training_resumes_with_identical_results(tmp_path, monkeypatch, synthetic, conv_score):
    whole = training.train(TINY, synthetic, conv_score, progress=False)
    save = training._save_checkpoint

    def save_and_stop(*arguments):
        save(*arguments)
        raise Interrupted

    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        patch.setattr(training, "_save_checkpoint", save_and_stop)
        training.train(TINY, synthetic, conv_score, folder=tmp_path, progress=False)
    resumed = training.train(TINY, synthetic, conv_score, folder=tmp_path, progress=False)
    assert same(resumed.policy, whole.policy) and resumed.curve.equals(whole.curve)
    monkeypatch.delattr(training, "begin_rollout")  # a finished training is read back, not trained again
    finished = training.train(TINY, synthetic, conv_score, folder=tmp_path, progress=False)
    assert same(finished.policy, whole.policy) and finished.curve.equals(whole.curve)


DAMAGES = {
    "empty": lambda content: b"",
    "garbage": lambda content: b"no checkpoint",
    "truncated": lambda content: content[: len(content) // 2],
    "altered": lambda content: content[:20_000] + bytes([content[20_000] ^ 1]) + content[20_001:],
}


@pytest.mark.parametrize("damage", [*DAMAGES, "of a larger network", "of a longer training"])
def test_a_damaged_checkpoint_is_set_aside_and_the_training_begins_anew(
    tmp_path, capsys, synthetic, conv_score, damage
):
    settings = dataclasses.replace(TINY, total_steps=1_000)
    whole = training.train(settings, synthetic, conv_score, folder=tmp_path, progress=False)
    (file,) = tmp_path.glob("*/checkpoint.pt")
    if damage in DAMAGES:
        file.write_bytes(DAMAGES[damage](file.read_bytes()))
    else:
        change = {"hidden": (64, 65)} if damage == "of a larger network" else {"total_steps": 2_000}
        other = dataclasses.replace(settings, **change)
        training.train(other, synthetic, conv_score, folder=tmp_path / "other", progress=False)
        (wrong,) = tmp_path.glob("other/*/checkpoint.pt")
        wrong.replace(file)
    damaged = file.read_bytes()
    again = training.train(settings, synthetic, conv_score, folder=tmp_path, progress=False)
    assert same(again.policy, whole.policy) and again.curve.equals(whole.curve)
    said = capsys.readouterr().err
    assert "checkpoint.pt is damaged" in said and said.count("\n") == 1
    assert file.with_name("checkpoint.pt.unreadable").read_bytes() == damaged
    training.train(settings, synthetic, conv_score, folder=tmp_path, progress=False)
    assert capsys.readouterr().err == ""


def test_different_trainings_do_not_share_checkpoints(tmp_path, synthetic, conv_score):
    table_ms = np.ones(15_625) + np.arange(15_625)
    for settings, score, table in (
        (TINY, conv_score, None),
        (dataclasses.replace(TINY, gamma=0.9), conv_score, None),
        (TINY, 1 - conv_score, None),
        (TINY, conv_score, table_ms),
    ):
        training.train(settings, synthetic, score, folder=tmp_path, progress=False, table_ms=table)
    assert len(list(tmp_path.glob("*/checkpoint.pt"))) == 4


@pytest.mark.slow
def test_training_several_seeds_at_once_gives_the_same_as_each_alone(tmp_path, synthetic, conv_score):
    both = training.train_seeds(TINY, [0, 1], synthetic, conv_score, folder=tmp_path, n_jobs=2)
    for seed, trained in enumerate(both):
        alone = training.train(dataclasses.replace(TINY, seed=seed), synthetic, conv_score, progress=False)
        assert same(trained.policy, alone.policy)


@pytest.mark.slow
def test_a_small_training_beats_random_edits_by_a_margin(synthetic, conv_score):
    """50,000 steps on the test's score, where the best cell depends on how dear the device's 3×3 convolutions are."""
    settings = Settings(total_steps=50_000)
    trained = training.train(settings, synthetic, conv_score, progress=False)
    before, after = trained.curve["episode_return"].iloc[[0, -1]]
    assert after > before + 5


@pytest.mark.parametrize("change", [{"total_steps": 4_999}, {"total_steps": 7_500}, {"evaluate_every": 1}])
def test_steps_must_be_multiples_of_a_rollout(change):
    with pytest.raises(ValueError, match="multiples of a rollout"):
        dataclasses.replace(Settings(), **change)


def test_the_numpy_policy_is_torchs(synthetic, conv_score):
    import torch

    model = training.make_model(TINY, synthetic, conv_score)
    numpy_policy = training.to_policy(model, TINY, {})
    episodes = mdp.Episodes(20, synthetic, conv_score)
    seen = episodes.begin(np.random.default_rng(0))
    with torch.no_grad():
        distributions = model.policy.get_distribution(torch.as_tensor(seen)).distribution
    ours = numpy_policy.forward(seen)
    for part, theirs in zip((ours[:, :6], ours[:, 6:]), distributions, strict=True):
        normalised = part - np.log(np.exp(part).sum(axis=1, keepdims=True))
        np.testing.assert_allclose(normalised, theirs.logits.numpy(), atol=1e-5)
