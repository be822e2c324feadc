"""Which cells need the same work: what has to be computed for a cell, and which cells share it exactly.

`plan` reduces a cell. It leaves out each edge that changes neither the output nor a node whose code is counted (a
ReLU's code depends on its node alone), and renames nodes and edges where that does not change the network: two
nodes in another order; two edges whose sources are one node, as a `skip_connect` is its source. 7,209 reduced
cells are left of 15,625; all members of a class are scored at once.

`space.isomorphism_classes` would not do. A node that feeds the output twice and two nodes that are alike have one
expression there, but they are not one network: 230 of its classes hold cells with different numbers of
convolutions.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import NamedTuple

from simmore import space

SKIP, CONV_1X1, CONV_3X3, POOL = 1, 2, 3, 4  # digits of `space.OPERATIONS`; 0 is none

Ops = tuple[int, ...]  # the six digits of a cell


class Plan(NamedTuple):
    """A cell, reduced."""

    ops: Ops
    """The reduced cell: `none` on what need not be computed."""
    slots: tuple[int, ...]
    """Edge of the super-network from which each of the cell's six edges takes its weights."""
    reads: tuple[int, int, int]
    """How many convolutions of the cell read the reduced cell's nodes 0, 1 and 2."""
    reads_of_zero: int
    """How many convolutions of the cell read a node that is zero: all images have the same code there."""


@cache
def plan(arch: int) -> Plan:
    """Reduce one cell, given as its NATS index."""
    ops = tuple(space.to_ops(arch).tolist())
    zero = [False] * 4
    for node in (1, 2, 3):
        incoming = [(op, source) for op, (source, target) in zip(ops, space.EDGES, strict=True) if target == node]
        zero[node] = all(op == 0 or zero[source] for op, source in incoming)
    reads = [0] * 4
    for op, (source, _) in zip(ops, space.EDGES, strict=True):
        reads[source] += op in (CONV_1X1, CONV_3X3)
    needed = [False, False, False, True]
    for node in (2, 1, 0):
        leads_on = any(
            op and needed[target] for op, (source, target) in zip(ops, space.EDGES, strict=True) if source == node
        )
        needed[node] = not zero[node] and (leads_on or reads[node] > 0)
    kept = tuple(
        op if needed[target] and not zero[source] else 0 for op, (source, target) in zip(ops, space.EDGES, strict=True)
    )
    reduced, edges, nodes = _representative(kept)
    return Plan(
        ops=reduced,
        slots=tuple(edges.index(edge) for edge in range(6)),
        reads=tuple(0 if zero[node] else reads[node] for node in nodes),  # type: ignore[arg-type]
        reads_of_zero=sum(reads[node] for node in (0, 1, 2) if zero[node]),
    )


def _representative(ops: Ops) -> tuple[Ops, tuple[int, ...], tuple[int, ...]]:
    """Smallest of the cells that are the same network, and the edges and nodes of `ops` that stand in it."""
    start = (tuple(range(6)), (0, 1, 2))
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
    if ops[2] == 0:  # nodes 1 and 2 both follow from node 0 alone
        orders.append(((1, 0, 2, 3, 5, 4), True))
    if ops[0] == SKIP:  # node 1 is node 0: the edges from them to a common target may be exchanged
        orders += [((0, 2, 1, 3, 4, 5), False), ((0, 1, 2, 4, 3, 5), False)]
    if ops[1] == SKIP and ops[2] == 0:  # node 2 is node 0
        orders.append(((0, 1, 2, 5, 4, 3), False))
    if ops[2] == SKIP and ops[1] == 0:  # node 2 is node 1
        orders.append(((0, 1, 2, 3, 5, 4), False))
    return orders


@cache
def classes() -> Mapping[Ops, tuple[int, ...]]:
    """All reduced cells, and the NATS indices of the cells that share each."""
    members: dict[Ops, list[int]] = {}
    for arch in range(space.N_ARCHS):
        members.setdefault(plan(arch).ops, []).append(arch)
    return {ops: tuple(archs) for ops, archs in members.items()}
