"""NASWOT of many cells: the same values as `proxies.naswot`, in less time.

- Cells with the same canonical form share its forward pass. Their kernels differ in how often each node counts.
- A node has one ReLU and one code, however many convolutions read it.
- The kernel is an exact product of int8 matrices.
- Tensors are channels-last, without autograd and without running statistics in batch norm.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, lru_cache

from simmore import space
from simmore.errors import needs
from simmore.proxies import supernetwork
from simmore.proxies.definitions import log_abs_det
from simmore.proxies.supernetwork import Inputs
from simmore.space.canonical import CONV_3X3, NONE, POOL, SKIP, Ops

with needs("torch"):
    import torch
    from torch import Tensor
    from torch.nn import functional


def naswot(ops: Ops, seed: int, size: int, batch: int = 64, inputs: Inputs = "noise") -> dict[int, float]:
    """NASWOT of all cells with one canonical form, by NATS index.

    Parameters
    ----------
    ops
        Digits of the canonical form, a key of `space.canonical_classes`.
    seed
        Of the super-network and of the images.
    size
        Height and width of an image in pixels.
    batch
        Number of images.
    inputs
        Kind of images, see `supernetwork.images`.

    Returns
    -------
    dict
        −inf where the kernel is singular.
    """
    forms = {arch: space.canonical_form(arch) for arch in space.canonical_classes()[ops]}
    read = [any(form.reads[node] for form in forms.values()) for node in (0, 1, 2)]
    with torch.inference_mode():
        weights, feature = stem(seed, size, batch, inputs)
        outside = _Agreements(batch)  # of the ReLUs outside the cells, which the networks of all cells have
        by_node = [_Agreements(batch) for _ in read]
        zero_bits = 0
        for block in supernetwork.blocks():
            if isinstance(block, str):
                feature = _reduction(weights, block, feature, outside)
                continue
            zero_bits += feature[0].numel()
            nodes = cell(weights, block, ops, feature)
            for value, is_read, agreements in zip(nodes, read, by_node, strict=False):
                if is_read and value is not None:
                    agreements.add(value)
            feature = torch.zeros_like(feature) if nodes[3] is None else nodes[3]
        outside.add(normalised(feature))
        kernel, kernels = outside.kernel(), [agreements.kernel() for agreements in by_node]
        return {
            arch: log_abs_det(
                kernel
                + sum(count * of_node for count, of_node in zip(form.reads, kernels, strict=True))
                + form.reads_of_zero * zero_bits
            )
            for arch, form in forms.items()
        }


class _Agreements:
    """Agreements of binary codes, summed over ReLUs: ``K = 2 C Cᵀ − d − dᵀ + bits`` with d the diagonal of C Cᵀ."""

    def __init__(self, batch: int) -> None:
        self._overlap = torch.zeros(batch, batch, dtype=torch.int32)
        self._bits = 0

    def add(self, node: Tensor) -> None:
        """Add the codes of one node ``(batch, channels, size, size)``."""
        codes = (node > 0).permute(0, 2, 3, 1).flatten(1)  # any order of bits gives the same sum
        self._overlap += _overlap(codes.view(torch.int8))
        self._bits += codes.shape[1]

    def kernel(self) -> Tensor:
        """K, ``(batch, batch)``, whole numbers in int32."""
        ones = self._overlap.diagonal()
        return 2 * self._overlap - ones[:, None] - ones[None, :] + self._bits


def _overlap(codes: Tensor) -> Tensor:
    """``codes @ codes.T`` of an int8 matrix of zeros and ones, exact, in int32."""
    if _has_int8_product():
        return torch._int_mm(codes, codes.T)
    as_float = codes.float()
    return (as_float @ as_float.T).int()


@cache
def _has_int8_product() -> bool:
    """Whether this torch multiplies int8 matrices correctly on this processor."""
    try:
        ones = torch.ones(32, 512, dtype=torch.int8)
        return bool((torch._int_mm(ones, ones.T) == 512).all())
    except (AttributeError, RuntimeError):
        return False


@lru_cache(maxsize=1)
def stem(seed: int, size: int, batch: int, inputs: Inputs) -> tuple[Mapping[str, Tensor], Tensor]:
    """Weights of the super-network and the output of its stem, channels-last."""
    last = torch.channels_last
    weights = {
        name: weight.contiguous(memory_format=last) if weight.ndim == 4 else weight
        for name, weight in supernetwork.weights(seed).items()
    }
    shown = supernetwork.images(seed, size, batch, inputs).contiguous(memory_format=last)
    return weights, normalised(functional.conv2d(shown, weights["stem"], padding=1))


def cell(
    weights: Mapping[str, Tensor],
    position: int,
    ops: Ops,
    feature: Tensor,
    average: Callable[[Tensor], Tensor] | None = None,
) -> list[Tensor | None]:
    """Values of the four nodes of a canonical form, None for zero.

    `average` is 3×3 average pooling; `average_3x3` if None, which autograd does not follow cheaply.
    """
    nodes: list[Tensor | None] = [feature, None, None, None]
    rectified: dict[int, Tensor] = {}  # by node
    for edge, (source, target) in enumerate(space.EDGES):  # edges into a node precede those out of it
        op, value = ops[edge], nodes[source]
        if op == NONE or value is None:
            continue
        if op == SKIP:
            term = value
        elif op == POOL:
            term = (average or average_3x3)(value)
        else:
            if source not in rectified:
                rectified[source] = value.relu()
            weight = weights[f"{position}.{edge}.{op}"]
            term = normalised(functional.conv2d(rectified[source], weight, padding=1 if op == CONV_3X3 else 0))
        before = nodes[target]
        nodes[target] = term if before is None else before + term
    return nodes


def _reduction(weights: Mapping[str, Tensor], block: str, feature: Tensor, agreements: _Agreements) -> Tensor:
    """Output of a reduction block: half the size, twice the channels. Adds the codes of its two ReLUs."""
    agreements.add(feature)
    inside = normalised(functional.conv2d(feature.relu(), weights[f"{block}.a"], stride=2, padding=1))
    agreements.add(inside)
    inside = normalised(functional.conv2d(inside.relu(), weights[f"{block}.b"], padding=1))
    return inside.add_(functional.conv2d(functional.avg_pool2d(feature, 2), weights[f"{block}.down"]))


def normalised(values: Tensor) -> Tensor:
    """Batch norm at initialisation, with the statistics of the batch."""
    return functional.batch_norm(values, None, None, training=True)


def average_3x3(values: Tensor) -> Tensor:
    """3×3 average pooling without the padding."""
    return sums_3x3(values).mul_(inverse_counts(values.shape[-1], values.dtype))


def sums_3x3(values: Tensor) -> Tensor:
    """Sums over 3×3 windows, as sums of shifted rows and columns.

    It is several times as fast as torch's own pooling in the channels-last layout.
    """
    rows = values.clone(memory_format=torch.preserve_format)
    rows[:, :, 1:] += values[:, :, :-1]
    rows[:, :, :-1] += values[:, :, 1:]
    total = rows.clone(memory_format=torch.preserve_format)
    total[:, :, :, 1:] += rows[:, :, :, :-1]
    total[:, :, :, :-1] += rows[:, :, :, 1:]
    return total


@cache
def inverse_counts(size: int, dtype: torch.dtype) -> Tensor:
    """One over the number of pixels in each 3×3 window, ``(1, 1, size, size)``."""
    inside = torch.full((size,), 3.0, dtype=dtype)
    inside[[0, -1]] = 2.0
    return 1 / (inside[:, None] * inside[None, :])[None, None]
