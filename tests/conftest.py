"""Shared fixtures: where the mirror of public data is, and a score that needs no table."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from simmore import data, devices, space
from simmore.errors import TableMissing

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session", autouse=True)
def mirror_beside_the_checkout():
    """Read public data from the mirror beside the checkout, as the Makefile does."""
    beside = ROOT.parent / "shared" / "upstream"
    if beside.is_dir():
        os.environ.setdefault("SIMMORE_MIRROR", str(beside))


@pytest.fixture
def measured_tables(mirror_beside_the_checkout):
    """Skip, and say so, where the measured tables are neither in a mirror nor in the cache nor to be fetched."""
    try:
        data.latency_table("raspi4")
    except TableMissing as missing:
        pytest.skip(str(missing))


@pytest.fixture(scope="session")
def conv_score():
    """A score that anyone can compute: the share of 3×3 convolutions."""
    return space.operation_counts(np.arange(space.N_ARCHS))[:, 3] / space.N_EDGES


@pytest.fixture(scope="session")
def synthetic():
    """The distribution of synthetic devices, fitted to all 18."""
    return devices.SyntheticDevices.fit()
