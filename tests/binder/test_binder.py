"""What Binder will do with the repository, as far as it can be done without a container engine.

`make test-binder` runs these; `make test` doesn't, for a fresh environment takes minutes to install.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy of the repository, as Binder clones it."""
    folder = tmp_path_factory.mktemp("binder") / "repository"
    leave = shutil.ignore_patterns(".git", ".venv*", "build", "__pycache__", "*.egg-info", ".*_cache")
    shutil.copytree(ROOT, folder, ignore=leave)
    return folder


def test_repo2docker_renders_its_dockerfile(checkout, monkeypatch):
    from repo2docker.app import Repo2Docker

    monkeypatch.chdir(checkout)
    packs = [pack(checkout) for pack in Repo2Docker().buildpacks]
    found = next(pack for pack in packs if pack.detect())
    assert type(found).__name__ == "CondaBuildPack"
    found.platform = "linux/amd64"
    dockerfile = found.render({})
    for part in ('--file "binder/environment.yml"', "./binder/postBuild", "binder/start"):
        assert part in dockerfile


def test_the_pins_make_an_environment_in_which_post_build_runs(checkout, tmp_path):
    environment = yaml.safe_load((checkout / "binder" / "environment.yml").read_text())
    project = environment["dependencies"][-1]["pip"][-1].removeprefix("-e ..")  # "[binder]"
    variables = os.environ | {"XDG_CACHE_HOME": str(tmp_path), "PATH": f"{tmp_path}/venv/bin:{os.environ['PATH']}"}
    beside = ROOT.parent / "shared" / "upstream"
    if beside.is_dir():
        variables.setdefault("SIMMORE_MIRROR", str(beside))
    python = tmp_path / "venv" / "bin" / "python"

    def run(*command):
        done = subprocess.run(command, cwd=checkout, env=variables, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout

    run(sys.executable, "-m", "venv", tmp_path / "venv")
    run(python, "-m", "pip", "install", "-q", "-e", f".{project}")
    run("bash", "binder/postBuild")
    run(python, "-m", "pip", "check") if project == "[explore]" else None  # xautodl's metadata is known to disagree
    assert "True" in run(python, "-c", "from simmore import explorer; print(len(explorer.Explorer().devices) == 2)")
    assert run(python, "-m", "voila", "--version").strip()
