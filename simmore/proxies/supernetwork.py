"""One seeded super-network: the initialisation of every cell, and the images that it is shown.

A seed stands for one super-network: at each of the 15 cell positions, each of the six edges has one 1×1 and one
3×3 convolution, drawn once. A cell's network for that seed is the sub-network of its operations; stem, reduction
blocks and classifier are common to all. A cell takes the edges that its canonical form takes, so cells that are one
network have the same weights in the same places. A score depends on the cell and the seed alone, and not on what was
scored before, on the number of processes, or on the machine of a cluster.

`initialise` puts these weights into a plain network, which scores as the fast implementations do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, Literal

import numpy as np

from simmore import space
from simmore.errors import needs
from simmore.space import CELLS_PER_STAGE, CHANNELS
from simmore.space.canonical import CONV_1X1, CONV_3X3

with needs("torch"):
    import torch
    from torch import Tensor, nn

MAX_CLASSES = 120

Inputs = Literal["noise", "natural"]  # what `images` gives


@dataclass(frozen=True)
class Task:
    """What a data set asks of a network."""

    size: int
    """Height and width of an image, pixels."""
    n_classes: int


TASKS = {"cifar10": Task(32, 10), "cifar100": Task(32, 100), "ImageNet16-120": Task(16, 120)}


def images(seed: int, size: int, batch: int = 64, inputs: Inputs = "noise") -> Tensor:
    """Images ``(batch, 3, size, size)`` of one seed, mean about 0 and variance 1; no data set is involved.

    ``noise`` is standard-normal; ``natural`` is the same noise with an amplitude that falls as one over the
    spatial frequency, as that of natural images does (Field 1987): neighbouring pixels are alike.
    """
    noise = torch.randn(batch, 3, size, size, generator=torch.Generator().manual_seed(seed))
    if inputs == "noise":
        return noise
    frequency = torch.hypot(torch.fft.fftfreq(size)[:, None], torch.fft.rfftfreq(size)[None, :])
    frequency[0, 0] = 1 / size
    smooth = torch.fft.irfft2(torch.fft.rfft2(noise) / frequency, s=(size, size))
    return smooth / smooth.std()


@lru_cache(maxsize=2)
def weights(seed: int) -> Mapping[str, Tensor]:
    """All weights of the super-network, float32, by name.

    ``stem``, ``classifier`` ``(120, 64)`` (a data set takes as many rows as it has classes), and for cell position
    l = 0 … 14 and edge e ``l.e.op`` for both convolutions; ``r.a``, ``r.b``, ``r.down`` of the reduction r = A, B.
    Batch norms are at their beginning (1 and 0), and so is the classifier's bias (0), which no score uses.

    Notes
    -----
    He et al.'s initialisation: normal with variance 2 / fan-in, as in the FreeREA authors' scores.
    """
    generator = torch.Generator().manual_seed(2**32 + seed)  # not the stream of `images`
    drawn: dict[str, Tensor] = {}

    def draw(name: str, *shape: int) -> None:
        fan_in = int(np.prod(shape[1:]))
        drawn[name] = torch.randn(shape, generator=generator) * (2 / fan_in) ** 0.5

    draw("stem", CHANNELS[0], 3, 3, 3)
    for stage, channels in enumerate(CHANNELS):
        if stage:
            block = "AB"[stage - 1]
            draw(f"{block}.a", channels, channels // 2, 3, 3)
            draw(f"{block}.b", channels, channels, 3, 3)
            draw(f"{block}.down", channels, channels // 2, 1, 1)
        for position in range(stage * CELLS_PER_STAGE, (stage + 1) * CELLS_PER_STAGE):
            for edge in range(6):
                draw(f"{position}.{edge}.{CONV_1X1}", channels, channels, 1, 1)
                draw(f"{position}.{edge}.{CONV_3X3}", channels, channels, 3, 3)
    draw("classifier", MAX_CLASSES, CHANNELS[-1])
    return drawn


def initialise(network: nn.Module, arch: int, seed: int) -> nn.Module:
    """Put the weights of one seed into a network of `space.network`, in place, and give it back."""
    body: Any = getattr(network, "body", network)
    drawn, slots, position = weights(seed), space.canonical_form(arch).weight_edges, 0
    with torch.no_grad():
        body.stem[0].weight.copy_(drawn["stem"])
        body.classifier.weight.copy_(drawn["classifier"][: len(body.classifier.weight)])
        body.classifier.bias.zero_()
        for cell in body.cells:
            if not hasattr(cell, "layers"):
                block = "A" if position == CELLS_PER_STAGE else "B"
                cell.conv_a.op[1].weight.copy_(drawn[f"{block}.a"])
                cell.conv_b.op[1].weight.copy_(drawn[f"{block}.b"])
                cell.downsample[1].weight.copy_(drawn[f"{block}.down"])
                continue
            for layer, op, slot in zip(cell.layers, space.to_ops(arch).tolist(), slots, strict=True):
                if op in (CONV_1X1, CONV_3X3):
                    layer.op[1].weight.copy_(drawn[f"{position}.{slot}.{op}"])
            position += 1
    return network


@cache
def inverse_counts(size: int, dtype: torch.dtype) -> Tensor:
    """One over the number of pixels in each 3×3 window, ``(1, 1, size, size)``."""
    inside = torch.full((size,), 3.0, dtype=dtype)
    inside[[0, -1]] = 2.0
    return 1 / (inside[:, None] * inside[None, :])[None, None]
