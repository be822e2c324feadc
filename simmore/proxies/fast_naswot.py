"""NASWOT of many cells: `proxies.naswot` with all that can be shared and nothing that is rounded away.

- Cells with one reduced cell share its forward pass; their kernels differ in how often each node counts.
- A node is coded once, however many convolutions read it, and goes through one ReLU.
- The kernel is a product of int8 matrices, exact; its determinant is float64's.
- Channels last, no autograd, and batch norm without running statistics.
- The stem, and what the first cell makes of it, is the same for all cells, and computed once a process.
"""

from __future__ import annotations

from functools import cache, lru_cache

from simmore import proxies, space
from simmore.errors import needs
from simmore.proxies import supernetwork
from simmore.proxies.supernetwork import Inputs
from simmore.space.canonical import CONV_3X3, POOL, SKIP, Ops

with needs("torch"):
    import torch
    from torch import Tensor
    from torch.nn import functional


class _Codes:
    """Agreements of binary codes, summed over tensors: ``K = 2 C Cᵀ − d − dᵀ + bits``, d the diagonal of C Cᵀ."""

    def __init__(self, batch: int) -> None:
        self.overlap = torch.zeros(batch, batch, dtype=torch.int32)
        self.bits = 0

    def add(self, node: Tensor) -> None:
        """Count the codes of one node, ``(batch, channels, size, size)``."""
        codes = (node > 0).permute(0, 2, 3, 1).flatten(1)  # the order of the bits does not matter
        self.overlap += _overlap(codes.view(torch.int8))
        self.bits += codes.shape[1]

    def agreements(self) -> Tensor:
        """K, ``(batch, batch)``, whole numbers in int32."""
        ones = self.overlap.diagonal()
        return 2 * self.overlap - ones[:, None] - ones[None, :] + self.bits


def _overlap(codes: Tensor) -> Tensor:
    """``codes @ codes.T`` of an int8 matrix of zeros and ones, exact, in int32."""
    if _has_int8_product():
        return torch._int_mm(codes, codes.T)
    as_float = codes.float()
    return (as_float @ as_float.T).int()


@cache
def _has_int8_product() -> bool:
    """Whether this torch multiplies int8 matrices on this processor, and does it right."""
    try:
        ones = torch.ones(32, 512, dtype=torch.int8)
        return bool((torch._int_mm(ones, ones.T) == 512).all())
    except (AttributeError, RuntimeError):
        return False


def naswot_class(ops: Ops, seed: int, size: int, batch: int = 64, inputs: Inputs = "noise") -> dict[int, float]:
    """NASWOT of all cells that share one reduced cell (a key of `space.canonical_classes`), by NATS index.

    Parameters
    ----------
    ops
        A key of `space.canonical_classes`.
    seed
        Of the super-network and of the images.
    size
        Height and width of an image, pixels.
    batch
        Number of images.
    inputs
        What they show, see `supernetwork.images`.

    Returns
    -------
    dict
        −inf where the kernel is singular.
    """
    members = {arch: space.canonical_form(arch) for arch in space.canonical_classes()[ops]}
    read = [any(one.reads[node] for one in members.values()) for node in (0, 1, 2)]
    with torch.inference_mode():
        run = _run(seed, size, batch, inputs)
        common, zero_bits = _Codes(batch), 0
        codes = [_Codes(batch) if wanted else None for wanted in read]
        feature = run.stem
        for stage in range(3):
            if stage:
                feature = run.reduction("AB"[stage - 1], feature, common)
            for position in range(stage * supernetwork.CELLS_PER_STAGE, (stage + 1) * supernetwork.CELLS_PER_STAGE):
                zero_bits += feature[0].numel()
                feature = run.cell(ops, position, feature, codes)
        common.add(_normalised(feature))
        kernel = common.agreements()
        by_node = [0 if one is None else one.agreements() for one in codes]
        return {
            arch: proxies.log_abs_det(
                kernel
                + sum(count * counts for count, counts in zip(one.reads, by_node, strict=True))
                + one.reads_of_zero * zero_bits
            )
            for arch, one in members.items()
        }


class _Run:
    """Forward passes of one seed's super-network on its images; keeps what all cells have in common."""

    def __init__(self, seed: int, size: int, batch: int, inputs: Inputs) -> None:
        last = torch.channels_last
        self.weights = {
            name: weight.contiguous(memory_format=last) if weight.ndim == 4 else weight
            for name, weight in supernetwork.weights(seed).items()
        }
        shown = supernetwork.images(seed, size, batch, inputs).contiguous(memory_format=last)
        self.stem = _normalised(functional.conv2d(shown, self.weights["stem"], padding=1))
        self.stem_codes = _Codes(batch)
        self.stem_codes.add(self.stem)
        self.first: dict[tuple[int, int], Tensor] = {}  # by edge and operation: what follows from the stem

    def cell(self, ops: Ops, position: int, feature: Tensor, codes: list[_Codes | None]) -> Tensor:
        """Output of one reduced cell; adds the codes of its nodes 0, 1 and 2 where they are wanted."""
        nodes: list[Tensor | None] = [feature, None, None, None]
        rectified: dict[int, Tensor] = {}  # by node
        ours = [False] * 4  # whether a node's tensor is nobody else's, so that it may be added to
        for edge, (source, target) in enumerate(space.EDGES):  # all edges into a node precede those out of it
            op, value = ops[edge], nodes[source]
            if op == 0 or value is None:
                continue
            shared = op == SKIP or (position == 0 and source == 0)
            if op == SKIP:
                term = value
            elif shared:  # every cell begins with the stem
                if (edge, op) not in self.first:
                    self.first[edge, op] = self._edge(op, position, edge, value, {}, source)
                term = self.first[edge, op]
            else:
                term = self._edge(op, position, edge, value, rectified, source)
            total = nodes[target]
            if total is None:
                nodes[target], ours[target] = term, not shared
            elif ours[target]:
                total.add_(term)
            else:
                nodes[target], ours[target] = total + term if shared else term.add_(total), True
        for node, counted in enumerate(codes):
            value = nodes[node]
            if counted is not None and value is not None:
                if value is self.stem:
                    counted.overlap += self.stem_codes.overlap
                    counted.bits += self.stem_codes.bits
                else:
                    counted.add(value)
        return torch.zeros_like(feature) if nodes[3] is None else nodes[3]

    def _edge(
        self, op: int, position: int, edge: int, value: Tensor, rectified: dict[int, Tensor], source: int
    ) -> Tensor:
        """One operation on a node; a node goes through its ReLU once, and is then in `rectified`."""
        if op == POOL:
            return _average_3x3(value)
        if source not in rectified:
            rectified[source] = value.relu()
        weight = self.weights[f"{position}.{edge}.{op}"]
        return _normalised(functional.conv2d(rectified[source], weight, padding=1 if op == CONV_3X3 else 0))

    def reduction(self, block: str, feature: Tensor, codes: _Codes) -> Tensor:
        """Output of a reduction block, half the size and twice the channels; counts its two ReLUs."""
        codes.add(feature)
        inside = functional.conv2d(feature.relu(), self.weights[f"{block}.a"], stride=2, padding=1)
        inside = _normalised(inside)
        codes.add(inside)
        inside = _normalised(functional.conv2d(inside.relu(), self.weights[f"{block}.b"], padding=1))
        return inside.add_(functional.conv2d(functional.avg_pool2d(feature, 2), self.weights[f"{block}.down"]))


@lru_cache(maxsize=1)
def _run(seed: int, size: int, batch: int, inputs: Inputs) -> _Run:
    """Build the run of one seed and its images, or give the last one again."""
    return _Run(seed, size, batch, inputs)


def _normalised(values: Tensor) -> Tensor:
    """Batch norm at initialisation, with the statistics of the batch."""
    return functional.batch_norm(values, None, None, training=True)


def _average_3x3(values: Tensor) -> Tensor:
    """3×3 average pooling that leaves the padding out, as sums of shifted rows and columns.

    Several times as fast as torch's own in this layout.
    """
    rows = values.clone(memory_format=torch.preserve_format)
    rows[:, :, 1:] += values[:, :, :-1]
    rows[:, :, :-1] += values[:, :, 1:]
    total = rows.clone(memory_format=torch.preserve_format)
    total[:, :, :, 1:] += rows[:, :, :, :-1]
    total[:, :, :, :-1] += rows[:, :, :, 1:]
    return total.mul_(supernetwork.inverse_counts(values.shape[-1], values.dtype))
