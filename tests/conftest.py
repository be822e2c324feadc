"""Shared fixtures: where the mirror of public data is, devices and scores that need no download, and a browser."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import numpy as np
import pytest

from simmore import data, devices, space
from simmore.errors import TableMissing

ROOT = Path(__file__).resolve().parents[1]
EVERYTHING = np.arange(space.N_ARCHS)
CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
# root has no sandbox; there is no graphics card; nothing is asked of other machines
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()


@pytest.fixture(scope="session", autouse=True)
def mirror_beside_the_checkout():
    """Read public data from the mirror beside the checkout, as the Makefile does."""
    beside = ROOT.parent / "shared" / "upstream"
    if beside.is_dir():
        os.environ.setdefault("SIMMORE_MIRROR", str(beside))


@pytest.fixture
def measured_tables(mirror_beside_the_checkout):
    """Skip, with the reason, where the measured tables are neither in a mirror nor in the cache nor can be fetched."""
    try:
        data.latency_table("raspi4")
    except TableMissing as missing:
        pytest.skip(str(missing))


@pytest.fixture(scope="session")
def conv_score():
    """A score that needs no table: the share of 3×3 convolutions, ``(cells,)``."""
    return space.operation_counts(EVERYTHING)[:, 3] / space.N_EDGES


@pytest.fixture(scope="session")
def synthetic():
    """Ξ, fitted to all 18 devices."""
    return devices.SyntheticDevices.fit()


@pytest.fixture(scope="session")
def gpu_table():
    """Latencies of NATS-Bench's own GPU, ``(cells,)`` in ms."""
    return devices.load("nats_gpu").latency_ms(EVERYTHING)


@pytest.fixture(scope="session")
def browser():
    """Debian's Chromium, headless, for the tests that need a browser."""
    from playwright.sync_api import sync_playwright

    if not Path(CHROMIUM).exists():
        pytest.fail(f"there is no {CHROMIUM}: make test-browser installs it where it can (Debian's package chromium)")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield running
        running.close()


@dataclasses.dataclass
class Board:
    """A device that counts what it is asked, and may fail at its n-th call: raise, or return `answer`."""

    table: np.ndarray
    name: str = "board"
    fails_at: int | None = None
    answer: float | None = None
    asked: list = dataclasses.field(default_factory=list)

    def latency_ms(self, archs):
        self.asked.append(int(archs))
        if len(self.asked) == self.fails_at:
            if self.answer is None:
                raise ConnectionError("the board is gone")
            return self.answer
        return self.table[archs]


@pytest.fixture
def board(gpu_table):
    """Makes a `Board`; the table is that of NATS-Bench's GPU if none is given."""
    return lambda table=None, **options: Board(gpu_table if table is None else table, **options)
