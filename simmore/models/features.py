"""What latency depends on: the features of a cell, and the shape of a device.

A shape is a table of latencies divided by its mean over all cells.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from simmore import devices, space


@cache
def feature_blocks() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Shares of the operations, ``(15625, 5)``: on all edges, and on those that the output needs.

    The second block has whether any edge leads to the output in the place of `none`. Graph compilers drop what the
    output does not need (raspi4, pixel3), frameworks that run eagerly do not.
    """
    one_hot = space.all_ops()[:, :, None] == np.arange(space.N_OPERATIONS)  # (cells, edges, operations)
    live = space.live_edges(np.arange(space.N_ARCHS))
    used = (one_hot & live[:, :, None]).sum(axis=1) / space.N_EDGES
    used[:, 0] = live.any(axis=1)
    return devices.all_operation_counts() / space.N_EDGES, used


def shapes(latency_ms: NDArray[np.float64]) -> NDArray[np.float64]:
    """Tables ``(devices, cells)`` divided by their means: what is left when a device's scale is not known."""
    return latency_ms / latency_ms.mean(axis=1, keepdims=True)


def smooth_parts(shape: NDArray[np.float64]) -> NDArray[np.float64]:
    """What `feature_blocks` explain of shapes ``(devices, 15625)``, by least squares."""
    from scipy.linalg import lstsq

    design = np.column_stack([np.ones(space.N_ARCHS), *feature_blocks()])
    return (design @ lstsq(design, shape.T)[0]).T
