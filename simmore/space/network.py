"""The torch network of a cell: a stem, three stages of five cells, and a classifier (xautodl's ``infer.tiny``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simmore.errors import needs
from simmore.space import cells

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
