"""Training-free scores of a network, which is not trained for them.

Three scores and their mean p (section 3.2 of the paper; FreeREA, Cavagnero et al. 2023):

- `naswot`: how much the ReLU codes of a batch of images differ in an untrained network (Mellor et al. 2021);
- `log_synflow`: saliency of the weights in a positive, linear version of the network;
- `skip_score`: mean reach of the cell's `skip_connect` edges;
- `freerea_score`: p, the mean of the three, each normalised over the search space.

`naswot` and `log_synflow` take any torch network. `simmore.proxies.scoring` computes them faster for the cells of the
search space. The tests compare the two.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simmore import space
from simmore.errors import needs

if TYPE_CHECKING:
    import torch
    from torch import nn

_SKIP = space.OPERATIONS.index("skip_connect")


def naswot(network: nn.Module, images: torch.Tensor) -> float:
    """NASWOT of a network: ``log|det K|`` of the kernel of its binary ReLU codes.

    The code C of an image has one bit for each output of each ReLU: 1 if the output is positive. ``K[a, b]`` is the
    number of bits in which images a and b agree, ``K = C Cᵀ + (1−C)(1−C)ᵀ``. It is a whole number, exact in float32.
    Batch norm uses the statistics of the batch, as at the start of training.

    Parameters
    ----------
    network
        Any network whose ReLUs are `torch.nn.ReLU` modules. It is not changed.
    images
        ``(batch, channels, height, width)``, on the network's device.

    Returns
    -------
    float
        −inf if K is singular: two images have the same code, or the network has no ReLU.

    Raises
    ------
    ValueError
        If the images do not fit the network (with torch's own message), or are fewer than two.

    Notes
    -----
    Source: Mellor et al. (2021), *Neural Architecture Search without Training*, equation 2.
    """
    with needs("torch"):
        import torch
        from torch import nn

    if images.ndim != 4 or len(images) < 2:
        raise ValueError(f"NASWOT compares images: a batch of at least two is needed, got {tuple(images.shape)}")
    network = copy.deepcopy(network).train()  # batch norm would change its running statistics
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
    """Number of bits in which each two images agree: ReLU outputs ``(batch, …)`` to float32 ``(batch, batch)``.

    >>> import torch
    >>> agreements(torch.tensor([[1.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 2.0]]))
    tensor([[3., 2., 0.],
            [2., 3., 1.],
            [0., 1., 3.]])
    """
    codes = (outputs.flatten(1) > 0).float()  # (batch, bits)
    return codes @ codes.T + (1 - codes) @ (1 - codes).T


def log_abs_det(kernel: torch.Tensor) -> float:
    """``log|det K|`` in float64; −inf if K is singular."""
    return float(kernel.double().slogdet().logabsdet)


def log_synflow(network: nn.Module, image_shape: tuple[int, int, int]) -> float:
    """LogSynflow of a network: ``Σ |w · log(1 + ∂R/∂w)|`` over the weights of its convolutions and linear layers.

    R is the sum of the logits for one image of ones. The network has no batch norm, and each parameter is replaced by
    its absolute value. All is float64, because products of dozens of layers overflow float32.

    Parameters
    ----------
    network
        Any network of convolutions, linear layers and ReLUs that returns its logits. It is not changed.
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
    """Output of the network, or a `ValueError` that gives the shape of the images if they do not fit."""
    try:
        return network(images)
    except RuntimeError as error:
        raise ValueError(f"images of shape {tuple(images.shape)} do not fit the network: {error}") from error


def skip_score(archs: ArrayLike) -> NDArray[np.float64]:
    """SkipScore of cells: mean of ``j − i − 1`` over the `skip_connect` edges ``i→j`` of a cell, 0 without any.

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
    """Min–max normalisation: the smallest value becomes 0, the largest 1.

    Raises
    ------
    ValueError
        For NaN or infinite values, or if all values are equal.

    >>> normalise([2, 4, 3])
    array([0. , 1. , 0.5])
    """
    values = np.asarray(values, dtype=np.float64)
    low, high = values.min(), values.max()
    if not np.isfinite([low, high]).all() or low == high:
        raise ValueError(f"values from {low} to {high} cannot be normalised: they must be finite and differ")
    return (values - low) / (high - low)


def freerea_score(naswot: ArrayLike, logsynflow: ArrayLike, skip: ArrayLike) -> NDArray[np.float64]:
    """Score p ``(cells,)`` in [0, 1]: mean of the three scores, each normalised over the given cells.

    Parameters
    ----------
    naswot, logsynflow, skip
        Finite, ``(cells,)`` each. The paper normalises over the whole search space (section 3.2).
    """
    return np.mean([normalise(values) for values in (naswot, logsynflow, skip)], axis=0)
