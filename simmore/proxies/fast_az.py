"""AZ-NAS's terms of many cells: the same values as `proxies.az_nas`, in less time.

- Cells with the same canonical form share the work. An edge that does not lead to the output is left out.
- Only gradients of features are computed, no gradients of weights.
- A gradient of random signs depends on the position of a cell alone, so all cells share it.
- Covariances and outer products are products of matrices with one row per pixel, in float32. Their spectra are float64.

The number of classes has no effect on these terms, and complexity is `space.live_flops`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np

from simmore import space
from simmore.errors import needs
from simmore.proxies import fast_naswot, supernetwork
from simmore.proxies.definitions import random_signs, sign_generator, spectral_entropy, trainability
from simmore.space.canonical import NONE, Ops

with needs("torch"):
    import torch
    from torch import Tensor
    from torch.nn import functional


def az_nas(ops: Ops, seed: int, size: int, batch: int = 32) -> tuple[float, float, float]:
    """Expressivity, progressivity and trainability of all cells with one canonical form.

    Parameters
    ----------
    ops
        Digits of the canonical form, a key of `space.canonical_classes`.
    seed
        Of the super-network, of the noise images and of the random signs.
    size
        Height and width of an image in pixels.
    batch
        Number of images.

    Returns
    -------
    tuple of float
        Trainability is −inf for a cell whose output does not depend on its input, see `proxies.az_nas`.
    """
    live = tuple(np.where(space.live_edges(int(space.to_archs(ops))), ops, NONE).tolist())
    weights, feature = _start(seed, size, batch)
    entropies, gains = [spectral_entropy(_covariance(feature))], []
    for block, signs in zip(supernetwork.blocks(), _signs(seed, size, batch), strict=True):
        source = feature.detach().requires_grad_()
        output = _reduction(weights, block, source) if isinstance(block, str) else _cell(weights, block, live, source)
        if output is None:
            feature, gradient = torch.zeros_like(feature), None
        else:
            feature = output
            (gradient,) = torch.autograd.grad(output, source, signs)
        gains.append(trainability(_outer_product(signs, gradient)) if gradient is not None else -np.inf)
        entropies.append(spectral_entropy(_covariance(feature)))
    return float(sum(entropies)), float(np.diff(entropies).min()), float(sum(gains) / len(gains))


@lru_cache(maxsize=1)
def _start(seed: int, size: int, batch: int) -> tuple[Mapping[str, Tensor], Tensor]:
    """Weights of the super-network and the output of its stem; autograd cannot follow NASWOT's own tensors."""
    weights, feature = fast_naswot.stem(seed, size, batch, "noise")
    return {name: weight.clone() for name, weight in weights.items()}, feature.clone()


def _cell(weights: Mapping[str, Tensor], position: int, ops: Ops, feature: Tensor) -> Tensor | None:
    """Output of a canonical form, None for zero."""
    return fast_naswot.cell(weights, position, ops, feature, _Average.apply)[3]


def _reduction(weights: Mapping[str, Tensor], block: str, feature: Tensor) -> Tensor:
    """Output of a reduction block: half the size, twice the channels."""
    normalised = fast_naswot.normalised
    inside = normalised(functional.conv2d(feature.relu(), weights[f"{block}.a"], stride=2, padding=1))
    inside = normalised(functional.conv2d(inside.relu(), weights[f"{block}.b"], padding=1))
    return inside + functional.conv2d(functional.avg_pool2d(feature, 2), weights[f"{block}.down"])


class _Average(torch.autograd.Function):
    """3×3 average pooling without the padding, with its gradient."""

    @staticmethod
    def forward(_context: Any, values: Tensor) -> Tensor:
        return fast_naswot.average_3x3(values)

    @staticmethod
    def backward(_context: Any, gradient: Tensor) -> Tensor:
        return fast_naswot.sums_3x3(gradient * fast_naswot.inverse_counts(gradient.shape[-1], gradient.dtype))


@lru_cache(maxsize=1)
def _signs(seed: int, size: int, batch: int) -> tuple[Tensor, ...]:
    """Random signs at the output of each block, channels-last."""
    generator, channels, found = sign_generator(seed), space.CHANNELS[0], list[Tensor]()
    for block in supernetwork.blocks():
        if isinstance(block, str):
            channels, size = 2 * channels, size // 2
        signs = random_signs((batch, channels, size, size), generator)
        found.append(signs.contiguous(memory_format=torch.channels_last))
    return tuple(found)


def _rows(values: Tensor) -> Tensor:
    """``(batch, c, height, width)``, channels-last, to ``(pixels, c)``."""
    return values.detach().permute(0, 2, 3, 1).flatten(0, 2)


def _covariance(feature: Tensor) -> Tensor:
    """Covariance of the channels, ``(c, c)`` in float64. Their means are near 0, so the difference is accurate."""
    rows = _rows(feature)
    mean = rows.mean(dim=0).double()
    return (rows.T @ rows).double() / len(rows) - torch.outer(mean, mean)


def _outer_product(signs: Tensor, gradient: Tensor) -> Tensor:
    """Mean outer product of two gradients, ``(c, c)``, or ``(c, 2c)`` where a reduction block halves the resolution."""
    factor = gradient.shape[-1] // signs.shape[-1]
    above, below = _rows(signs), _rows(functional.pixel_unshuffle(gradient, factor) if factor > 1 else gradient)
    return above.T @ below / len(above)
