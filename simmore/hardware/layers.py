"""The network of a cell as a short list of layers, which is written down for compilers without tracing anything.

A tracing exporter runs the network and costs half a second; this list takes a millisecond. `onnx_network` and
`tflite_network` write it in their formats. As any compiler would have it:

- a batch norm is folded into the convolution before it;
- edges of `none`, and what changes nothing whatever the weights are, are left out; where zero itself is needed, it
  is the cell's input times zero, as in the torch network, so that no compiler turns half a network into a constant;
- a node goes through one ReLU, however many convolutions read it.

Source: Dong et al. (2021), the ``infer.tiny`` network of xautodl, which `space.network` builds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from simmore import space
from simmore.space import CELLS_PER_STAGE, CHANNELS
from simmore.space.canonical import CONV_1X1, CONV_3X3, POOL

if TYPE_CHECKING:
    from torch import nn

Kind = Literal["convolution", "relu", "average_3x3", "halve", "zero", "add", "affine", "global_average", "linear"]
Weights = Mapping[str, NDArray[np.float32]]

BATCH_NORM_EPSILON = 1e-5  # torch's, and xautodl's
INPUT, OUTPUT = "image", "logits"


class Layer(NamedTuple):
    """One layer of a network.

    ``average_3x3`` has stride 1 and leaves the padding out of the mean; ``halve`` is the mean of 2×2 pixels with
    stride 2; ``affine`` is a batch norm that no convolution precedes.
    """

    kind: Kind
    output: str
    """Name of its tensor."""
    inputs: tuple[str, ...]
    weight: str = ""
    """Where a torch network's ``state_dict`` has its weight, without ``.weight``; of a convolution or linear."""
    norm: str = ""
    """The same of the batch norm that follows, empty if there is none."""
    stride: int = 1


def layers(arch: int) -> list[Layer]:
    """All layers of a cell's network, each after those it reads; the first reads `INPUT`, the last makes `OUTPUT`."""
    ops = space.live_ops(arch)
    found = [Layer("convolution", "stem", (INPUT,), "stem.0", "stem.1")]
    for position in range(3 * CELLS_PER_STAGE + 2):
        feature = found[-1].output
        if position in (CELLS_PER_STAGE, 2 * CELLS_PER_STAGE + 1):
            found += _reduction(f"cells.{position}", feature)
        else:
            found += _cell(f"cells.{position}", ops, feature)
    found += [
        Layer("affine", "last_norm", (found[-1].output,), norm="lastact.0"),
        Layer("relu", "last_relu", ("last_norm",)),
        Layer("global_average", "pooled", ("last_relu",)),
        Layer("linear", OUTPUT, ("pooled",), "classifier"),
    ]
    return found


def _cell(path: str, ops: tuple[int, ...], feature: str) -> list[Layer]:
    """One cell; a `skip_connect` needs no layer."""
    read = {source for op, (source, _) in zip(ops, space.EDGES, strict=True) if op}
    fed = {target for op, (_, target) in zip(ops, space.EDGES, strict=True) if op}
    zeros = ({1, 2} & read | {3}) - fed
    found = [Layer("zero", f"{path}.zero", (feature,))] if zeros else []
    nodes = {0: feature} | dict.fromkeys(zeros, f"{path}.zero")
    rectified: set[str] = set()
    for target in (1, 2, 3):
        terms: list[str] = []
        for edge, (source, into) in enumerate(space.EDGES):
            op = ops[edge]
            if into != target or op == 0:
                continue
            value, name = nodes[source], f"{path}.edge{edge}"
            if op in (CONV_1X1, CONV_3X3):
                relu = f"{path}.relu{source}"
                if relu not in rectified:
                    rectified.add(relu)
                    found.append(Layer("relu", relu, (value,)))
                weight = f"{path}.layers.{edge}.op"
                found.append(Layer("convolution", name, (relu,), f"{weight}.1", f"{weight}.2"))
            elif op == POOL:
                found.append(Layer("average_3x3", name, (value,)))
            else:
                name = value
            terms.append(name)
        for number, term in enumerate(terms[1:]):  # a sum of two at a time is what every runtime has
            total = f"{path}.node{target}.{number}"
            found.append(Layer("add", total, (terms[0], term)))
            terms[0] = total
        if terms:
            nodes[target] = terms[0]
    return found  # only what the output needs, so the last layer makes it; none at all for one skip_connect alone


def _reduction(path: str, feature: str) -> list[Layer]:
    """A residual block of half the size and twice the channels."""
    return [
        Layer("relu", f"{path}.relu_a", (feature,)),
        Layer("convolution", f"{path}.a", (f"{path}.relu_a",), f"{path}.conv_a.op.1", f"{path}.conv_a.op.2", stride=2),
        Layer("relu", f"{path}.relu_b", (f"{path}.a",)),
        Layer("convolution", f"{path}.b", (f"{path}.relu_b",), f"{path}.conv_b.op.1", f"{path}.conv_b.op.2"),
        Layer("halve", f"{path}.half", (feature,)),
        Layer("convolution", f"{path}.down", (f"{path}.half",), f"{path}.downsample.1"),
        Layer("add", f"{path}.sum", (f"{path}.b", f"{path}.down")),
    ]


def weights_of(network: nn.Module) -> dict[str, NDArray[np.float32]]:
    """Weights of a torch network of `space.network`, by the names that `Layer` uses."""
    state = network.state_dict()
    return {
        name.removeprefix("body."): tensor.detach().cpu().float().numpy()
        for name, tensor in state.items()
        if tensor.is_floating_point()
    }


def initial_weights(arch: int, n_classes: int = 10, seed: int = 0) -> dict[str, NDArray[np.float32]]:
    """Weights of a cell's network as the super-network initialises it (`supernetwork.initialise`), batch norms apart.

    A layer whose batch norm has no weights here has one that does nothing but divide by √(1 + ε).
    """
    from simmore.proxies import supernetwork

    drawn, slots, found = supernetwork.weights(seed), space.canonical_form(arch).weight_edges, {}
    found["stem.0.weight"] = drawn["stem"].numpy()
    found["classifier.weight"] = drawn["classifier"][:n_classes].numpy()
    found["classifier.bias"] = np.zeros(n_classes, dtype=np.float32)
    index = 0
    for position in range(3 * CELLS_PER_STAGE):
        if position in (CELLS_PER_STAGE, 2 * CELLS_PER_STAGE):
            block, path = "AB"[position // CELLS_PER_STAGE - 1], f"cells.{index}"
            found[f"{path}.conv_a.op.1.weight"] = drawn[f"{block}.a"].numpy()
            found[f"{path}.conv_b.op.1.weight"] = drawn[f"{block}.b"].numpy()
            found[f"{path}.downsample.1.weight"] = drawn[f"{block}.down"].numpy()
            index += 1
        for edge, op in enumerate(space.to_ops(arch).tolist()):
            if op in (CONV_1X1, CONV_3X3):
                found[f"cells.{index}.layers.{edge}.op.1.weight"] = drawn[f"{position}.{slots[edge]}.{op}"].numpy()
        index += 1
    return found


def folded(layer: Layer, weights: Weights) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Weight and bias of a convolution with the batch norm after it, or scale and shift of an ``affine`` layer.

    Returns
    -------
    tuple of numpy.ndarray
        ``(out, in, height, width)`` and ``(out,)`` of a convolution; of an affine layer ``(channels,)`` twice.
    """
    if layer.kind == "affine":
        return _scale_and_shift(layer.norm, weights, CHANNELS[-1])
    weight = weights[f"{layer.weight}.weight"]
    if not layer.norm:
        return weight, np.zeros(len(weight), dtype=np.float32)
    scale, shift = _scale_and_shift(layer.norm, weights, len(weight))
    return weight * scale[:, None, None, None], shift


def _scale_and_shift(norm: str, weights: Weights, channels: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """What a batch norm does at inference, ``(channels,)`` each."""
    one, zero = np.ones(channels, dtype=np.float32), np.zeros(channels, dtype=np.float32)
    scale = weights.get(f"{norm}.weight", one) / np.sqrt(
        weights.get(f"{norm}.running_var", one) + np.float32(BATCH_NORM_EPSILON)
    )
    return scale, weights.get(f"{norm}.bias", zero) - weights.get(f"{norm}.running_mean", zero) * scale
