"""Training-free scores: what a network's quality looks like before a single step of training.

Three scores of one network, and their combination p (the paper's section 3.2; FreeREA, Cavagnero et al. 2023):

- `naswot`: how differently the ReLUs of a fresh network answer to the images of a batch (Mellor et al. 2021);
- `log_synflow`: how much every weight matters to a positive, linear version of the network;
- `skip_score`: how far the cell's `skip_connect` edges reach;
- `score`: p, the mean of the three, each normalised over the search space; `stored_score`, from the table.

The functions on networks are the plain definitions: any torch network, one at a time, nothing shared. What scores
the 15,625 cells of the search space quickly is `simmore.scoring`, which the tests hold to these.
"""

from __future__ import annotations

import copy
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simmore import data, space
from simmore.errors import needs

if TYPE_CHECKING:
    import torch
    from torch import nn

_SKIP = space.OPERATIONS.index("skip_connect")


def naswot(network: nn.Module, images: torch.Tensor) -> float:
    """NASWOT of a network: ``log|det K|`` of the kernel of its binary ReLU codes.

    An image's code has one bit for every output of every ReLU: is it positive? ``K[a, b]`` is the number of bits
    in which images a and b agree, ``K = C Cᵀ + (1−C)(1−C)ᵀ``, which is a whole number, exact in float32.
    Batch norm uses the statistics of the batch, as in a network that is about to be trained.

    Parameters
    ----------
    network
        Any network whose ReLUs are `torch.nn.ReLU` modules. It is left as it was.
    images
        ``(batch, channels, height, width)``, on the network's device.

    Returns
    -------
    float
        −inf where K is singular: two images with the same code, or a network that has no ReLU.

    Raises
    ------
    ValueError
        If the batch does not fit the network (with torch's own message), or is not a batch.

    Notes
    -----
    Source: Mellor et al. (2021), *Neural Architecture Search without Training*, equation 2.
    """
    with needs("torch"):
        import torch
        from torch import nn

    if images.ndim != 4 or len(images) < 2:
        raise ValueError(f"NASWOT compares images: a batch of at least two is needed, got {tuple(images.shape)}")
    network = copy.deepcopy(network).train()  # a copy, as batch norm notes its running statistics
    kernel = images.new_zeros((len(images), len(images)), dtype=torch.float32)

    def add_agreements(_module: nn.Module, _inputs: tuple, outputs: torch.Tensor) -> None:
        kernel.add_(agreements(outputs))

    for module in network.modules():
        if isinstance(module, nn.ReLU):
            module.register_forward_hook(add_agreements)
    with torch.inference_mode():
        _forward(network, images)
    return log_abs_det(kernel)


def agreements(outputs: torch.Tensor) -> torch.Tensor:
    """In how many bits each pair of images agrees: ``(batch, …)`` values to ``(batch, batch)`` counts, float32.

    >>> import torch
    >>> agreements(torch.tensor([[1.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 2.0]]))
    tensor([[3., 2., 0.],
            [2., 3., 1.],
            [0., 1., 3.]])
    """
    codes = (outputs.flatten(1) > 0).float()  # (batch, bits)
    return codes @ codes.T + (1 - codes) @ (1 - codes).T


def log_abs_det(kernel: torch.Tensor) -> float:
    """``log|det K|`` in float64; −inf where K is singular."""
    return float(kernel.double().slogdet().logabsdet)


def log_synflow(network: nn.Module, image_shape: tuple[int, int, int]) -> float:
    """LogSynflow of a network: ``Σ |w · log(1 + ∂R/∂w)|`` over the weights of its convolutions and linear layers.

    R is the sum of the logits for one image of ones, in a version of the network with batch norm left out and
    every parameter replaced by its absolute value, in float64 (products of dozens of layers overflow float32).

    Parameters
    ----------
    network
        Any network of convolutions, linear layers and ReLUs that returns its logits. It is left as it was.
    image_shape
        ``(channels, height, width)`` of one image.

    Raises
    ------
    ValueError
        If the image does not fit the network (with torch's own message).

    Notes
    -----
    Source: Cavagnero et al. (2023), *FreeREA*, equation 2, after Tanaka et al. (2020), *SynFlow*.
    """
    with needs("torch"):
        import torch
        from torch import nn

    network = copy.deepcopy(network).double()
    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.BatchNorm2d):
                setattr(module, name, nn.Identity())
    for parameter in network.parameters():
        parameter.data.abs_()
    device = next(network.parameters()).device
    _forward(network, torch.ones((1, *image_shape), dtype=torch.float64, device=device)).sum().backward()
    total = 0.0
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear) and module.weight.grad is not None:
            total += (module.weight * module.weight.grad.log1p()).abs().sum().item()
    return total


def _forward(network: nn.Module, images: torch.Tensor) -> torch.Tensor:
    """The network's output, or a `ValueError` that names the images where they do not fit."""
    try:
        return network(images)
    except RuntimeError as error:
        raise ValueError(f"images of shape {tuple(images.shape)} do not fit the network: {error}") from error


def skip_score(archs: ArrayLike) -> NDArray[np.float64]:
    """SkipScore of cells: mean of ``j − i − 1`` over a cell's `skip_connect` edges ``i→j``, 0 where it has none.

    Parameters
    ----------
    archs
        NATS indices ``(…)``.

    Returns
    -------
    array ``(…)``
        Between 0 and 2.

    Notes
    -----
    Source: Cavagnero et al. (2023), *FreeREA*, section 3.2.

    >>> float(skip_score(0))  # skip_connect on 1→2, 1→3 and 2→3: (0 + 1 + 0) / 3
    0.3333333333333333
    """
    skips = space.to_ops(archs) == _SKIP  # (…, 6)
    reach = np.array([target - source - 1 for source, target in space.EDGES])
    return (skips * reach).sum(axis=-1) / np.maximum(skips.sum(axis=-1), 1)


def normalise(values: ArrayLike) -> NDArray[np.float64]:
    """Min–max normalisation over all given values: the smallest becomes 0, the largest 1.

    Raises
    ------
    ValueError
        For NaN, infinities, or values that are all the same.

    >>> normalise([2, 4, 3])
    array([0. , 1. , 0.5])
    """
    values = np.asarray(values, dtype=np.float64)
    low, high = values.min(), values.max()
    if not np.isfinite([low, high]).all() or low == high:
        raise ValueError(f"values from {low} to {high} cannot be normalised: they must be finite and differ")
    return (values - low) / (high - low)


def score(naswot: ArrayLike, logsynflow: ArrayLike, skip: ArrayLike) -> NDArray[np.float64]:
    """Score p of every cell: the mean of the three scores, each normalised over the cells given, so in [0, 1].

    Parameters
    ----------
    naswot, logsynflow, skip
        ``(cells,)`` each, finite, over the whole search space (the paper's section 3.2).
    """
    return np.mean([normalise(values) for values in (naswot, logsynflow, skip)], axis=0)


@cache
def stored_score(dataset: str = "cifar10") -> NDArray[np.float64]:
    """Score p of all cells from the package's own table, ``(15625,)`` in NATS order (read-only).

    Raises
    ------
    TableMissing
        If there is no table of this data set.
    """
    table = data.scores(dataset)
    values = score(table["naswot"], table["logsynflow"], table["skip"])
    values.setflags(write=False)
    return values
