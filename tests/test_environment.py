"""The environment files, the package's start, and its imports agree with what the README promises."""

import re
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml

from simmore.errors import needs

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS = PROJECT["project"]["optional-dependencies"]
NO_DEPS = PROJECT["tool"]["simmore"]["no-deps"]
CORE = {pin.split("==")[0] for pin in PROJECT["project"]["dependencies"]}
ENTRIES = [*PROJECT["project"]["dependencies"], *(entry for extra in EXTRAS.values() for entry in extra)]
PINS = [*(entry for entry in ENTRIES if not entry.startswith("simmore[")), *NO_DEPS.values()]
NAMES = [pin.split("==")[0] for pin in PINS]


def within(extra: str) -> set[str]:
    """Names of the packages that an extra brings directly, through other extras too."""
    found: set[str] = set()
    for entry in EXTRAS[extra]:
        if parts := re.fullmatch(r"simmore\[(.+)\]", entry):
            found.update(*map(within, parts[1].split(",")))
        else:
            found.add(entry.split("==")[0])
    return found


def test_every_version_is_pinned_once():
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]+==[0-9][0-9a-z.]*", pin) for pin in PINS)
    assert len(NAMES) == len(set(NAMES))
    assert set(NO_DEPS) <= set(NAMES)


def test_every_level_that_make_sets_up_is_an_extra():
    levels = set(re.findall(r"\$\(READY\)([a-z-]+)", (ROOT / "Makefile").read_text()))
    assert levels <= set(EXTRAS)
    assert CORE | within("all") | {pin.split("==")[0] for pin in NO_DEPS.values()} == set(NAMES)


def test_figures_need_no_tools_and_a_worker_needs_no_torch():
    others = "jupyterlab voila notebook playwright jupyter-repo2docker jupyter-book dask openvino ncnn pytest ruff mypy"
    assert not within("figures") & set(others.split())
    assert not within("worker") & {"torch", "stable-baselines3", "ipykernel", "papermill"}


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


def test_make_and_binder_install_the_packages_without_dependencies():
    for name in ("Makefile", "binder/postBuild"):
        text = (ROOT / name).read_text()
        assert "--no-deps" in text and "binder/no_deps.py" in text
    done = subprocess.run([sys.executable, ROOT / "binder/no_deps.py"], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) <= set(NO_DEPS.values())


def test_the_packages_of_make_test_are_installed_in_the_pinned_versions():
    names = CORE | within("test") | {pin.split("==")[0] for pin in NO_DEPS.values()}
    for pin in PINS:
        name, pinned = pin.split("==")
        if name in names:
            assert version(name).split("+")[0] == pinned, f"{name}: run make test"


@pytest.mark.parametrize(
    ("statement", "forbidden"),
    [
        ("import simmore", "torch numpy pandas gymnasium"),
        (
            "import simmore.strategies.session, simmore.rl.policy, simmore.rl.context, simmore.models.knowledge",
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
    done = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    phony = (ROOT / "Makefile").read_text().split(".PHONY:")[1].replace("\\\n", " ").splitlines()[0].split()
    assert set(re.findall(r"^  make ([a-z-]+)", done.stdout, re.MULTILINE)) == set(phony)
