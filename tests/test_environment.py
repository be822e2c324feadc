"""The environment files, the package's start, and its imports agree with what the README promises."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from simmore.errors import needs

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS = PROJECT["project"]["optional-dependencies"]
PINS = [*PROJECT["project"]["dependencies"], *(pin for extra in EXTRAS.values() for pin in extra)]


def test_every_version_is_pinned_once():
    pins = [pin for pin in PINS if not pin.startswith("simmore[")]
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]+==[0-9][0-9a-z.]*", pin) for pin in pins)
    names = [pin.split("==")[0].lower() for pin in [*pins, *PROJECT["tool"]["simmore"]["no-deps"]]]
    assert len(names) == len(set(names))
    built_on = (
        "jupyterlab papermill jupytext ipywidgets torch stable-baselines3 gymnasium nats_bench xautodl seaborn pandas"
    )
    assert set(built_on.split()) <= set(names)
    assert EXTRAS["all"] == [f"simmore[{','.join(name for name in EXTRAS if name != 'all')}]"]


@pytest.mark.parametrize("name", ["environment.yml", "binder/environment.yml"])
def test_conda_environments_install_exactly_what_pyproject_pins(name):
    file = ROOT / name
    environment = yaml.safe_load(file.read_text())
    *conda, pip = environment["dependencies"]
    python = next(entry for entry in conda if entry.startswith("python="))
    minimum = PROJECT["project"]["requires-python"].removeprefix(">=")
    assert tuple(map(int, python.split("=")[1].split("."))) >= tuple(map(int, minimum.split(".")))
    installs = [line for line in pip["pip"] if not line.startswith("--")]
    match = re.fullmatch(r"-e (\.\.?)\[(\w+)\]", installs[0])
    assert len(installs) == 1 and match, "the project itself, so that versions stand in pyproject.toml alone"
    assert (file.parent / match[1]).resolve() == ROOT and match[2] in EXTRAS
    assert not [entry for entry in conda if "=" in entry and not entry.startswith("python=")]


def test_what_goes_in_without_its_dependencies_is_installed_everywhere():
    assert PROJECT["tool"]["simmore"]["no-deps"] == ["xautodl==1.0.0"]
    for name in ("Makefile", "binder/postBuild"):
        text = (ROOT / name).read_text()
        assert "--no-deps" in text and '["tool"]["simmore"]["no-deps"]' in text
    assert (ROOT / "binder/postBuild").read_text().splitlines()[2] == "set -e"


def test_the_installed_versions_are_the_pinned_ones():
    from importlib.metadata import version

    for pin in [pin for pin in PINS if "==" in pin] + PROJECT["tool"]["simmore"]["no-deps"]:
        name, wanted = pin.split("==")
        assert version(name).split("+")[0] == wanted, f"{name}: run make"


@pytest.mark.parametrize(
    ("statement", "forbidden"),
    [
        ("import simmore", "torch numpy pandas"),
        (
            "import simmore.search, simmore.controller, simmore.latency_models",
            "torch gymnasium stable_baselines3 matplotlib",
        ),
        ("import simmore.plots", "torch gymnasium stable_baselines3"),
        ("import simmore.explorer", "torch gymnasium stable_baselines3 matplotlib"),
    ],
)
def test_heavy_imports_stay_out(statement, forbidden):
    check = f"import sys; {statement}; print([m for m in {forbidden.split()!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_missing_package_says_what_installs_it():
    with pytest.raises(ImportError, match=r"make"), needs("xautodl"):
        raise ModuleNotFoundError("No module named 'xautodl'", name="xautodl")


def test_make_help_lists_every_target():
    targets = re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert {
        *"figures test data proxies train notebooks sync lab bench check format clean help".split(),
        *"comparison explore site test-browser test-binder".split(),
    } <= set(targets)
