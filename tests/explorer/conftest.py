"""The explorer without a browser: its logic, by setting the values of its widgets."""

import numpy as np
import pandas as pd
import pytest

from simmore import space
from simmore.explorer import Explorer


@pytest.fixture
def app():
    return Explorer("mean", "nats_gpu")


@pytest.fixture
def message(app):
    """What the explorer's message line says."""
    return lambda: app.shared.message.value


@pytest.fixture
def csv_of():
    """Makes the content of a CSV with all latencies."""
    return lambda latency_ms: (
        pd.DataFrame({"arch": np.arange(space.N_ARCHS), "latency_ms": latency_ms}).to_csv(index=False).encode()
    )
