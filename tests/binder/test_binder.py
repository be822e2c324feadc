"""What Binder does with the repository, as far as this can be done without a container engine.

`make test-binder` runs these tests. `make test` does not, because a fresh environment takes minutes to install.
"""

import os
import shutil
import subprocess
import sys

import pytest
import yaml

from simmore.paths import ROOT


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy of the repository, as Binder clones it."""
    folder = tmp_path_factory.mktemp("binder") / "repository"
    leave = shutil.ignore_patterns(".git", ".venv*", "build", "__pycache__", "*.egg-info", ".*_cache")
    shutil.copytree(ROOT, folder, ignore=leave)
    return folder


def test_repo2docker_renders_a_dockerfile_with_all_three_binder_files(checkout, monkeypatch):
    from repo2docker.app import Repo2Docker

    monkeypatch.chdir(checkout)
    packs = [pack(checkout) for pack in Repo2Docker().buildpacks]
    found = next(pack for pack in packs if pack.detect())
    assert type(found).__name__ == "CondaBuildPack"
    found.platform = "linux/amd64"
    dockerfile = found.render({})
    for part in ('--file "binder/environment.yml"', "./binder/postBuild", "binder/start"):
        assert part in dockerfile


def test_the_pins_make_an_environment_in_which_post_build_and_the_explorer_run(checkout, tmp_path):
    environment = yaml.safe_load((checkout / "binder" / "environment.yml").read_text())
    extra = environment["dependencies"][-1]["pip"][-1].removeprefix("-e ..")
    assert extra == "[binder]"
    python = tmp_path / "venv" / "bin" / "python"

    def run(*command, **variables):
        done = subprocess.run(command, cwd=checkout, env=os.environ | variables, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout

    run(sys.executable, "-m", "venv", tmp_path / "venv")
    run(python, "-m", "pip", "install", "-q", "--no-compile", "-e", f".{extra}")
    path = f"{python.parent}{os.pathsep}{os.environ['PATH']}"
    run("bash", "binder/postBuild", PATH=path, XDG_CACHE_HOME=str(tmp_path))  # no table is in the cache
    code = "from simmore import explorer; print(len(explorer.Explorer().devices))"
    assert run(python, "-c", code, XDG_CACHE_HOME=str(tmp_path)).strip() == "2"
    assert run(python, "-m", "voila", "--version").strip()
    assert run(python, "-m", "jupyterlab", "--version").strip()
