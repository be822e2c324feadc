"""Wheel and sdist: their metadata are valid, and they install into an empty environment."""

import os
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """The folder of what git tracks."""
    folder = tmp_path_factory.mktemp("source")
    tracked = subprocess.run(["git", "archive", "HEAD"], cwd=ROOT, capture_output=True)
    if tracked.returncode:
        pytest.skip("not a git checkout")
    subprocess.run(["tar", "-x", "-C", folder], input=tracked.stdout, check=True)
    return folder


@pytest.fixture(scope="module")
def distributions(source, tmp_path_factory):
    """The folder of wheel and sdist."""
    pytest.importorskip("build")
    out = tmp_path_factory.mktemp("dist")
    done = subprocess.run([sys.executable, "-m", "build", "-o", out, source], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return out


def test_metadata_are_valid(distributions):
    pytest.importorskip("twine")
    files = [str(file) for file in distributions.iterdir()]
    assert len(files) == 2
    done = subprocess.run([sys.executable, "-m", "twine", "check", "--strict", *files], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_both_hold_the_same_package_with_its_tables(source, distributions):
    (wheel,), (sdist,) = distributions.glob("*.whl"), distributions.glob("*.tar.gz")
    with zipfile.ZipFile(wheel) as opened:
        installed = {name for name in opened.namelist() if name.startswith("simmore/")}
    with tarfile.open(sdist) as opened:
        packed = {name.partition("/")[2] for name in opened.getnames()}
    tracked = {str(file.relative_to(source)) for file in (source / "simmore").rglob("*") if file.is_file()}
    assert installed == tracked and tracked <= packed


@pytest.mark.parametrize("kind", ["*.whl", "*.tar.gz"])
def test_a_search_works_in_an_empty_environment(distributions, tmp_path, kind):
    (file,) = distributions.glob(kind)
    venv.create(tmp_path / "venv", with_pip=True)
    bin_ = tmp_path / "venv" / ("Scripts" if sys.platform == "win32" else "bin")
    alone = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    install = [bin_ / "pip", "install", "-q", file]
    done = subprocess.run(install, capture_output=True, text=True, cwd=tmp_path, env=alone)
    assert done.returncode == 0, done.stderr[-2000:]
    search = [bin_ / "simmore", "search", "--device", "onnxruntime_fp32"]
    clean = {"PATH": str(bin_), "HOME": str(tmp_path), "SIMMORE_CACHE": str(tmp_path / "cache")}
    done = subprocess.run(search, capture_output=True, text=True, cwd=tmp_path, env=clean)
    assert done.returncode == 0, done.stderr
    assert "measured      10 of 10 cells" in done.stdout
