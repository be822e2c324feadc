"""Training-free scores of a network.

Three scores and their mean p (section 3.2 of the paper; FreeREA, Cavagnero et al. 2023):

- `naswot`: how much the ReLU codes of a batch of images differ in an untrained network (Mellor et al. 2021);
- `log_synflow`: saliency of the weights in a positive, linear version of the network;
- `skip_score`: mean reach of the cell's `skip_connect` edges;
- `freerea_score`: p, the mean of the three, each normalised over the search space.

Beyond the paper, the four terms of AZ-NAS (Lee & Ham 2024):

- `az_nas`: expressivity, progressivity, trainability and complexity of a network.

`naswot` and `log_synflow` take any torch network, `az_nas` one of a stem and a sequence of cells.
`simmore.proxies.scoring` computes them faster for the cells of the search space. The tests compare the two.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

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
    its absolute value. All values are float64, because products of dozens of layers overflow float32.

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


class AzTerms(NamedTuple):
    """The four terms of AZ-NAS; more is better in each."""

    expressivity: float
    """Sum over features of the entropy of their channels' spectrum, in nats."""
    progressivity: float
    """Smallest increase of that entropy from one feature to the next, in nats."""
    trainability: float
    """Mean over blocks of ``2 − s − 1/s``, at most 0; −inf if no gradient passes a block."""
    complexity: float
    """Multiply–accumulates of the convolutions and linear layers that the output depends on, in millions per image."""


def az_nas(network: nn.Module, images: torch.Tensor, seed: int = 0) -> AzTerms:
    """AZ-NAS's terms of a network that is a stem, a sequence of cells, and a classifier.

    The *features* are the outputs of the stem and of each cell, reduction blocks included. The terms are

    - expressivity ``Σ_l H_l``: H_l is the entropy ``−Σ λ log λ`` of the eigenvalues λ of the covariance of the channels
      of feature l, over images and pixels; the eigenvalues are divided by their sum, and H_l = 0 if all are zero;
    - progressivity ``min_l (H_l − H_{l−1})``;
    - trainability: mean over cells of ``2 − s − 1/s``. A gradient of random signs at a cell's output gives a gradient
      at its input. s is the largest singular value of the mean outer product of the two, over images and pixels. Where
      a cell halves the resolution, each 2×2 block of pixels of the input counts as channels of one pixel;
    - complexity: FLOPs of the layers that the output depends on, so that all four terms are of the same network.

    A cell whose output does not depend on its input has s = 0 and passes no gradient: trainability is −inf. If its
    output is zero, it and all later features have entropy 0.

    Batch norm uses the statistics of the batch, as at the start of training. The weights are as given: AZ-NAS uses He
    et al.'s initialisation.

    Parameters
    ----------
    network
        With the attributes ``stem`` and ``cells`` (or its ``body`` has them), as `space.network`. It is not changed.
    images
        ``(batch, channels, height, width)``, on the network's device: noise, at least two.
    seed
        Of the random signs.

    Raises
    ------
    ValueError
        If the images do not fit the network (with torch's own message), or are fewer than two.

    Notes
    -----
    Source: Lee & Ham (2024), *AZ-NAS: Assembling Zero-Cost Proxies for Network Architecture Search*. Written from the
    description in the paper; the authors' code was not used.
    """
    with needs("torch"):
        import torch

    if images.ndim != 4 or len(images) < 2:
        raise ValueError(f"AZ-NAS normalises by the batch: at least two images are needed, got {tuple(images.shape)}")
    network = copy.deepcopy(network).train()  # batch norm would change its running statistics
    complexity = _multiply_accumulates(network, images)
    body: Any = getattr(network, "body", network)
    generator = sign_generator(seed)
    with torch.no_grad():
        feature = body.stem(images)
    entropies, gains = [spectral_entropy(_channel_covariance(feature))], []
    for cell in body.cells:
        source = feature.detach().requires_grad_()
        feature = cell(source)
        signs = random_signs(feature.shape, generator).to(feature.device)
        gradient = torch.zeros_like(source)
        if feature.requires_grad:
            gradient = torch.autograd.grad(feature, source, signs, allow_unused=True, materialize_grads=True)[0]
        gains.append(trainability(_mean_outer_product(signs, gradient)))
        entropies.append(spectral_entropy(_channel_covariance(feature)))
    steps = [after - before for before, after in pairwise(entropies)]
    return AzTerms(sum(entropies), min(steps), sum(gains) / len(gains), complexity)


def sign_generator(seed: int) -> torch.Generator:
    """Generator of random signs; another stream than that of noise images with the same seed."""
    import torch

    return torch.Generator().manual_seed(2**33 + seed)


def random_signs(shape: Sequence[int], generator: torch.Generator) -> torch.Tensor:
    """A float32 tensor of −1 and 1, equally likely."""
    import torch

    return torch.randint(0, 2, tuple(shape), generator=generator).mul_(2).sub_(1).float()


def spectral_entropy(covariance: torch.Tensor) -> float:
    """Entropy, in nats, of the eigenvalues of a covariance matrix divided by their sum; 0 if all are zero.

    >>> import torch
    >>> round(spectral_entropy(torch.eye(4)), 4)  # log 4
    1.3863
    """
    import torch

    eigenvalues = torch.linalg.eigvalsh(covariance.double()).clamp(min=0)
    total = eigenvalues.sum()
    if not total > 0:
        return 0.0
    shares = eigenvalues / total
    return float(-torch.xlogy(shares, shares).sum())


def trainability(product: torch.Tensor) -> float:
    """``2 − s − 1/s``, s the largest singular value of a matrix; −inf for zeros.

    >>> import torch
    >>> trainability(torch.eye(3)), trainability(2 * torch.eye(3))
    (0.0, -0.5)
    """
    import torch

    largest = float(torch.linalg.matrix_norm(product.double(), 2))
    return 2 - largest - 1 / largest if largest > 0 else -math.inf


def _channel_covariance(feature: torch.Tensor) -> torch.Tensor:
    """Covariance of the channels over images and pixels: ``(batch, c, height, width)`` to float64 ``(c, c)``."""
    values = feature.detach().double().transpose(0, 1).flatten(1)  # (c, n)
    values = values - values.mean(dim=1, keepdim=True)
    return values @ values.T / values.shape[1]


def _mean_outer_product(signs: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    """Mean over images and pixels of ``signs ⊗ gradient``, float64; the gradient's resolution may be a multiple."""
    from torch.nn import functional

    gradient = functional.pixel_unshuffle(gradient, gradient.shape[-1] // signs.shape[-1])
    above, below = (values.double().transpose(0, 1).flatten(1) for values in (signs, gradient))  # (c, n) each
    return above @ below.T / above.shape[1]


def _multiply_accumulates(network: nn.Module, images: torch.Tensor) -> float:
    """Multiply–accumulates for one image, in millions, of the convolutions and linear layers with a gradient."""
    from torch import nn

    counts: dict[Any, int] = {}

    def count(module: Any, _inputs: tuple, output: torch.Tensor) -> None:
        counts[module] = output[0].numel() * module.weight[0].numel()

    layers = [module for module in network.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    hooks = [layer.register_forward_hook(count) for layer in layers]
    output = _forward(network, images)
    for hook in hooks:
        hook.remove()
    if output.requires_grad:
        output.backward(random_signs(output.shape, sign_generator(0)).to(output.device))
    return sum(n for layer, n in counts.items() if layer.weight.grad is not None and layer.weight.grad.any()) / 1e6


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
