"""Shared by the tests of the data: the mirror of the public files, and forgetting what was read."""

import os
from pathlib import Path

import pytest

from simmore import data
from simmore.data import registry, score_tables


@pytest.fixture
def upstream(mirror_beside_the_checkout) -> Path:
    """The mirror of the public files; the test is skipped if there is none."""
    folder = os.environ.get("SIMMORE_MIRROR", "")
    if not folder:
        pytest.skip("no mirror of the public tables: set SIMMORE_MIRROR")
    return Path(folder)


@pytest.fixture
def forgotten(monkeypatch, tmp_path):
    """Nothing read before is cached, before and after the test; the download cache is an empty folder."""

    def forget():
        data.latency_table.cache_clear()
        score_tables._published_scores.cache_clear()
        registry._unreachable.clear()

    monkeypatch.setenv("SIMMORE_CACHE", str(tmp_path / "cache"))
    forget()
    yield
    forget()


class Evil:
    """Its pickle runs a command while it loads: the command makes the folder `trace`."""

    def __init__(self, trace: Path):
        self.trace = trace

    def __reduce__(self):
        return os.mkdir, (str(self.trace),)


@pytest.fixture
def evil(tmp_path):
    """A value whose pickle runs a command while it loads; nothing may have run when the test ends."""
    trace = tmp_path / "ran"
    yield Evil(trace)
    assert not trace.exists()
