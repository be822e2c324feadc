"""LogSynflow of many cells: the same values as `proxies.log_synflow`, without autograd.

Without batch norm, with positive weights and an image of ones, each ReLU returns its input: the network is linear.
In the forward pass, a convolution is a matrix product with the windows of its input as columns. The backward pass
multiplies the gradient by the same columns. Edges that are not in the canonical form have gradient zero and add
nothing, so cells with the same canonical form have the same LogSynflow.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from simmore import space
from simmore.errors import needs
from simmore.proxies import supernetwork
from simmore.proxies.fast_naswot import inverse_counts
from simmore.space.canonical import CONV_1X1, NONE, POOL, SKIP, Ops

with needs("torch"):
    import torch
    from torch import Tensor
    from torch.nn import functional


@torch.inference_mode()
def log_synflow(ops: Ops, seed: int, size: int, n_classes: int) -> float:
    """LogSynflow of all cells with one canonical form.

    Parameters
    ----------
    ops
        Digits of the canonical form, a key of `space.canonical_classes`.
    seed
        Of the super-network.
    size
        Height and width of the image in pixels.
    n_classes
        Of the classifier, at most 120.
    """
    weights = _positive(seed)
    stem = _columns(torch.ones(3, size, size, dtype=torch.float64))
    feature = (weights["stem"] @ stem).view(-1, size, size)
    inputs: list[tuple[int | str, Any]] = []  # of the convolutions of each block
    for block in supernetwork.blocks():
        output, seen = (
            _reduction(weights, block, feature) if isinstance(block, str) else _cell(weights, block, ops, feature)
        )
        if output is None:  # the logits are zero, and so are all gradients
            return 0.0
        inputs.append((block, seen))
        feature = output
    classifier = weights["classifier"][:n_classes].sum(dim=0)  # (channels,)
    total = float(classifier @ feature.mean(dim=(1, 2)).log1p())
    gradient = (classifier / feature[0].numel())[:, None, None].expand_as(feature)
    for block, seen in reversed(inputs):
        if isinstance(block, str):
            gradient, part = _reduction_back(weights, block, seen, gradient)
        else:
            gradient, part = _cell_back(weights, block, ops, seen, gradient)
        total += part
    return total + _sum(weights["stem"], stem, gradient)


def _sum(weight: Tensor, columns: Tensor, gradient: Tensor) -> float:
    """``Σ w · log(1 + ∂R/∂w)`` of one convolution, from its input as columns and the gradient of its output."""
    return float((weight * (gradient.flatten(1) @ columns.T).log1p_()).sum())


def _cell(
    weights: Mapping[str, Tensor], position: int, ops: Ops, feature: Tensor
) -> tuple[Tensor | None, list[dict[int, Tensor]]]:
    """Output of a canonical form (None: zero), and the input of its convolutions as columns, by node and operation."""
    nodes: list[Tensor | None] = [feature, None, None, None]
    seen: list[dict[int, Tensor]] = [{}, {}, {}]
    for edge, (source, target) in enumerate(space.EDGES):
        op, value = ops[edge], nodes[source]
        if op == NONE or value is None:
            continue
        if op == SKIP:
            term = value
        elif op == POOL:
            term = _average_3x3(value)
        else:
            if op not in seen[source]:
                seen[source][op] = value.flatten(1) if op == CONV_1X1 else _columns(value)
            term = (weights[f"{position}.{edge}.{op}"] @ seen[source][op]).view_as(value)
        before = nodes[target]
        nodes[target] = term if before is None else before + term
    return nodes[3], seen


def _cell_back(
    weights: Mapping[str, Tensor], position: int, ops: Ops, seen: list[dict[int, Tensor]], gradient: Tensor
) -> tuple[Tensor, float]:
    """Gradient of a cell's input, and the sum over the cell's weights."""
    gradients: list[Tensor | None] = [None, None, None, gradient]
    total = 0.0
    for node in (2, 1, 0):
        back = torch.zeros_like(gradient)
        windows: Tensor | None = None
        for edge, (source, target) in enumerate(space.EDGES):
            op, above = ops[edge], gradients[target]
            if source != node or op == NONE or above is None:
                continue
            if op == SKIP:
                back += above
            elif op == POOL:
                back += _average_3x3_back(above)
            else:
                weight = weights[f"{position}.{edge}.{op}"]
                total += _sum(weight, seen[node][op], above)
                share = weight.T @ above.flatten(1)
                if op == CONV_1X1:
                    back += share.view_as(back)
                else:
                    windows = share if windows is None else windows.add_(share)
        if windows is not None:
            back += _uncolumns(windows, back.shape[-1])
        gradients[node] = back
    return back, total


def _reduction(weights: Mapping[str, Tensor], block: str, feature: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Output of a reduction block, and the inputs of its three convolutions as columns."""
    size = feature.shape[-1] // 2
    first = _columns(feature, stride=2)
    second = _columns((weights[f"{block}.a"] @ first).view(-1, size, size))
    halved = functional.avg_pool2d(feature[None], 2)[0].flatten(1)
    output = weights[f"{block}.b"] @ second + weights[f"{block}.down"] @ halved
    return output.view(-1, size, size), [first, second, halved]


def _reduction_back(
    weights: Mapping[str, Tensor], block: str, seen: list[Tensor], gradient: Tensor
) -> tuple[Tensor, float]:
    """Gradient of the block's input, and the sum over the block's weights."""
    first, second, halved = seen
    size = gradient.shape[-1]
    a, b, down = (weights[f"{block}.{name}"] for name in ("a", "b", "down"))
    total = _sum(b, second, gradient) + _sum(down, halved, gradient)
    inside = _uncolumns(b.T @ gradient.flatten(1), size)
    total += _sum(a, first, inside)
    back = _uncolumns(a.T @ inside.flatten(1), 2 * size, stride=2)
    shares = (down.T @ gradient.flatten(1)).view(-1, size, size)
    return back + shares.repeat_interleave(2, 1).repeat_interleave(2, 2) / 4, total


@lru_cache(maxsize=1)
def _positive(seed: int) -> Mapping[str, Tensor]:
    """Absolute weights of one seed as matrices ``(outputs, inputs)``, float64."""
    return {name: weight.double().abs().flatten(1) for name, weight in supernetwork.weights(seed).items()}


def _columns(image: Tensor, stride: int = 1) -> Tensor:
    """3×3 windows of ``(channels, size, size)`` as columns ``(channels · 9, windows)``, padded with zeros."""
    return functional.unfold(image[None], 3, padding=1, stride=stride)[0]


def _uncolumns(columns: Tensor, size: int, stride: int = 1) -> Tensor:
    """Transpose of `_columns`: sums of columns, ``(channels, size, size)``."""
    return functional.fold(columns[None], size, 3, padding=1, stride=stride)[0]


def _average_3x3(image: Tensor) -> Tensor:
    """3×3 average pooling of one image, without the padding."""
    return functional.avg_pool2d(image[None], 3, 1, 1, count_include_pad=False)[0]


def _average_3x3_back(gradient: Tensor) -> Tensor:
    """Transpose of `_average_3x3`."""
    shares = gradient * inverse_counts(gradient.shape[-1], gradient.dtype)[0]
    return functional.avg_pool2d(shares[None], 3, 1, 1, divisor_override=1)[0]
