import dataclasses
import json
import multiprocessing
import os
import signal
import time
from itertools import pairwise

import numpy as np
import pytest

from simmore import devices
from simmore.rl import mdp, training
from simmore.rl import policy as policies
from simmore.rl.training import Settings
from simmore.strategies import loop

TINY = Settings(total_steps=2_000, n_envs=20, evaluate_every=1_000, batch_size=500, n_epochs=4)


def same(a, b):
    return all((x == y).all() for x, y in zip((*a.weights, *a.biases), (*b.weights, *b.biases), strict=True))


def test_the_same_seed_gives_the_same_controller_and_another_seed_another(synthetic, conv_score):
    one, again = (training.train(TINY, synthetic, conv_score, progress=False) for _ in range(2))
    assert same(one.controller, again.controller) and one.curve.equals(again.curve)
    other = training.train(dataclasses.replace(TINY, seed=1), synthetic, conv_score, progress=False)
    assert not same(one.controller, other.controller)


def test_the_curve_has_the_columns_of_fig_5(synthetic, conv_score):
    curve = training.train(TINY, synthetic, conv_score, progress=False).curve
    assert curve["timestep"].tolist() == [0, 1_000, 2_000]
    columns = "seed timestep score inverse_latency latency_percentile val_accuracy reference_latency_ms episode_return"
    assert list(curve.columns) == columns.split()
    assert Settings().total_steps // Settings().evaluate_every >= 50


def _train(folder):
    training.train(
        dataclasses.replace(TINY, total_steps=100_000), devices.SyntheticDevices.fit(), np.zeros(15_625),
        folder=folder, progress=False,
    )  # fmt: skip


def test_a_killed_training_goes_on_as_if_nothing_had_been(tmp_path, synthetic):
    process = multiprocessing.get_context("spawn").Process(target=_train, args=(tmp_path,))
    process.start()
    deadline = time.monotonic() + 60
    while not (files := list(tmp_path.glob("*/checkpoint.pt"))):
        assert time.monotonic() < deadline, "no checkpoint within a minute"
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    long = dataclasses.replace(TINY, total_steps=100_000)
    score = np.zeros(15_625)
    place = training.checkpoint_folder(tmp_path, long, synthetic, score)
    assert files[0].parent == place
    # shorten what is left: the same checkpoint under the settings that end 2,000 steps after it
    saved = training._resume(long, synthetic, score, place)[0].num_timesteps
    short = dataclasses.replace(TINY, total_steps=saved + 2_000)
    place.rename(training.checkpoint_folder(tmp_path, short, synthetic, score))
    resumed = training.train(short, synthetic, score, folder=tmp_path, progress=False)
    whole = training.train(short, synthetic, score, progress=False)
    assert same(resumed.controller, whole.controller) and resumed.curve.equals(whole.curve)
    started = time.monotonic()
    finished = training.train(short, synthetic, score, folder=tmp_path, progress=False)
    assert same(finished.controller, whole.controller) and time.monotonic() - started < 5


def test_several_seeds_are_each_what_they_are_alone(tmp_path, synthetic, conv_score):
    both = training.train_seeds(TINY, [0, 1], synthetic, conv_score, folder=tmp_path, n_jobs=2)
    for seed, trained in enumerate(both):
        alone = training.train(dataclasses.replace(TINY, seed=seed), synthetic, conv_score, progress=False)
        assert same(trained.controller, alone.controller)


def test_a_small_training_beats_random_edits_by_a_margin(synthetic, conv_score):
    """50,000 steps on the test's score, where the best cell depends on how dear the device's 3×3 convolutions are."""
    settings = Settings(total_steps=50_000)
    trained = training.train(settings, synthetic, conv_score, progress=False)
    before, after = trained.curve["episode_return"].iloc[[0, -1]]
    assert after > before + 5


@pytest.mark.parametrize("change", [{"total_steps": 4_999}, {"total_steps": 7_500}, {"evaluate_every": 1}])
def test_settings_that_do_not_fit_together(change):
    with pytest.raises(ValueError, match="multiples of a rollout"):
        dataclasses.replace(Settings(), **change)


def test_the_numpy_policy_is_torchs(synthetic, conv_score):
    import torch

    model = training.make_model(TINY, synthetic, conv_score)
    numpy_policy = training.to_controller(model, {})
    episodes = mdp.Episodes(20, synthetic, conv_score)
    seen = episodes.begin(np.random.default_rng(0))
    with torch.no_grad():
        distributions = model.policy.get_distribution(torch.as_tensor(seen)).distribution
    ours = numpy_policy.logits(seen)
    for part, theirs in zip((ours[:, :6], ours[:, 6:]), distributions, strict=True):
        normalised = part - np.log(np.exp(part).sum(axis=1, keepdims=True))
        np.testing.assert_allclose(normalised, theirs.logits.numpy(), atol=1e-5)


def a_controller(**description):
    rng = np.random.default_rng(0)
    sizes = (mdp.OBSERVATION_SIZE, 8, 11)
    weights = tuple(rng.normal(size=(b, a)).astype(np.float32) for a, b in pairwise(sizes))
    return policies.Controller(weights, tuple(np.zeros(b, dtype=np.float32) for b in sizes[1:]), description)


def test_drawn_actions_follow_the_softmax():
    policy = a_controller()
    seen = np.random.default_rng(1).normal(size=(1, mdp.OBSERVATION_SIZE)).astype(np.float32) * 0.1
    actions = policy.act(np.repeat(seen, 20_000, axis=0), np.random.default_rng(2))
    logits = policy.logits(seen)[0]
    expected = np.exp(logits[:6]) / np.exp(logits[:6]).sum()
    np.testing.assert_allclose(np.bincount(actions // 5, minlength=6) / 20_000, expected, atol=0.015)
    likeliest = policy.act(seen, None)[0]
    assert (likeliest // 5, likeliest % 5) == (logits[:6].argmax(), logits[6:].argmax())


def test_a_saved_controller_comes_back(tmp_path):
    policy = a_controller(settings={"seed": 3})
    policy.save(tmp_path / "mine")
    back = policies.load(tmp_path / "mine.safetensors")
    assert same(policy, back) and back.description == {"settings": {"seed": 3}}
    assert {file.name for file in tmp_path.iterdir()} == {"mine.safetensors", "mine.json"}, "nothing half-written"


def test_files_that_hold_no_controller(tmp_path):
    a_controller().save(tmp_path / "good")
    good = (tmp_path / "good.safetensors").read_bytes()
    for name, content in (("cut", good[:200]), ("pickle", b"\x80\x04}."), ("empty", b"")):
        (tmp_path / f"{name}.safetensors").write_bytes(content)
        (tmp_path / f"{name}.json").write_text("{}")
        with pytest.raises(ValueError, match="hold no controller"):
            policies.load(tmp_path / f"{name}.safetensors")
    (tmp_path / "good.json").write_text("{not json")
    with pytest.raises(ValueError, match="hold no controller"):
        policies.load(tmp_path / "good.safetensors")
    with pytest.raises(ValueError, match="name one of heldout, paper"):
        policies.load("unheard of")


def test_layers_that_do_not_fit():
    policy = a_controller()
    with pytest.raises(ValueError, match="maps 241 inputs to 11 logits"):
        policies.Controller(policy.weights[:1], policy.biases[:1], {})
    broken = (policy.weights[0] * np.nan, policy.weights[1])
    with pytest.raises(ValueError, match="finite"):
        policies.Controller(broken, policy.biases, {})


@pytest.mark.parametrize("which", policies.SHIPPED)
def test_the_shipped_controllers_say_how_they_came_about(which):
    shipped = policies.load(which)
    described = shipped.description
    assert described["settings"] == json.loads(json.dumps(Settings().as_record()))
    pool = (
        devices.PAPER_DEVICES
        if which == "paper"
        else devices.without_family(devices.PAPER_DEVICES, devices.TEST_DEVICES)
    )
    assert tuple(described["devices"]) == pool
    found = loop.search(devices.load("nats_gpu"), loop.follow(shipped), start=0, seed=0)
    assert 1 < found.measurements <= 10
