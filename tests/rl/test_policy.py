from itertools import pairwise

import numpy as np
import pytest
from safetensors.numpy import save_file

from simmore import devices
from simmore.rl import context, mdp, policy
from simmore.rl.training import Settings
from simmore.strategies import Session, run
from simmore.strategies.follow import FollowPolicy

PATH_ERROR = "does not hold a policy of this kind"


def a_policy(**description):
    rng = np.random.default_rng(0)
    sizes = (mdp.OBSERVATION_SIZE, 8, 11)
    weights = tuple(rng.normal(size=(b, a)).astype(np.float32) for a, b in pairwise(sizes))
    return policy.Policy(weights, tuple(np.zeros(b, dtype=np.float32) for b in sizes[1:]), description)


def same(one, other):
    assert one.arrays().keys() == other.arrays().keys()
    return all((array == other.arrays()[name]).all() for name, array in one.arrays().items())


def test_forward_by_hand():
    first, second = np.zeros((2, mdp.OBSERVATION_SIZE), np.float32), np.zeros((11, 2), np.float32)
    first[0, 0], first[1, 1], second[3, 0], second[4, 1] = 1, 2, 1, 10
    by_hand = policy.Policy((first, second), (np.zeros(2, np.float32), np.arange(11, dtype=np.float32)), {})
    seen = np.zeros((1, mdp.OBSERVATION_SIZE), np.float32)
    seen[0, :2] = 0.5, 0.25
    expected = np.arange(11.0)
    expected[3] += np.tanh(0.5)
    expected[4] += 10 * np.tanh(0.5)
    np.testing.assert_allclose(by_hand.forward(seen)[0], expected, rtol=1e-6)


def test_sampled_actions_follow_the_softmax():
    one = a_policy()
    seen = np.random.default_rng(1).normal(size=(1, mdp.OBSERVATION_SIZE)).astype(np.float32) * 0.1
    actions = one.act(np.repeat(seen, 20_000, axis=0), np.random.default_rng(2))
    logits = one.forward(seen)[0]
    expected = np.exp(logits[:6]) / np.exp(logits[:6]).sum()
    np.testing.assert_allclose(np.bincount(actions // 5, minlength=6) / 20_000, expected, atol=0.015)
    most_likely = one.act(seen, None)[0]
    assert (most_likely // 5, most_likely % 5) == (logits[:6].argmax(), logits[6:].argmax())


def test_a_saved_policy_is_read_back_from_one_file(tmp_path):
    saved = a_policy(settings={"seed": 3})
    file = saved.save(tmp_path / "mine")
    back = policy.load(file)
    assert same(saved, back) and back.description == {"settings": {"seed": 3}}
    assert [each.name for each in tmp_path.iterdir()] == ["mine.safetensors"]


def test_dots_in_a_name_are_kept(tmp_path):
    assert a_policy().save(tmp_path / "ctrl_v1.5").name == "ctrl_v1.5.safetensors"
    assert a_policy().save(tmp_path / "other.safetensors").name == "other.safetensors"


def test_an_existing_file_is_overwritten_only_if_asked(tmp_path):
    file = a_policy(n=1).save(tmp_path / "mine")
    with pytest.raises(FileExistsError, match=r"mine.safetensors already exists: choose another name"):
        a_policy(n=2).save(tmp_path / "mine")
    assert policy.load(file).description == {"n": 1}
    a_policy(n=2).save(tmp_path / "mine", overwrite=True)
    assert policy.load(file).description == {"n": 2}


def test_inputs_that_are_never_seen_are_not_stored(tmp_path):
    whole = a_policy()
    whole.weights[0][:, mdp.STATE_SIZE :] = 0
    file = whole.save(tmp_path / "short")
    assert file.stat().st_size < a_policy().save(tmp_path / "long").stat().st_size / 2
    assert same(policy.load(file), whole)


def test_half_precision_is_read_as_single(tmp_path):
    whole = a_policy()
    half = policy.load(whole.save(tmp_path / "half", dtype=np.float16))
    for name, array in half.arrays().items():
        assert array.dtype == np.float32
        np.testing.assert_array_equal(array, whole.arrays()[name].astype(np.float16).astype(np.float32))


@pytest.mark.parametrize(
    "content",
    [b"", b"\x80\x04}.", b"\xff" * 100, b"\x08" + b"\0" * 7 + b"{}      "],
    ids=["empty", "pickle", "ff", "no"],
)
def test_a_damaged_file_is_one_sentence(tmp_path, content):
    file = tmp_path / "bad.safetensors"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=PATH_ERROR) as caught:
        policy.load(file)
    assert "\n" not in str(caught.value)


def test_a_truncated_file_is_one_sentence(tmp_path):
    file = a_policy().save(tmp_path / "good")
    file.write_bytes(file.read_bytes()[:-10])
    with pytest.raises(ValueError, match=PATH_ERROR):
        policy.load(file)


@pytest.mark.parametrize(
    ("change", "description"),
    [
        ({}, None),
        ({}, {"description": "{not json"}),
        ({}, {"description": "[]"}),
        ({"0.weight": None}, {"description": "{}"}),
        ({"0.bias": None}, {"description": "{}"}),
        ({"0.bias": np.zeros(8, dtype=np.int32)}, {"description": "{}"}),
        ({"0.bias": np.zeros(7, dtype=np.float32)}, {"description": "{}"}),
        ({"0.weight": np.zeros((8, 242), dtype=np.float32)}, {"description": "{}"}),
        ({"0.weight": np.zeros(8, dtype=np.float32)}, {"description": "{}"}),
        ({"0.bias": np.full(8, np.nan, dtype=np.float32)}, {"description": "{}"}),
        ({"more": np.zeros(8, dtype=np.float32)}, {"description": "{}"}),
    ],
)
def test_a_file_with_other_content_is_one_sentence(tmp_path, change, description):
    arrays = {name: array for name, array in {**a_policy().arrays(), **change}.items() if array is not None}
    save_file(arrays, tmp_path / "other.safetensors", metadata=description)
    with pytest.raises(ValueError, match=PATH_ERROR):
        policy.load(tmp_path / "other.safetensors")


def test_a_policy_of_the_other_kind_is_refused():
    with pytest.raises(ValueError, match=PATH_ERROR):
        policy.load(policy.POLICIES / "controller_0.safetensors")
    with pytest.raises(ValueError, match=PATH_ERROR):
        context.ContextNetwork.read(policy.POLICIES / "paper.safetensors")


def test_an_unknown_name_lists_the_known_ones(tmp_path):
    with pytest.raises(ValueError, match=r"no policy 'unheard of': name one of a2c, heldout, .*, or a .safetensors"):
        policy.load("unheard of")
    with pytest.raises(ValueError, match="no policy"):
        policy.load(tmp_path / "absent.safetensors")


def test_layers_must_fit_and_be_finite():
    one = a_policy()
    with pytest.raises(ValueError, match="expected layers from 241 inputs to 11 outputs"):
        policy.Policy(one.weights[:1], one.biases[:1], {})
    with pytest.raises(ValueError, match="finite"):
        policy.Policy((one.weights[0] * np.nan, one.weights[1]), one.biases, {})


@pytest.mark.parametrize("name", policy.shipped())
def test_a_shipped_policy_describes_its_training_and_searches(name):
    shipped = policy.load(name)
    settings = shipped.description["settings"]
    trained = Settings(**{**settings, "hidden": tuple(settings["hidden"])})
    assert trained.sees_history is not (name == "no_history" or name.startswith("target_"))
    heldout = devices.without_family(devices.PAPER_DEVICES, devices.TEST_DEVICES)
    assert tuple(shipped.description["devices"]) == (heldout if name == "heldout" else devices.PAPER_DEVICES)
    found = run(Session(FollowPolicy(shipped), start=0, seed=0), devices.load("nats_gpu"))
    assert 1 < found.n_measured <= 10


@pytest.mark.parametrize("name", ["heldout", "paper"])
def test_the_papers_policies_have_the_default_settings(name):
    settings = policy.load(name).description["settings"]
    assert Settings(**{**settings, "hidden": tuple(settings["hidden"])}) == Settings()
