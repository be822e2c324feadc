"""Which edges of a cell matter, and which cells are the same network.

One reduction of a cell serves three purposes, which differ in what counts as zero:

- `live_edges`: the operations that lead to the output, for latency models;
- `live_ops`: the operations that can change the output, for exporters, which write no other layer;
- `canonical_form`: cells with the same canonical form have the same training-free scores.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simmore.space import cells

NONE, SKIP, CONV_1X1, CONV_3X3, POOL = range(cells.N_OPERATIONS)
CONVOLUTIONS = (CONV_1X1, CONV_3X3)
_NODES = range(1 + max(target for _, target in cells.EDGES))
_EDGES = tuple(enumerate(cells.EDGES))

Ops = tuple[int, ...]  # the six digits of a cell


class _Flow(NamedTuple):
    """``edges (…, 6)``: which edges matter. ``zero, needed (…, 4)``: nodes that are zero, nodes that matter."""

    edges: NDArray[np.bool_]
    zero: NDArray[np.bool_]
    needed: NDArray[np.bool_]


def _flow(ops: NDArray[np.uint8], keeps_zero: Collection[int], read: NDArray[np.bool_] | None = None) -> _Flow:
    """Follow the data through cells ``(…, 6)``: forwards to find zeros, backwards to find what is needed."""
    on = ops != NONE
    passes_zero = np.isin(ops, list(keeps_zero))
    zero = np.ones((*ops.shape[:-1], len(_NODES)), dtype=bool)
    zero[..., 0] = False
    for edge, (source, target) in _EDGES:  # edges into a node precede those out of it
        zero[..., target] &= ~on[..., edge] | (passes_zero[..., edge] & zero[..., source])
    moves = np.stack(
        [on[..., edge] & ~(passes_zero[..., edge] & zero[..., source]) for edge, (source, _) in _EDGES], axis=-1
    )
    needed = np.zeros_like(zero) if read is None else read & ~zero
    needed[..., -1] = True
    for edge, (source, target) in reversed(_EDGES):
        needed[..., source] |= moves[..., edge] & needed[..., target]
    edges = np.stack([moves[..., edge] & needed[..., target] for edge, (_, target) in _EDGES], axis=-1)
    return _Flow(edges, zero, needed)


def live_edges(archs: ArrayLike, *, keeps_zero: Collection[int] = ()) -> NDArray[np.bool_]:
    """Edges that hold an operation other than `none` and lead to the output.

    Parameters
    ----------
    archs
        NATS indices ``(…)``.
    keeps_zero
        Operations whose result is zero when their input is. An edge with one of them does not count where its source
        is a node that no data reaches. Empty: such edges count.

    Returns
    -------
    ndarray of bool
        ``(…, 6)``.
    """
    return _flow(cells.to_ops(archs), keeps_zero).edges


def live_ops(arch: int) -> Ops:
    """Digits of a cell with `none` on every edge that cannot change the output, whatever the weights are.

    A convolution of zero stays, because the batch norm after it shifts the zero.
    """
    edges = live_edges(arch, keeps_zero=(SKIP, POOL))
    return tuple(np.where(edges, cells.to_ops(arch), NONE).tolist())


class CanonicalForm(NamedTuple):
    """A cell reduced to what its training-free scores depend on."""

    ops: Ops
    """Digits of the smallest cell that is the same network, `none` on edges that need not be computed."""
    weight_edges: tuple[int, ...]
    """Edge of the super-network from which each of the cell's six edges takes its weights."""
    reads: tuple[int, int, int]
    """How many convolutions of the cell read nodes 0, 1 and 2 of the reduced cell."""
    reads_of_zero: int
    """How many convolutions of the cell read a node that is zero. All images have the same code there."""


@cache
def canonical_form(arch: int) -> CanonicalForm:
    """Reduce one cell, given as its NATS index.

    An edge stays if it changes the output, or a node whose ReLU code is counted because a convolution reads it. Nodes
    and edges are then renamed where that does not change the network: two nodes in another order, or two edges whose
    sources are one node, because a `skip_connect` is its source.

    Notes
    -----
    NATS-Bench's own isomorphism (12,751 classes, or 6,466 when `none` is reduced too) is coarser: a node that feeds
    the output twice and two equal nodes are one expression there, but not one network.
    """
    kept, reads, zero = _initial_flow()
    reduced, edges, nodes = _representative(tuple(kept[arch].tolist()))
    read_of_node = np.where(zero[arch], 0, reads[arch])[list(nodes)]
    return CanonicalForm(
        ops=reduced,
        weight_edges=tuple(edges.index(edge) for edge in range(cells.N_EDGES)),
        reads=tuple(read_of_node.tolist()),
        reads_of_zero=int(reads[arch] @ zero[arch]),
    )


@cache
def _initial_flow() -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.bool_]]:
    """Of all cells at initialisation: digits that are kept, convolutions that read each node, nodes that are zero."""
    ops = cells.all_ops()
    reads = np.zeros((cells.N_ARCHS, len(_NODES)), dtype=np.int64)
    for edge, (source, _) in _EDGES:
        reads[:, source] += np.isin(ops[:, edge], CONVOLUTIONS)
    # before training, a convolution of zero is zero: the batch norm after it does not shift yet
    flow = _flow(ops, (SKIP, POOL, *CONVOLUTIONS), read=reads > 0)
    return np.where(flow.edges, ops, NONE), reads, flow.zero


def _representative(ops: Ops) -> tuple[Ops, tuple[int, ...], tuple[int, ...]]:
    """Smallest of the cells that are the same network, and the edges and nodes of `ops` that stand in it."""
    start = (tuple(range(cells.N_EDGES)), (0, 1, 2))
    seen = {ops: start}
    todo = [ops]
    while todo:
        current = todo.pop()
        edges, nodes = seen[current]
        for order, swapped in _same_network(current):
            other = tuple(current[edge] for edge in order)
            if other not in seen:
                moved = (nodes[0], nodes[2], nodes[1]) if swapped else nodes
                seen[other] = tuple(edges[edge] for edge in order), moved
                todo.append(other)
    smallest = min(seen)
    return smallest, *seen[smallest]


def _same_network(ops: Ops) -> list[tuple[tuple[int, ...], bool]]:
    """Orders of the six edges that leave the network as it is, and whether nodes 1 and 2 change places."""
    orders: list[tuple[tuple[int, ...], bool]] = []
    if ops[2] == NONE:  # nodes 1 and 2 both follow from node 0 alone
        orders.append(((1, 0, 2, 3, 5, 4), True))
    if ops[0] == SKIP:  # node 1 is node 0: the edges from them to a common target may be exchanged
        orders += [((0, 2, 1, 3, 4, 5), False), ((0, 1, 2, 4, 3, 5), False)]
    if ops[1] == SKIP and ops[2] == NONE:  # node 2 is node 0
        orders.append(((0, 1, 2, 5, 4, 3), False))
    if ops[2] == SKIP and ops[1] == NONE:  # node 2 is node 1
        orders.append(((0, 1, 2, 3, 5, 4), False))
    return orders


@cache
def canonical_classes() -> Mapping[Ops, tuple[int, ...]]:
    """All 7,209 reduced cells, and the NATS indices of the cells that share each."""
    members: dict[Ops, list[int]] = {}
    for arch in range(cells.N_ARCHS):
        members.setdefault(canonical_form(arch).ops, []).append(arch)
    return {ops: tuple(archs) for ops, archs in members.items()}
