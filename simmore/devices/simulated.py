"""Simulated devices: random devices with the structure of real ones.

The paper's synthetic devices are sums of independent operation latencies (`SyntheticDevices`). Real devices differ from
them in known ways: costs of different orders of magnitude, operations that all cost one kernel launch, operations that
compilers remove, additions at nodes, parallel branches that overlap, noise, spikes, and coarse timers. The functions
below are such mechanisms, and `Simulated` counts additions, activations and conversions. A simulated device is a draw
of their parameters (`Simulated.draw`). No table of a real device is used. Requantisation between int8 operations has no
mechanism of its own: the costs of pairs of operations stand for it.

The widths of the parameters are chosen on twelve measured devices (`groups.DESIGN_DEVICES`), by prior predictive checks
and by the likelihood of their latencies under a prior that is fitted to simulated devices.

The unit of latency is the computing time of the fifteen 3×3 convolutions that one edge of a cell has in the network.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cache
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simmore import space

if TYPE_CHECKING:
    from scipy import sparse

NONE, SKIP, CONV_1X1, CONV_3X3, POOL = range(space.N_OPERATIONS)
EAGER, EXPORTED, COMPILED = range(3)
"""What a device executes: every edge, every edge that is not `none`, or the edges that the output needs."""

_CHAINS = ((0, 2), (0, 4), (1, 5), (2, 5))  # edges of which one leads to the other
_PAIRS = tuple((a, b) for a in range(space.N_EDGES) for b in range(a + 1, space.N_EDGES))
_FIXED_KERNELS = 6  # outside of the cells, in units of the kernels of an edge
_NOISE_BOUNDS = (-0.7, 1.5)  # of a cell's noise, in logarithms: a heavy tail has no smallest latency
_CHUNK = 512  # devices that are computed together: bounds the memory


@dataclass(frozen=True)
class Structure:
    """What one way of execution makes of all cells.

    Attributes
    ----------
    executed
        Which edges are executed, ``(cells, 6)``.
    operations
        Executed operation of every edge, one-hot, ``(cells, 30)``.
    counts
        ``(cells, 4)``: additions at nodes, changes between convolution and pooling on a path, nodes that convolutions
        read, convolutions.
    kernels
        Kernels that a framework launches, ``(cells,)``.
    pairs
        Pairs of edges with two given operations other than `none`, ``(cells, 375)``.
    """

    executed: NDArray[np.bool_]
    operations: NDArray[np.float32]
    counts: NDArray[np.float32]
    kernels: NDArray[np.float32]
    pairs: sparse.csr_array


@cache
def structures() -> tuple[Structure, ...]:
    """Dead code: what is left of all cells when they run eagerly, exported, and compiled.

    Frameworks that run eagerly (PyTorch) execute `none` as a multiplication by zero, and operations whose result is
    not used. Export drops `none`. Graph compilers (TFLite, OpenVINO, XLA) drop all that the output does not need.
    """
    live = space.live_edges(np.arange(space.N_ARCHS))
    return _structure(np.ones_like(live)), _structure(space.all_ops() != NONE), _structure(live)


def _structure(executed: NDArray[np.bool_]) -> Structure:
    from scipy import sparse

    ops = space.all_ops().astype(np.int64)
    one_hot = (ops[:, :, None] == np.arange(space.N_OPERATIONS)) & executed[:, :, None]  # (cells, edges, operations)
    joins = np.maximum(executed[:, 1:3].sum(axis=1) - 1, 0) + np.maximum(executed[:, 3:].sum(axis=1) - 1, 0)
    conv, pool = executed & ((ops == CONV_1X1) | (ops == CONV_3X3)), executed & (ops == POOL)
    changes = np.sum([(conv[:, a] & pool[:, b]) | (pool[:, a] & conv[:, b]) for a, b in _CHAINS], axis=0)
    read = np.sum([conv[:, edges].any(axis=1) for edges in ([0, 1, 3], [2, 4], [5])], axis=0)
    working = executed & (ops != NONE)
    rows, columns = [], []
    for k, (a, b) in enumerate(_PAIRS):
        both = np.flatnonzero(working[:, a] & working[:, b])
        rows.append(both)
        columns.append((k * space.N_OPERATIONS + ops[both, a]) * space.N_OPERATIONS + ops[both, b])
    entries = np.concatenate(rows), np.concatenate(columns)
    shape = len(ops), len(_PAIRS) * space.N_OPERATIONS**2
    pairs = sparse.csr_array((np.ones(len(entries[0]), dtype=np.float32), entries), shape=shape)
    counts = np.stack([joins, changes, read, conv.sum(axis=1)], axis=1).astype(np.float32)
    kernels = working.sum(axis=1) - 0.5 * (working & (ops == SKIP)).sum(axis=1) + (executed & (ops == NONE)).sum(axis=1)
    operations = one_hot.reshape(len(ops), -1).astype(np.float32)
    return Structure(executed, operations, counts, (kernels + joins).astype(np.float32), pairs)


def launch_floor(work: ArrayLike, launch: ArrayLike, sharpness: ArrayLike) -> NDArray[np.float64]:
    """Cost of a kernel: its work and its launch, added (sharpness 1) or, on GPUs that launch ahead, the larger one.

    Where launches dominate, small operations all cost the same, as on GPUs at batch size 1.
    """
    sharpness = np.asarray(sharpness)
    return (np.asarray(work) ** sharpness + np.asarray(launch) ** sharpness) ** (1 / sharpness)


def roofline(compute: ArrayLike, memory: ArrayLike) -> NDArray[np.float64]:
    """Work of a kernel: bound by arithmetic or by memory traffic, whichever takes longer (Williams et al. 2009).

    On processors with wide vector units and on GPUs, 1×1 convolutions and poolings are bound by memory.
    """
    return np.maximum(compute, memory)


def overlapped(total: NDArray[np.float32], critical: NDArray[np.float32], overlap: ArrayLike) -> NDArray[np.float32]:
    """Latency of parallel branches: between their sum (one stream) and the longest path (dataflow, several threads)."""
    share = np.asarray(overlap, dtype=np.float32)
    return (1 - share) * total + share * critical


def longest_path(costs: NDArray[np.float32], executed: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Longest path through a cell, ``(…, cells)``, from the costs of its edges ``(…, cells, 6)``."""
    c = np.where(executed, costs, np.float32(0))
    first = c[..., 0]
    second = np.maximum(c[..., 1], first + c[..., 2])
    return np.maximum(np.maximum(c[..., 3], first + c[..., 4]), second + c[..., 5])


def dispatched(latency: NDArray[np.float32], kernels: NDArray[np.float32], host: ArrayLike) -> NDArray[np.float32]:
    """Latency is never below the time that the host needs to dispatch all kernels, `host` each (slow CPU, fast GPU)."""
    return np.asarray((latency**4 + (kernels * np.asarray(host, dtype=np.float32)) ** 4) ** 0.25)


def throttled(latency: NDArray[np.float32], mean: ArrayLike, exponent: ArrayLike) -> NDArray[np.float32]:
    """Slow networks heat the chip and lower its clock (exponent above 0), or use caches and clocks better (below 0)."""
    mean = np.asarray(mean, dtype=np.float32)
    return np.asarray(latency * (latency / mean) ** np.asarray(exponent, dtype=np.float32))


def folded(framework: ArrayLike, mean: ArrayLike) -> NDArray[np.float32]:
    """What is left of a network that always puts out the same: compilers (TFLite) reduce it to a constant.

    This is so if no path of a cell leads from its input to its output. Only the cost of a call remains.
    """
    return np.asarray(np.asarray(framework) + 0.002 * np.asarray(mean), dtype=np.float32)


def noisy(
    latency: NDArray[np.float32], scale: NDArray[np.float64], degrees: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.float32]:
    """Relative noise of each cell (Student's t): placement in memory, and clocks that no measurement controls."""
    normal = rng.standard_normal(latency.shape, dtype=np.float32)
    tail = degrees[:, None].astype(np.float32)
    student = normal / np.sqrt(2 * rng.standard_gamma(tail / 2, latency.shape, dtype=np.float32) / tail)
    return np.asarray(latency * np.exp(np.clip(scale[:, None].astype(np.float32) * student, *_NOISE_BOUNDS)))


def slowed(
    latency: NDArray[np.float32], rate: NDArray[np.float64], size: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.float32]:
    """Spikes: other programs of a phone, or other guests of a server, slow single cells down."""
    latency = latency.copy()
    hit = np.flatnonzero((rng.random(latency.shape, dtype=np.float32) < rate[:, None]).ravel())
    sizes = np.repeat(size, latency.shape[1])[hit] if len(hit) else np.empty(0)
    latency.ravel()[hit] *= np.exp(sizes * rng.standard_exponential(len(hit))).astype(np.float32)
    return latency


def rounded(latency: NDArray[np.float32], step: NDArray[np.floating]) -> NDArray[np.float32]:
    """Readings of a timer that counts whole steps, at least one, as the benchmarks of phones do (whole ms)."""
    return np.asarray(np.maximum(np.round(latency / step), 1) * step)


@dataclass(frozen=True)
class Simulated:
    """Parameters of n simulated devices, ``(n,)`` each unless said. Costs are in the unit of the module.

    Attributes
    ----------
    execution
        `EAGER`, `EXPORTED` or `COMPILED`.
    pointwise, pooling, memory
        Computing time of an edge's 1×1 convolutions and of its poolings, and time of one pass over its activations.
    copies, activations, additions
        Whether `skip_connect` copies, ReLU is a kernel of its own, and an addition is one (otherwise it is fused).
    shared_activation
        Whether convolutions with the same input share a ReLU.
    launch, sharpness, convolution_launches
        Time to launch the kernels of an edge, how it adds to their work, and launches of a convolution (with its batch
        norm) in units of a launch.
    conversion
        Cost of a change of memory layout, or of processor, between convolution and pooling.
    edge_factors
        Relative cost of operations on edges, ``(n, 6, 5)``: where a tensor is in a cache, and which kernel is chosen.
    pair_costs
        What two operations in one cell cost together, relative to the mean operation, ``(n, 375)``: fusion, cache
        misses, and all that is not modelled.
    overlap
        See `overlapped`.
    overhead, framework
        Cost of stem, reduction blocks and classifier, in units of the convolutions of an edge; cost of a call.
    folding
        Whether a network whose cells put out zeros is compiled to a constant; see `folded`.
    host
        Time to dispatch a kernel relative to the mean latency; see `dispatched`.
    exponent
        See `throttled`.
    noise, tail
        Relative scale of a cell's noise, and its degrees of freedom (Student's t).
    spike_rate, spike_size
        Share of cells that other work slows down, and the mean of the logarithm of the factor.
    step
        Step of the timer relative to the mean latency; 0 for an exact timer.
    """

    execution: NDArray[np.int64]
    pointwise: NDArray[np.float64]
    pooling: NDArray[np.float64]
    memory: NDArray[np.float64]
    copies: NDArray[np.bool_]
    activations: NDArray[np.bool_]
    additions: NDArray[np.bool_]
    shared_activation: NDArray[np.bool_]
    launch: NDArray[np.float64]
    sharpness: NDArray[np.float64]
    convolution_launches: NDArray[np.float64]
    conversion: NDArray[np.float64]
    edge_factors: NDArray[np.float32]
    pair_costs: NDArray[np.float32]
    overlap: NDArray[np.float64]
    overhead: NDArray[np.float64]
    framework: NDArray[np.float64]
    folding: NDArray[np.bool_]
    host: NDArray[np.float64]
    exponent: NDArray[np.float64]
    noise: NDArray[np.float64]
    tail: NDArray[np.float64]
    spike_rate: NDArray[np.float64]
    spike_size: NDArray[np.float64]
    step: NDArray[np.float64]

    @classmethod
    def draw(cls, n: int, rng: np.random.Generator) -> Self:
        """Draw n devices."""

        def log_uniform(low: float, high: float) -> NDArray[np.float64]:
            return np.exp(rng.uniform(np.log(low), np.log(high), n))

        def chance(p: float | NDArray[np.float64]) -> NDArray[np.bool_]:
            return rng.random(n) < p

        execution = rng.choice(3, n, p=[0.4, 0.2, 0.4])
        # eager frameworks launch batch norm and ReLU on their own, in one stream, whatever the edge
        eager = execution == EAGER
        simple = chance(np.where(eager, 0.6, 0.3))  # a device of few mechanisms
        launch = np.where(chance(np.where(eager, 0.7, 0.9)), log_uniform(1e-3, 0.3), log_uniform(0.3, 20))
        launch_bound = launch > 0.3
        # Phones run other programs, which slow single cells down, and have coarse timers. They compute slowly, so that
        # launches cost little. Where launches cost much, as on GPUs, programs may round, but spikes are rare.
        phone = chance(0.2) & ~launch_bound
        coarse = phone | (chance(0.2) & launch_bound)
        edge, operation = (np.abs(rng.normal(0, width, (n, 1, 1))) * ~simple[:, None, None] for width in (0.08, 0.05))
        factors = np.exp(edge * rng.standard_normal((n, 6, 1)) + operation * rng.standard_normal((n, 6, 5)))
        # a common width, so that pairs matter on some devices and not on others
        pair_width = np.abs(rng.normal(0, 0.03, (n, 1))) * ~simple[:, None]
        return cls(
            execution=execution,
            pointwise=9 ** -rng.uniform(-0.05, 1, n),  # 1/9 at equal efficiency
            pooling=log_uniform(0.01, 0.8),
            memory=log_uniform(0.003, 0.3),
            copies=chance(np.where(eager, 0.15, 0.3)),
            activations=chance(np.where(eager, 0.8, 0.3)),
            additions=chance(0.75),
            shared_activation=chance(0.5),
            launch=launch,
            sharpness=rng.uniform(1, 4, n),
            convolution_launches=np.where(eager, log_uniform(1.3, 8), 1),
            conversion=np.where(chance(0.4) & ~eager, log_uniform(0.01, 1), 0),
            edge_factors=factors.astype(np.float32),
            pair_costs=(pair_width * rng.standard_normal((n, len(_PAIRS) * 25))).astype(np.float32),
            overlap=np.where(chance(np.where(eager, 0.1, 0.4)), rng.uniform(0, 1, n), 0),
            overhead=np.where(chance(0.8), rng.lognormal(np.log(0.4), 0.6, n), log_uniform(0.001, 0.3)),
            framework=np.where(chance(0.5), log_uniform(0.01, 5), 0),
            folding=chance(0.4) & (execution == COMPILED),
            host=np.where(chance(0.3), rng.uniform(0.2, 1.3, n), 0),
            exponent=rng.normal(0, 0.05, n) * ~simple,
            noise=10 ** rng.triangular(-2.8, -1.8, -0.75, n),
            tail=log_uniform(8, 60),
            spike_rate=np.where(phone, log_uniform(0.01, 0.1), np.where(chance(0.25), log_uniform(5e-5, 2e-3), 0)),
            spike_size=np.where(phone, rng.uniform(0.1, 0.25, n), rng.uniform(0.03, 0.15, n)),
            step=np.where(coarse, 1 / log_uniform(5, 100), 0),
        )

    def operation_costs(self) -> NDArray[np.float64]:
        """Cost of each operation on one edge before the edge's own factor, ``(n, 5)``."""
        launches, traffic = self.convolution_launches, 2 * self.memory
        cost = np.zeros((len(self), space.N_OPERATIONS))
        cost[:, CONV_3X3] = self._kernel(roofline(1, traffic), launches)
        cost[:, CONV_1X1] = self._kernel(roofline(self.pointwise, traffic), launches)
        cost[:, POOL] = self._kernel(roofline(self.pooling, self.memory))
        cost[:, SKIP] = np.where(self.copies, self._kernel(self.memory), 0)
        cost[:, NONE] = np.where(self.execution == EAGER, self._kernel(self.memory), 0)
        return cost

    def _kernel(self, work: ArrayLike, launches: float | NDArray[np.float64] = 1.0) -> NDArray[np.float64]:
        return launch_floor(work, self.launch * launches, self.sharpness)

    def latency(self, archs: ArrayLike | None = None) -> NDArray[np.float32]:
        """Latencies without noise, ``(n, cells)``, of the cells with these NATS indices; of all cells if None."""
        cells = np.arange(space.N_ARCHS) if archs is None else np.asarray(archs, dtype=np.int64)
        latency = np.empty((len(self), len(cells)), dtype=np.float32)
        for execution, structure in enumerate(structures()):
            same = np.flatnonzero(self.execution == execution)
            for part in (same[k : k + _CHUNK] for k in range(0, len(same), _CHUNK)):
                latency[part] = self[part]._latency(structure, cells)
        return latency

    def _latency(self, structure: Structure, cells: NDArray[np.int64]) -> NDArray[np.float32]:
        """Latencies of devices that execute cells in the same way, ``(n, cells)``."""
        costs = self.operation_costs()  # (n, operations)
        on_edges = (costs[:, None, :] * self.edge_factors).astype(np.float32)  # (n, edges, operations)
        activation = np.where(self.activations, self._kernel(self.memory), 0)
        others = (
            np.where(self.additions, self._kernel(1.5 * self.memory), 0),
            self.conversion,
            activation * self.shared_activation,
            activation * ~self.shared_activation,
        )
        counted = np.stack(others, axis=1).astype(np.float32)  # (n, 4)
        overhead = self.overhead * (0.7 * costs[:, CONV_3X3] + 0.3 * costs[:, CONV_1X1]) + self.framework
        flat = on_edges.reshape(len(self), -1)  # (n, 30)
        typical = (flat @ structure.operations.mean(axis=0) + counted @ structure.counts.mean(axis=0) + overhead)[
            :, None
        ]
        pairs = self.pair_costs * costs[:, 1:].mean(axis=1, keepdims=True).astype(np.float32)  # (n, 375)

        total = flat @ structure.operations[cells].T  # (n, cells)
        parallel = np.flatnonzero(self.overlap)
        if len(parallel):
            ops, executed = space.all_ops()[cells], structure.executed[cells]
            for k in parallel:  # one by one: (cells, edges) of all devices would be large
                critical = longest_path(on_edges[k][np.arange(space.N_EDGES), ops], executed)
                total[k] = overlapped(total[k], critical, self.overlap[k])
        total += counted @ structure.counts[cells].T + (structure.pairs[cells] @ pairs.T).T
        latency = np.maximum(total, 0) + overhead[:, None].astype(np.float32)
        kernels = (structure.kernels[cells] + _FIXED_KERNELS) / (structure.kernels.mean() + _FIXED_KERNELS)
        latency = dispatched(latency, kernels, self.host[:, None] * typical)
        latency = throttled(latency, typical, self.exponent[:, None])
        constant = self.folding[:, None] & ~structure.executed[cells].any(axis=1)
        return np.where(constant, folded(self.framework[:, None], typical), latency)

    def measure(self, latency: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
        """What one measurement of each cell shows, ``(n, cells)``: latencies with noise, spikes and the timer's step.

        Parameters
        ----------
        latency
            ``(n, cells)`` of random cells, or of all: the timer's step is relative to their mean.
        """
        seen = slowed(noisy(latency, self.noise, self.tail, rng), self.spike_rate, self.spike_size, rng)
        coarse = self.step > 0
        step = (self.step[coarse] * latency[coarse].mean(axis=1))[:, None].astype(np.float32)
        seen[coarse] = rounded(seen[coarse], step)
        return seen

    def __len__(self) -> int:
        return len(self.execution)

    def __getitem__(self, chosen: NDArray[np.int64] | NDArray[np.bool_] | slice) -> Self:
        """Some of the devices."""
        return type(self)(**{one.name: getattr(self, one.name)[chosen] for one in fields(self)})


def fingerprint() -> NDArray[np.float64]:
    """Mean logarithms of what measurements of 16 devices show, ``(16,)``.

    The stored prior and the checkpoints of trainings hold them: a change of this module changes these numbers.
    """
    rng = np.random.default_rng(0)
    drawn = Simulated.draw(16, rng)
    seen = drawn.measure(drawn.latency(np.arange(0, space.N_ARCHS, 25)), rng)
    return np.log(seen.astype(np.float64)).mean(axis=1)
