import subprocess
import sys

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import simmore  # noqa: F401
from simmore import devices, proxies

MAKE = "env = gymnasium.make('simmore/Cell-v0'); print(env.observation_space.shape)"


@pytest.mark.parametrize(
    "code",
    [
        f"import simmore, gymnasium; {MAKE}",
        f"import gymnasium, simmore; {MAKE}",
        f"import simmore, stable_baselines3, gymnasium; {MAKE}",
        f"import importlib.util, simmore; importlib.util.find_spec('gymnasium'); import gymnasium; {MAKE}",
        f"import gymnasium; {MAKE.replace('simmore/', 'simmore:simmore/')}",
    ],
)
def test_the_id_is_registered_in_any_order_of_imports(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "(241,)"


def test_importing_simmore_does_not_import_gymnasium():
    code = "import sys, simmore; print('gymnasium' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_the_defaults_are_the_papers_devices_and_the_stored_score():
    one = gymnasium.make("simmore/Cell-v0")
    other = gymnasium.make("simmore/Cell-v0", sampler=devices.SyntheticDevices.fit(), score=proxies.stored_score())
    for env in (one, other):
        env.reset(seed=3)
    step, same = (env.step(np.array([2, 3])) for env in (one, other))
    np.testing.assert_array_equal(step[0], same[0])
    assert step[1:] == same[1:]


def test_keywords_override_the_defaults():
    env = gymnasium.make("simmore/Cell-v0", score=np.full(15_625, 100.0))
    env.reset(seed=0)
    assert 100 <= env.step(np.array([0, 0]))[1] <= 101


def test_gymnasium_accepts_the_registered_environment():
    check_env(gymnasium.make("simmore/Cell-v0").unwrapped, skip_render_check=True)
