"""The network of a cell as an ONNX model, written directly, and its static quantisation to int8.

`model` is what the runtimes are given, and what ``search --export`` writes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simmore import space
from simmore.errors import needs
from simmore.files import replace
from simmore.hardware import layers
from simmore.hardware.layers import INPUT, OUTPUT, Layer, Weights

with needs("onnx"):
    import onnx
    from onnx import TensorProto, helper, numpy_helper

TOLERANCE = 1e-4  # relative, of an exported network against torch
OPSET, IR_VERSION = 17, 8  # old enough for every runtime that is tried here


def model(
    arch: int, weights: Weights | None = None, *, batch: int = 1, size: int = 32, n_classes: int = 10
) -> onnx.ModelProto:
    """The network of one cell.

    Parameters
    ----------
    arch
        NATS index.
    weights
        As `layers.weights_of` gives them; those of `layers.initial_weights` if None.
    batch, size, n_classes
        The input is ``image``, ``(batch, 3, size, size)``, the output ``logits``, ``(batch, n_classes)``.
    """
    weights = layers.initial_weights(arch, n_classes) if weights is None else weights
    nodes: list[onnx.NodeProto] = []
    constants: list[onnx.TensorProto] = []

    def constant(name: str, values: NDArray[np.float32]) -> str:
        constants.append(numpy_helper.from_array(np.ascontiguousarray(values, dtype=np.float32), name))
        return name

    for layer in layers.layers(arch):
        nodes.extend(_nodes(layer, weights, constant))
    graph = helper.make_graph(
        nodes,
        f"nats-bench-{arch}",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, [batch, 3, size, size])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [batch, n_classes])],
        constants,
    )
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="simmore"
    )


def export(arch: int, path: Path, weights: Weights | None = None) -> float:
    """Write a cell's network as ONNX, and see that ONNX Runtime and torch compute the same from it.

    Parameters
    ----------
    arch
        NATS index.
    path
        The file.
    weights
        Of a trained network, from `layers.weights_of`; those of `layers.initial_weights` if None.

    Returns
    -------
    float
        The largest difference of a logit from torch's, on noise, relative to the largest logit.

    Raises
    ------
    ArithmeticError
        If that is more than `TOLERANCE`; nothing is written then.
    OSError
        If the file can't be written.
    """
    with needs("onnxruntime", "torch"):
        import onnxruntime
        import torch
    content = model(arch, weights).SerializeToString()
    image = np.random.default_rng(arch).standard_normal((1, 3, 32, 32), dtype=np.float32)
    (ours,) = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"]).run(None, {INPUT: image})
    network = space.network(arch).eval()
    known = layers.initial_weights(arch) if weights is None else weights
    network.load_state_dict({f"body.{name}": torch.tensor(value) for name, value in known.items()}, strict=False)
    with torch.inference_mode():
        theirs = network(torch.from_numpy(image)).numpy()
    error = float(np.abs(ours - theirs).max() / (np.abs(theirs).max() or 1.0))
    if not error <= TOLERANCE:
        raise ArithmeticError(f"the ONNX network of cell {arch} differs from torch's by {error:.1e}: not written")
    replace(path, content)
    return error


def _nodes(layer: Layer, weights: Weights, constant) -> list[onnx.NodeProto]:  # type: ignore[no-untyped-def]
    """ONNX's operators of one layer."""
    inputs, name = list(layer.inputs), layer.output
    if layer.kind == "convolution":
        weight, bias = layers.folded(layer, weights)
        kernel = weight.shape[-1]
        inputs += [constant(f"{name}.weight", weight), constant(f"{name}.bias", bias)]
        shape: dict[str, Any] = {"kernel_shape": [kernel] * 2, "strides": [layer.stride] * 2}
        shape["pads"] = [kernel // 2] * 4
        return [helper.make_node("Conv", inputs, [name], name, **shape)]
    if layer.kind == "average_3x3":
        shape = {"kernel_shape": [3, 3], "strides": [1, 1], "pads": [1, 1, 1, 1]}
        return [helper.make_node("AveragePool", inputs, [name], name, count_include_pad=0, **shape)]
    if layer.kind == "halve":
        return [helper.make_node("AveragePool", inputs, [name], name, kernel_shape=[2, 2], strides=[2, 2])]
    if layer.kind == "zero":
        zero = constant(f"{name}.factor", np.zeros((1, 1, 1, 1), dtype=np.float32))
        return [helper.make_node("Mul", [*inputs, zero], [name], name)]
    if layer.kind == "affine":
        scale, shift = (values[:, None, None] for values in layers.folded(layer, weights))
        scaled = f"{name}.scaled"
        return [
            helper.make_node("Mul", [*inputs, constant(f"{name}.scale", scale)], [scaled], scaled),
            helper.make_node("Add", [scaled, constant(f"{name}.shift", shift)], [name], name),
        ]
    if layer.kind == "global_average":
        spread = f"{name}.spread"
        return [
            helper.make_node("GlobalAveragePool", inputs, [spread], spread),
            helper.make_node("Flatten", [spread], [name], name),
        ]
    if layer.kind == "linear":
        inputs += [
            constant(f"{name}.weight", weights[f"{layer.weight}.weight"]),
            constant(f"{name}.bias", weights[f"{layer.weight}.bias"]),
        ]
        return [helper.make_node("Gemm", inputs, [name], name, transB=1)]
    return [helper.make_node({"relu": "Relu", "add": "Add"}[layer.kind], inputs, [name], name)]


def quantised(network: onnx.ModelProto, *, elementwise: bool = True, images: int = 4, seed: int = 0) -> onnx.ModelProto:
    """The same network in int8: static quantisation, written with ``QuantizeLinear`` and ``DequantizeLinear``.

    Activations are uint8, each tensor with the range that it takes on noise images (no data set is involved);
    weights int8, a scale a channel; biases int32. It is what ``onnxruntime.quantization`` makes with the same
    settings, in a tenth of the time.

    Parameters
    ----------
    network
        From `model`.
    elementwise
        Quantise what a tensor is multiplied with, or shifted by, as well. OpenVINO 2026.4 fails on that in some cells.
    images
        Noise images that the ranges come from, rounded up to whole batches.
    seed
        Of the images.
    """
    graph = network.graph
    values = {one.name: numpy_helper.to_array(one) for one in graph.initializer}
    ranges = _ranges(network, images, seed)
    ranges.update({name: (float(array.min()), float(array.max())) for name, array in values.items()})
    scales: dict[str, NDArray[np.float32]] = {}
    nodes: list[onnx.NodeProto] = []
    constants: dict[str, onnx.TensorProto] = {}

    def constant(name: str, array: NDArray[np.generic]) -> str:
        constants[name] = numpy_helper.from_array(array, name)
        return name

    def activation(name: str) -> None:
        """Quantise a tensor, and dequantise it under the name ``….real``."""
        low, high = min(ranges[name][0], 0.0), max(ranges[name][1], 0.0)
        scale = np.float32((high - low) / 255 or 1.0)
        scales[name] = np.atleast_1d(scale)
        parameters = [
            constant(f"{name}.scale_of", np.array(scale)),
            constant(f"{name}.zero_of", np.array(np.clip(round(-low / scale), 0, 255), dtype=np.uint8)),
        ]
        nodes.append(helper.make_node("QuantizeLinear", [name, *parameters], [f"{name}.whole"]))
        nodes.append(helper.make_node("DequantizeLinear", [f"{name}.whole", *parameters], [f"{name}.real"]))

    def fixed(name: str, scale: NDArray[np.float32], dtype: type) -> None:
        """Store a constant as whole numbers, one scale for each entry of its first axis."""
        array = values[name]
        by_channel = scale.reshape(-1, *[1] * (array.ndim - 1))
        bounds = np.iinfo(dtype)
        whole: NDArray[Any] = np.clip(np.rint(array / by_channel), bounds.min, bounds.max).astype(dtype)
        parameters = [
            constant(f"{name}.scale_of", scale),
            constant(f"{name}.zero_of", np.zeros(len(scale), dtype=dtype)),
        ]
        node = helper.make_node(
            "DequantizeLinear", [constant(f"{name}.whole", whole), *parameters], [f"{name}.real"], axis=0
        )
        nodes.append(node)

    readers: dict[str, list[str]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node.op_type)
    # what only a ReLU reads needs no range of its own: the ReLU becomes the lower end of the range after it
    raw = {name for name, kinds in readers.items() if kinds == ["Relu"]}
    activation(INPUT)
    for node in graph.node:
        if node.op_type in ("Conv", "Gemm"):
            source, weight, bias = node.input
            largest = np.abs(values[weight]).max(axis=tuple(range(1, values[weight].ndim)))
            scale = np.where(largest > 0, largest / 127, 1).astype(np.float32)
            fixed(weight, scale, np.int8)
            fixed(bias, (scale * scales[source]).astype(np.float32), np.int32)
        else:
            for name in node.input:
                if name in values:
                    constant(name, values[name])
                    if elementwise and values[name].any():  # times zero is times zero in any precision
                        activation(name)
                    else:
                        raw.add(name)
        copied = onnx.NodeProto()
        copied.CopyFrom(node)
        copied.input[:] = [name if name in raw else f"{name}.real" for name in node.input]
        nodes.append(copied)
        if node.output[0] not in {OUTPUT, *raw}:
            activation(node.output[0])
    whole = helper.make_graph(nodes, graph.name, graph.input, graph.output, list(constants.values()))
    return helper.make_model(whole, opset_imports=network.opset_import, ir_version=IR_VERSION, producer_name="simmore")


def _ranges(network: onnx.ModelProto, images: int, seed: int) -> dict[str, tuple[float, float]]:
    """Smallest and largest value of every activation over noise images."""
    with needs("onnxruntime"):
        import onnxruntime
    watched = onnx.ModelProto()
    watched.CopyFrom(network)
    names = [name for node in watched.graph.node for name in node.output]
    watched.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name != OUTPUT)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL  # nothing is fused away
    session = onnxruntime.InferenceSession(watched.SerializeToString(), options, providers=["CPUExecutionProvider"])
    shape = [dimension.dim_value for dimension in network.graph.input[0].type.tensor_type.shape.dim]
    rng = np.random.default_rng(seed)
    low, high = dict.fromkeys([INPUT, *names], 0.0), dict.fromkeys([INPUT, *names], 0.0)
    for _ in range(-(-images // shape[0])):
        image = rng.standard_normal(shape, dtype=np.float32)
        for name, array in zip([INPUT, *names], [image, *session.run(names, {INPUT: image})], strict=True):
            low[name], high[name] = min(low[name], float(array.min())), max(high[name], float(array.max()))
    return {name: (low[name], high[name]) for name in low}
