"""What the explorer shows, as arrays."""

import numpy as np
import pandas as pd
import pytest

from simmore import devices, space
from simmore.explorer import view
from simmore.explorer.model import Profile, trace
from simmore.explorer.widgets import padded
from simmore.strategies.session import pareto_front


@pytest.fixture
def gpu(conv_score):
    return Profile(devices.load("nats_gpu"), conv_score)


def failing(arch):
    """A device on which one cell does not compile."""
    table = np.linspace(1.0, 2.0, space.N_ARCHS)
    table[arch] = np.inf
    return devices.TableDevice("edge", table)


def test_a_profile_has_the_optimum_and_percentiles_of_its_device(gpu, conv_score):
    latency = gpu.device.latency_ms(np.arange(space.N_ARCHS))
    assert gpu.optimum == devices.optimum(conv_score, latency)
    assert gpu.range_ms == (latency.min(), latency.max())
    assert gpu.percentile(int(latency.argmin())) == pytest.approx(100 * (1 - 1 / space.N_ARCHS))
    assert gpu.percentile(int(latency.argmax())) == 0


def test_a_cell_that_does_not_compile_is_neither_optimum_nor_drawn(conv_score):
    profile = Profile(failing(7), conv_score)
    assert np.isneginf(profile.reward[7]) and profile.optimum != 7
    assert 7 not in pareto_front(profile.latency_ms, conv_score)
    assert padded(profile.latency_ms) == pytest.approx([0.97, 2.03])


def test_a_search_and_its_beliefs_depend_on_the_measured_cells_alone(gpu, conv_score):
    options = {"strategy": "expected_improvement", "start": 3, "budget": 6, "seed": 0}
    found = trace(gpu, **options)
    table = np.random.default_rng(0).permutation(gpu.latency_ms)
    table[found.archs] = gpu.latency_ms[found.archs]
    again = trace(Profile(devices.TableDevice("another", table), conv_score), **options)
    assert again.archs == found.archs
    for one, other in zip(found.beliefs, again.beliefs, strict=True):
        pd.testing.assert_frame_equal(one.cells, other.cells)
        assert one.recommended == other.recommended and one.range_ms == other.range_ms
        np.testing.assert_array_equal(one.operation_ms, other.operation_ms)


@pytest.mark.parametrize("strategy", ["random", "expected_improvement", "paper"])
def test_beliefs_and_regrets_end_with_the_search(gpu, strategy):
    found = trace(gpu, strategy, start=3, budget=10, seed=0)
    for step, belief in enumerate(found.beliefs):
        assert belief.cells["arch"].tolist() == found.archs[: step + 1]
        assert belief.recommended in set(belief.cells["arch"])
    assert found.beliefs[-1].recommended == found.found.arch
    assert (np.diff(found.simple_regret) <= 0).all()
    assert (found.inference_regret >= found.simple_regret).all()
    assert found.simple_regret[-1] == devices.normalised_regret(gpu.reward, found.archs).min()


def test_operation_latencies_are_estimated_by_rules_with_a_model(conv_score):
    profile = Profile(devices.load("mean"), conv_score)
    options = {"start": 3, "budget": 10, "seed": 0}
    belief = trace(profile, "linear_bound", **options).beliefs[-1]
    estimated = devices.AdditiveDevice("estimated", belief.operation_ms)
    np.testing.assert_allclose(estimated.latency_ms(belief.cells["arch"]), belief.cells["latency_ms"], rtol=0.1)
    without_model = trace(profile, "random", **options).beliefs[-1]
    assert without_model.operation_ms is None
    assert without_model.range_ms == (without_model.cells["latency_ms"].min(), without_model.cells["latency_ms"].max())


@pytest.mark.parametrize("strategy", ["random", "expected_improvement"])
def test_a_start_that_does_not_compile_is_not_recommended(conv_score, strategy):
    found = trace(Profile(failing(7), conv_score), strategy, start=7, budget=2, seed=0)
    first, second = found.beliefs
    assert first.recommended is None and np.isnan(found.inference_regret[0]) and np.isinf(found.simple_regret[0])
    assert second.recommended == found.archs[1]
    assert "1 measured" in view.belief(found, 0) and "recommended <b>–</b>" in view.regret_chart([found], 0)


def test_nothing_is_recommended_if_no_measured_cell_keeps_the_limit(gpu):
    found = trace(gpu, "random", start=3, budget=2, seed=0, max_latency_ms=1e-3)
    assert found.found.arch is None and np.isnan(found.inference_regret).all()
    assert np.isfinite(found.beliefs[-1].range_ms).all()
