"""One seeded super-network: the initialisation of every cell, and the images for its scores.

A seed stands for one super-network. At each of the 15 cell positions, each of the six edges has one 1×1 and one 3×3
convolution, drawn once. The network of a cell is the sub-network of its operations. Stem, reduction blocks and
classifier are common to all cells. A cell takes the weights of the edges of its canonical form, so cells that are the
same network have the same weights in the same places.

A score therefore depends on the cell and the seed only. It does not depend on the order in which cells are scored, on
the number of processes or on the machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Literal

import numpy as np

from simmore import space
from simmore.errors import needs
from simmore.space import CELLS_PER_STAGE, CHANNELS
from simmore.space.canonical import CONV_1X1, CONV_3X3, CONVOLUTIONS

with needs("torch"):
    import torch
    from torch import Tensor, nn

MAX_CLASSES = 120

Inputs = Literal["noise", "natural"]  # kinds of `images`


def images(seed: int, size: int, batch: int = 64, inputs: Inputs = "noise") -> Tensor:
    """Images ``(batch, 3, size, size)`` of one seed with mean about 0 and variance 1. No data set is involved.

    ``noise`` is standard-normal. ``natural`` is the same noise with an amplitude that is inversely proportional to the
    spatial frequency, as in natural images (Field 1987): neighbouring pixels are similar.
    """
    noise = torch.randn(batch, 3, size, size, generator=torch.Generator().manual_seed(seed))
    if inputs == "noise":
        return noise
    frequency = torch.hypot(torch.fft.fftfreq(size)[:, None], torch.fft.rfftfreq(size)[None, :])
    frequency[0, 0] = 1 / size
    smooth = torch.fft.irfft2(torch.fft.rfft2(noise) / frequency, s=(size, size))
    return smooth / smooth.std()


def blocks() -> list[int | str]:
    """Parts of a network from stem to classifier: cell positions 0 … 14, and the reduction blocks "A" and "B"."""
    stages = [range(stage * CELLS_PER_STAGE, (stage + 1) * CELLS_PER_STAGE) for stage in range(len(CHANNELS))]
    return [*stages[0], "A", *stages[1], "B", *stages[2]]


@lru_cache(maxsize=2)
def weights(seed: int) -> Mapping[str, Tensor]:
    """All weights of the super-network, float32, by name.

    - ``stem``;
    - ``l.e.op``: convolution `op` on edge e of the cell at position l;
    - ``r.a``, ``r.b``, ``r.down``: convolutions of the reduction block r, A or B;
    - ``classifier`` ``(120, 64)``: a data set takes as many rows as it has classes.

    Batch norms (scale 1, shift 0) and the classifier's bias (0) are not among them.

    Notes
    -----
    He et al.'s initialisation: normal with variance 2 / fan-in, as in the published scores of FreeREA.
    """
    generator = torch.Generator().manual_seed(2**32 + seed)  # another stream than that of `images`
    drawn: dict[str, Tensor] = {}

    def draw(name: str, *shape: int) -> None:
        fan_in = int(np.prod(shape[1:]))
        drawn[name] = torch.randn(shape, generator=generator) * (2 / fan_in) ** 0.5

    draw("stem", CHANNELS[0], 3, 3, 3)
    for block in blocks():
        if isinstance(block, str):
            channels = CHANNELS[1 + "AB".index(block)]
            draw(f"{block}.a", channels, channels // 2, 3, 3)
            draw(f"{block}.b", channels, channels, 3, 3)
            draw(f"{block}.down", channels, channels // 2, 1, 1)
            continue
        channels = CHANNELS[block // CELLS_PER_STAGE]
        for edge in range(space.N_EDGES):
            draw(f"{block}.{edge}.{CONV_1X1}", channels, channels, 1, 1)
            draw(f"{block}.{edge}.{CONV_3X3}", channels, channels, 3, 3)
    draw("classifier", MAX_CLASSES, CHANNELS[-1])
    return drawn


def initial_weights(arch: int, seed: int, n_classes: int = 10) -> dict[str, Tensor]:
    """Weights of a cell's network by the names of `space.network`'s parameters, without the batch norms."""
    drawn, edges = weights(seed), space.canonical_form(arch).weight_edges
    found = {
        "stem.0.weight": drawn["stem"],
        "classifier.weight": drawn["classifier"][:n_classes],
        "classifier.bias": torch.zeros(n_classes),
    }
    for number, block in enumerate(blocks()):
        path = f"cells.{number}"
        if isinstance(block, str):
            found[f"{path}.conv_a.op.1.weight"] = drawn[f"{block}.a"]
            found[f"{path}.conv_b.op.1.weight"] = drawn[f"{block}.b"]
            found[f"{path}.downsample.1.weight"] = drawn[f"{block}.down"]
            continue
        for edge, op in enumerate(space.to_ops(arch).tolist()):
            if op in CONVOLUTIONS:
                found[f"{path}.layers.{edge}.op.1.weight"] = drawn[f"{block}.{edges[edge]}.{op}"]
    return found


def initialise(network: nn.Module, arch: int, seed: int) -> nn.Module:
    """Put the weights of one seed into a new network of `space.network`, in place, and return it."""
    body: Any = getattr(network, "body", network)
    body.load_state_dict(initial_weights(arch, seed, len(body.classifier.weight)), strict=False)
    return network
