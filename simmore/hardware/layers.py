"""The network of a cell as a short list of layers with their constants, without torch.

`onnx_network` and `tflite_network` write this list in their formats. It takes a millisecond; an exporter that traces a
torch network takes half a second. The list contains what any compiler would reduce the network to:

- A batch norm is folded into the convolution before it.
- `none` edges and layers that cannot change the output are left out. An input of zeros that is needed is the cell's
  input times zero, as in the torch network, so that no compiler turns half of the network into a constant.
- A node goes through one ReLU, however many convolutions read it.

Source: Dong et al. (2021), the ``infer.tiny`` network of xautodl, which `space.network` builds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from simmore import space
from simmore.data import DATASETS
from simmore.space import CELLS_PER_STAGE, CHANNELS
from simmore.space.canonical import CONV_1X1, CONV_3X3, POOL

if TYPE_CHECKING:
    from torch import nn

Kind = Literal["convolution", "linear", "affine", "average_pool", "global_average", "zero", "add", "relu"]
Weights = Mapping[str, NDArray[np.float32]]

SIZE, N_CLASSES = DATASETS["cifar10"]  # all latencies are measured on CIFAR-10's image size and classes
BATCH_NORM_EPSILON = np.float32(1e-5)  # torch's default, which xautodl uses
INPUT, OUTPUT = "image", "logits"


class Layer(NamedTuple):
    """One layer of a network.

    ``average_pool`` leaves the padding out of the mean. ``affine`` is a batch norm that no convolution precedes.
    """

    kind: Kind
    output: str
    """Name of its output tensor."""
    inputs: tuple[str, ...]
    weight: str = ""
    """Name of its weight in a torch network's ``state_dict``, without ``.weight``."""
    norm: str = ""
    """Name of the batch norm that follows, empty if there is none."""
    shape: tuple[int, ...] = ()
    """Shape of its weight, ``(out, in, height, width)`` or ``(out, in)``; of a pooling, ``(height, width)``."""
    stride: int = 1


def layers(arch: int, n_classes: int = N_CLASSES) -> list[Layer]:
    """All layers of a cell's network in order of execution; the first reads `INPUT`, the last writes `OUTPUT`."""
    ops = space.live_ops(arch)
    found = [Layer("convolution", "stem", (INPUT,), "stem.0", "stem.1", (CHANNELS[0], 3, 3, 3))]
    position = 0
    for stage, channels in enumerate(CHANNELS):
        if stage:
            found += _reduction(f"cells.{position}", found[-1].output, channels)
            position += 1
        for _ in range(CELLS_PER_STAGE):
            found += _cell(f"cells.{position}", found[-1].output, channels, ops)
            position += 1
    return [
        *found,
        Layer("affine", "last_norm", (found[-1].output,), norm="lastact.0", shape=(CHANNELS[-1],)),
        Layer("relu", "last_relu", ("last_norm",)),
        Layer("global_average", "pooled", ("last_relu",)),
        Layer("linear", OUTPUT, ("pooled",), "classifier", shape=(n_classes, CHANNELS[-1])),
    ]


def _cell(path: str, feature: str, channels: int, ops: tuple[int, ...]) -> list[Layer]:
    """Layers of one cell that its output depends on; the last one writes the output. `skip_connect` needs no layer."""
    read = {source for op, (source, _) in zip(ops, space.EDGES, strict=True) if op}
    written = {target for op, (_, target) in zip(ops, space.EDGES, strict=True) if op}
    zeros = ({1, 2} & read | {3}) - written
    nodes = {0: feature} | dict.fromkeys(zeros, f"{path}.zero")
    found = {name: Layer("zero", name, (feature,)) for name in set(nodes.values()) - {feature}}
    for target in (1, 2, 3):
        terms: list[str] = []
        for edge, (op, (source, into)) in enumerate(zip(ops, space.EDGES, strict=True)):
            if into != target or not op:
                continue
            feature, name = nodes[source], f"{path}.edge{edge}"
            if op in (CONV_1X1, CONV_3X3):
                relu, kernel = f"{path}.relu{source}", 3 if op == CONV_3X3 else 1
                found.setdefault(relu, Layer("relu", relu, (feature,)))
                found[name] = _convolution(name, relu, f"{path}.layers.{edge}.op", channels, channels, kernel)
            elif op == POOL:
                found[name] = Layer("average_pool", name, (feature,), shape=(3, 3))
            terms.append(name if name in found else feature)
        for number, term in enumerate(terms[1:]):  # not every runtime has a sum of more than two tensors
            name = f"{path}.node{target}.{number}"
            found[name] = Layer("add", name, (terms[0], term))
            terms[0] = name
        if terms:
            nodes[target] = terms[0]
    return list(found.values())


def _reduction(path: str, feature: str, channels: int) -> list[Layer]:
    """A residual block with half the image size and twice the channels."""
    half = channels // 2
    return [
        Layer("relu", f"{path}.relu_a", (feature,)),
        _convolution(f"{path}.a", f"{path}.relu_a", f"{path}.conv_a.op", channels, half, 3, stride=2),
        Layer("relu", f"{path}.relu_b", (f"{path}.a",)),
        _convolution(f"{path}.b", f"{path}.relu_b", f"{path}.conv_b.op", channels, channels, 3),
        Layer("average_pool", f"{path}.half", (feature,), shape=(2, 2), stride=2),
        Layer("convolution", f"{path}.down", (f"{path}.half",), f"{path}.downsample.1", shape=(channels, half, 1, 1)),
        Layer("add", f"{path}.sum", (f"{path}.b", f"{path}.down")),
    ]


def _convolution(output: str, source: str, path: str, n_out: int, n_in: int, kernel: int, *, stride: int = 1) -> Layer:
    """The convolution of xautodl's ``ReLUConvBN`` at a path."""
    return Layer("convolution", output, (source,), f"{path}.1", f"{path}.2", (n_out, n_in, kernel, kernel), stride)


def weights_of(network: nn.Module) -> dict[str, NDArray[np.float32]]:
    """Weights of a torch network of `space.network`, by the names that `Layer` uses."""
    return {
        name.removeprefix("body."): tensor.detach().cpu().float().numpy()
        for name, tensor in network.state_dict().items()
        if tensor.is_floating_point()
    }


def initial_weights(arch: int, n_classes: int = N_CLASSES, seed: int = 0) -> dict[str, NDArray[np.float32]]:
    """Initial weights of the layers that a cell's output depends on, without the batch norms.

    Normal with variance 2 / fan-in (He et al. 2015). Cells with the same layers get the same weights.
    """
    rng = np.random.default_rng(seed)
    found = {"classifier.bias": np.zeros(n_classes, dtype=np.float32)}
    for layer in layers(arch, n_classes):
        if layer.weight:
            deviation = np.float32(math.sqrt(2 / math.prod(layer.shape[1:])))
            found[f"{layer.weight}.weight"] = deviation * rng.standard_normal(layer.shape, dtype=np.float32)
    return found


def constants(layer: Layer, weights: Weights) -> dict[str, NDArray[np.float32]]:
    """Constants of a layer, by name, in the order in which they follow the layer's inputs.

    Returns
    -------
    dict of numpy.ndarray
        ``weight`` and ``bias`` ``(out,)`` of a convolution (with its batch norm folded in) or a linear layer; ``scale``
        and ``shift``, ``(channels,)`` each, of an affine layer; ``factor``, ``(1,)``, of a zero; nothing of any other.
    """
    if layer.kind == "zero":
        return {"factor": np.zeros(1, dtype=np.float32)}
    if layer.kind == "affine":
        scale, shift = _scale_and_shift(layer, weights)
        return {"scale": scale, "shift": shift}
    if not layer.weight:
        return {}
    weight = weights[f"{layer.weight}.weight"]
    if layer.norm:
        scale, shift = _scale_and_shift(layer, weights)
        return {"weight": weight * scale[:, None, None, None], "bias": shift}
    return {"weight": weight, "bias": weights.get(f"{layer.weight}.bias", np.zeros(len(weight), dtype=np.float32))}


def _scale_and_shift(layer: Layer, weights: Weights) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Factor and term of a batch norm at inference, ``(channels,)`` each; its initial values where weights lack it."""
    one, zero = np.ones(layer.shape[0], dtype=np.float32), np.zeros(layer.shape[0], dtype=np.float32)
    deviation = np.sqrt(weights.get(f"{layer.norm}.running_var", one) + BATCH_NORM_EPSILON)
    scale = weights.get(f"{layer.norm}.weight", one) / deviation
    return scale, weights.get(f"{layer.norm}.bias", zero) - weights.get(f"{layer.norm}.running_mean", zero) * scale
