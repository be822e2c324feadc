"""The search space: NATS-Bench's topology cells, their canonical form, and the torch network of a cell."""

from simmore.space.canonical import canonical_classes, canonical_form, live_edges, live_ops
from simmore.space.cells import (
    EDGES,
    N_ARCHS,
    N_EDGES,
    N_OPERATIONS,
    OPERATIONS,
    all_ops,
    all_strings,
    neighbours,
    operation_counts,
    single_operation_archs,
    to_arch,
    to_archs,
    to_ops,
    to_string,
)
from simmore.space.network import CELLS_PER_STAGE, CHANNELS, flops, live_flops, network, parameters

__all__ = [
    "CELLS_PER_STAGE",
    "CHANNELS",
    "EDGES",
    "N_ARCHS",
    "N_EDGES",
    "N_OPERATIONS",
    "OPERATIONS",
    "all_ops",
    "all_strings",
    "canonical_classes",
    "canonical_form",
    "flops",
    "live_edges",
    "live_flops",
    "live_ops",
    "neighbours",
    "network",
    "operation_counts",
    "parameters",
    "single_operation_archs",
    "to_arch",
    "to_archs",
    "to_ops",
    "to_string",
]
