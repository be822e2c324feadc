"""The network of a cell: a stem, three stages of five cells, and a classifier (xautodl's ``infer.tiny``).

Its torch module, its parameters and its FLOPs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simmore.errors import needs
from simmore.space import cells
from simmore.space.canonical import CONV_1X1, CONV_3X3, NONE, POOL, SKIP, live_edges

if TYPE_CHECKING:
    import torch
    from torch import nn

CHANNELS = (16, 32, 64)  # of the three stages
CELLS_PER_STAGE = 5


def network(arch: int, *, n_classes: int = 10, logits_only: bool = True) -> nn.Module:
    """A freshly initialised torch network of one cell: 16 channels, three stages of five cells (xautodl).

    Parameters
    ----------
    arch
        NATS index.
    n_classes
        10 for CIFAR-10, 100 for CIFAR-100, 120 for ImageNet16-120.
    logits_only
        True: the forward pass of ``(batch, 3, size, size)`` returns the logits ``(batch, n_classes)``.
        False: xautodl's own network, which returns ``(features, logits)``.

    Notes
    -----
    The weights come from torch's global generator: seed it with ``torch.manual_seed``.
    """
    with needs("torch", "xautodl"):
        from torch import nn
        from xautodl.models import get_cell_based_tiny_net

    class Logits(nn.Module):
        """The network without its second output."""

        def __init__(self, body: nn.Module) -> None:
            super().__init__()
            self.body = body

        def forward(self, images: torch.Tensor) -> torch.Tensor:  # (batch, 3, size, size) -> (batch, n_classes)
            return self.body(images)[1]

    config = {"name": "infer.tiny", "C": CHANNELS[0], "N": CELLS_PER_STAGE, "num_classes": n_classes}
    body = get_cell_based_tiny_net({**config, "arch_str": cells.to_string(arch)})
    return Logits(body) if logits_only else body


def parameters(archs: ArrayLike, n_classes: int = 10) -> NDArray[np.float64]:
    """Trainable parameters of cells' networks, in millions; ``(…)`` NATS indices to ``(…)``."""
    counts = cells.operation_counts(archs)
    first, last = CHANNELS[0], CHANNELS[-1]
    total = np.full(counts.shape[:-1], 3 * first * 9 + 2 * first)  # stem with its batch norm
    total += 2 * last + (last + 1) * n_classes  # last batch norm, classifier
    for channels in CHANNELS:
        one, three = channels**2 + 2 * channels, 9 * channels**2 + 2 * channels  # convolutions with batch norms
        total += CELLS_PER_STAGE * (counts[..., CONV_1X1] * one + counts[..., CONV_3X3] * three)
        if channels > first:  # the reduction block has two 3×3 convolutions with batch norms, and one 1×1 without
            total += _reduction_weights(channels) + 4 * channels
    return total / 1e6


def flops(archs: ArrayLike, size: int = 32, n_classes: int = 10) -> NDArray[np.float64]:
    """Multiply–accumulates of convolutions and classifier for one image, in millions; ``(…)`` indices to ``(…)``.

    `size` is the height and width of the image in pixels.
    """
    counts = cells.operation_counts(archs)
    total = np.full(counts.shape[:-1], 3 * CHANNELS[0] * 9 * size**2 + CHANNELS[-1] * n_classes)
    for stage, channels in enumerate(CHANNELS):
        pixels = (size >> stage) ** 2
        total += CELLS_PER_STAGE * pixels * channels**2 * (counts[..., CONV_1X1] + 9 * counts[..., CONV_3X3])
        if stage:
            total += pixels * _reduction_weights(channels)
    return total / 1e6


def live_flops(archs: ArrayLike, size: int = 32, n_classes: int = 10) -> NDArray[np.float64]:
    """FLOPs of the layers that the output depends on at initialisation, in millions; 0 if no path leads to the output.

    Cells that compute the same function have the same `live_flops`, whatever dead layers they have.
    """
    archs = np.asarray(archs)
    live = live_edges(archs, keeps_zero=(SKIP, POOL, CONV_1X1, CONV_3X3))  # (…, 6)
    pruned = cells.to_archs(np.where(live, cells.to_ops(archs), NONE))
    return np.where(live.any(axis=-1), flops(pruned, size, n_classes), 0.0)


def _reduction_weights(channels: int) -> int:
    """Convolution weights of a reduction block: 3×3 and 1×1 from half the channels, and 3×3."""
    return 9 * channels**2 // 2 + 9 * channels**2 + channels**2 // 2
