"""Simulated devices: each mechanism does what its docstring says."""

import numpy as np
import pytest

from simmore import data, devices, space
from simmore.devices import simulated
from simmore.devices.simulated import COMPILED, EAGER, Simulated


@pytest.fixture(scope="module")
def some() -> Simulated:
    return Simulated.draw(40, np.random.default_rng(0))


def test_latencies_are_positive_and_the_same_for_some_cells_as_for_all(some: Simulated) -> None:
    cells = np.random.default_rng(1).choice(space.N_ARCHS, 50, replace=False)
    everything = some.latency()
    assert everything.shape == (40, space.N_ARCHS) and (everything > 0).all() and np.isfinite(everything).all()
    np.testing.assert_allclose(some.latency(cells), everything[:, cells], rtol=1e-6)  # products of other shapes


def test_the_same_seed_gives_the_same_devices(some: Simulated) -> None:
    again = Simulated.draw(40, np.random.default_rng(0))
    cells = np.arange(100)
    np.testing.assert_array_equal(again.latency(cells), some.latency(cells))
    first, second = (one.measure(one.latency(cells), np.random.default_rng(2)) for one in (some, again))
    np.testing.assert_array_equal(first, second)


def test_compilers_remove_what_the_output_does_not_need_and_eager_frameworks_run_it(some: Simulated) -> None:
    idle = space.to_arch(
        "|nor_conv_3x3~0|+|none~0|none~1|+|nor_conv_3x3~0|none~1|none~2|"
    )  # its first edge leads nowhere
    needed = space.to_arch("|none~0|+|none~0|none~1|+|nor_conv_3x3~0|none~1|none~2|")
    latency = some.latency([idle, needed])
    compiled, eager = some.execution == COMPILED, some.execution == EAGER
    np.testing.assert_allclose(latency[compiled, 0], latency[compiled, 1], rtol=1e-6)
    assert (latency[eager, 0] > latency[eager, 1]).mean() > 0.9  # unless `none` costs as much


def test_some_compilers_reduce_a_network_that_puts_out_zeros_to_a_constant() -> None:
    some = Simulated.draw(400, np.random.default_rng(0))
    zero = space.to_arch("|nor_conv_3x3~0|+|nor_conv_3x3~0|skip_connect~1|+|none~0|none~1|none~2|")
    alone = space.to_arch("|none~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|")
    latency = some.latency([zero, alone])
    folds = some.folding
    assert folds.any() and (some.execution[folds] == COMPILED).all()
    without_calls = folds & (some.framework == 0)
    mean = some.latency(np.arange(0, space.N_ARCHS, 50)).mean(axis=1)
    assert (latency[without_calls, 0] < 0.01 * mean[without_calls]).all() and without_calls.any()
    assert (latency[~folds & (some.execution == COMPILED), 0] > 0).all()


def test_where_launches_dominate_operations_cost_the_same() -> None:
    assert simulated.launch_floor(0.01, 10.0, 4.0) == pytest.approx(simulated.launch_floor(1.0, 10.0, 4.0), rel=1e-3)
    assert simulated.launch_floor(1.0, 2.0, 1.0) == 3.0


def test_the_longest_path_of_a_cell() -> None:
    costs = np.array([1, 2, 4, 3, 1, 5], dtype=np.float32)
    assert simulated.longest_path(costs, np.ones(6, dtype=bool)) == 10  # 0→1→2→3
    assert simulated.longest_path(costs, np.array([0, 1, 0, 1, 0, 1], dtype=bool)) == 7  # 0→2→3


def test_a_device_is_never_faster_than_its_host_dispatches() -> None:
    latency = simulated.dispatched(np.float32([1.0, 100.0]), np.float32([5.0, 5.0]), 2.0)
    np.testing.assert_allclose(latency, [10.0, 100.0], rtol=1e-3)


def test_a_coarse_timer_shows_multiples_of_its_step_only() -> None:
    drawn = Simulated.draw(200, np.random.default_rng(3))
    coarse = drawn[drawn.step > 0.02]
    latency = coarse.latency(np.arange(300))
    seen = coarse.measure(latency, np.random.default_rng(0))
    steps = seen / (coarse.step * latency.mean(axis=1))[:, None]
    np.testing.assert_allclose(steps, np.round(steps), atol=1e-3)
    assert (seen > 0).all()


def test_phones_have_coarse_timers_and_many_spikes_and_launch_bound_devices_few() -> None:
    drawn = Simulated.draw(2_000, np.random.default_rng(0))
    coarse, launch_bound = drawn.step > 0, drawn.launch > 0.3
    phone = coarse & ~launch_bound
    assert phone.any() and (coarse & launch_bound).any()
    assert drawn.spike_rate[phone].min() >= 0.01 and drawn.spike_rate[~phone].max() < 0.01


def test_noise_is_as_large_as_drawn(some: Simulated) -> None:
    exact = some[some.step == 0]
    latency = exact.latency(np.arange(2_000))
    ratio = np.log(exact.measure(latency, np.random.default_rng(0)) / latency)
    scale = 1.4826 * np.median(np.abs(ratio), axis=1)
    np.testing.assert_allclose(scale, exact.noise, rtol=0.15)


def test_the_design_devices_are_none_of_helps_test_devices() -> None:
    families = {devices.family(name) for name in devices.TEST_DEVICES}
    assert not families & {devices.family(name) for name in devices.DESIGN_DEVICES}
    assert len(devices.DESIGN_DEVICES) == 12 and set(devices.DESIGN_DEVICES) < set(data.MEASURED)
