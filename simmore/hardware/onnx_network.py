"""The network of a cell as an ONNX model, written directly, and its static quantisation to int8."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simmore.errors import needs
from simmore.files import replace
from simmore.hardware import layers
from simmore.hardware.layers import INPUT, N_CLASSES, OUTPUT, SIZE, Layer, Weights

with needs("onnx"):
    import onnx
    from onnx import TensorProto, helper, numpy_helper

OPSET, IR_VERSION = 17, 8  # old enough for every runtime that is measured here
_OPERATORS = {
    "convolution": "Conv", "linear": "Gemm", "average_pool": "AveragePool", "zero": "Mul", "add": "Add", "relu": "Relu",
}  # fmt: skip


def model(
    arch: int, weights: Weights | None = None, *, batch: int = 1, size: int = SIZE, n_classes: int = N_CLASSES
) -> onnx.ModelProto:
    """The network of one cell; input ``image (batch, 3, size, size)``, output ``logits (batch, n_classes)``.

    Parameters
    ----------
    arch
        NATS index.
    weights
        Of a trained network, from `layers.weights_of`; those of `layers.initial_weights` if None.
    batch, size, n_classes
        Images per run, their height and width in pixels, and classes.
    """
    weights = layers.initial_weights(arch, n_classes) if weights is None else weights
    nodes: list[onnx.NodeProto] = []
    initializers: list[onnx.TensorProto] = []
    for layer in layers.layers(arch, n_classes):
        inputs = list(layer.inputs)
        for what, values in layers.constants(layer, weights).items():
            by_channel = values[:, None, None] if layer.kind in ("affine", "zero") else values
            inputs.append(f"{layer.output}.{what}")
            initializers.append(numpy_helper.from_array(np.ascontiguousarray(by_channel, np.float32), inputs[-1]))
        nodes += _nodes(layer, inputs)
    graph = helper.make_graph(
        nodes,
        f"nats-bench-{arch}",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, [batch, 3, size, size])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [batch, n_classes])],
        initializers,
    )
    return _model(graph)


def _nodes(layer: Layer, inputs: list[str]) -> list[onnx.NodeProto]:
    """ONNX operators of one layer; its constants are the last inputs."""
    name = layer.output
    if layer.kind == "affine":
        feature, scale, shift = inputs
        scaled = f"{name}.scaled"
        return [
            helper.make_node("Mul", [feature, scale], [scaled], scaled),
            helper.make_node("Add", [scaled, shift], [name], name),
        ]
    if layer.kind == "global_average":
        mean = f"{name}.mean"
        return [
            helper.make_node("GlobalAveragePool", inputs, [mean], mean),
            helper.make_node("Flatten", [mean], [name], name),
        ]
    attributes: dict[str, Any] = {}
    if layer.kind in ("convolution", "average_pool"):
        kernel = layer.shape[-1]
        padding = (kernel - 1) // 2
        attributes = {"kernel_shape": [kernel] * 2, "strides": [layer.stride] * 2, "pads": [padding] * 4}
    elif layer.kind == "linear":
        attributes = {"transB": 1}
    return [helper.make_node(_OPERATORS[layer.kind], inputs, [name], name, **attributes)]


def _model(graph: onnx.GraphProto) -> onnx.ModelProto:
    opset = [helper.make_opsetid("", OPSET)]
    return helper.make_model(graph, opset_imports=opset, ir_version=IR_VERSION, producer_name="simmore")


def export(arch: int, path: Path, weights: Weights | None = None) -> None:
    """Write a cell's network as ONNX. ONNX's checker, and ONNX Runtime where it is installed, test it first.

    Parameters
    ----------
    arch
        NATS index.
    path
        The file.
    weights
        See `model`.

    Raises
    ------
    ArithmeticError
        If the logits of noise are not finite; nothing is written then.
    OSError
        If the file cannot be written.
    """
    network = model(arch, weights, n_classes=N_CLASSES if weights is None else len(weights["classifier.weight"]))
    onnx.checker.check_model(network)
    if find_spec("onnxruntime"):
        image = np.random.default_rng(0).standard_normal((1, 3, SIZE, SIZE), dtype=np.float32)
        (logits,) = _session(network).run([OUTPUT], {INPUT: image})
        if not np.isfinite(logits).all():
            raise ArithmeticError(f"the logits of cell {arch} are not finite: the network was not written")
    replace(path, network.SerializeToString())


def quantised(network: onnx.ModelProto, *, elementwise: bool = True, images: int = 4, seed: int = 0) -> onnx.ModelProto:
    """The same network in int8: static quantisation, written with ``QuantizeLinear`` and ``DequantizeLinear``.

    Activations are uint8, with the range of each tensor on noise images (no data set is needed). Weights are int8 with
    one scale per channel, biases int32. ``onnxruntime.quantization`` has the same settings and takes ten times as long.

    Parameters
    ----------
    network
        From `model`.
    elementwise
        Quantise the constants of element-wise layers as well. OpenVINO 2026.4 then fails on some cells.
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
    initializers: dict[str, onnx.TensorProto] = {}

    def constant(name: str, array: NDArray[np.generic]) -> str:
        initializers[name] = numpy_helper.from_array(array, name)
        return name

    def dequantise(name: str, parameters: list[str], **attributes: Any) -> None:
        nodes.append(
            helper.make_node("DequantizeLinear", [f"{name}.integer", *parameters], [f"{name}.real"], **attributes)
        )

    def quantise_activation(name: str) -> None:
        """Quantise a tensor, and dequantise it under the name ``….real``."""
        low, high = min(ranges[name][0], 0.0), max(ranges[name][1], 0.0)
        scale = np.float32((high - low) / 255 or 1.0)
        scales[name] = np.atleast_1d(scale)
        zero_point = np.array(np.clip(round(-low / scale), 0, 255), dtype=np.uint8)
        parameters = [constant(f"{name}.scale_of", np.array(scale)), constant(f"{name}.zero_of", zero_point)]
        nodes.append(helper.make_node("QuantizeLinear", [name, *parameters], [f"{name}.integer"]))
        dequantise(name, parameters)

    def quantise_constant(name: str, scale: NDArray[np.float32], dtype: type) -> None:
        """Store a constant as integers, with one scale for each entry of its first axis."""
        array, bounds = values[name], np.iinfo(dtype)
        by_channel = scale.reshape(-1, *[1] * (array.ndim - 1))
        integers: NDArray[Any] = np.clip(np.rint(array / by_channel), bounds.min, bounds.max).astype(dtype)
        constant(f"{name}.integer", integers)
        zero_points: NDArray[Any] = np.zeros(len(scale), dtype=dtype)
        dequantise(name, [constant(f"{name}.scale_of", scale), constant(f"{name}.zero_of", zero_points)], axis=0)

    readers: dict[str, list[str]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node.op_type)
    # a tensor that only a ReLU reads needs no range of its own: the range after the ReLU starts at 0
    raw = {name for name, kinds in readers.items() if kinds == ["Relu"]}
    quantise_activation(INPUT)
    for node in graph.node:
        if node.op_type in ("Conv", "Gemm"):
            source, weight, bias = node.input
            largest = np.abs(values[weight]).max(axis=tuple(range(1, values[weight].ndim)))
            scale = np.where(largest > 0, largest / 127, 1).astype(np.float32)
            quantise_constant(weight, scale, np.int8)
            quantise_constant(bias, (scale * scales[source]).astype(np.float32), np.int32)
        else:
            for name in [name for name in node.input if name in values]:
                constant(name, values[name])
                if elementwise and values[name].any():  # a factor of zero is exact in any precision
                    quantise_activation(name)
                else:
                    raw.add(name)
        copied = onnx.NodeProto()
        copied.CopyFrom(node)
        copied.input[:] = [name if name in raw else f"{name}.real" for name in node.input]
        nodes.append(copied)
        if node.output[0] not in {OUTPUT, *raw}:
            quantise_activation(node.output[0])
    return _model(helper.make_graph(nodes, graph.name, graph.input, graph.output, list(initializers.values())))


def _ranges(network: onnx.ModelProto, images: int, seed: int) -> dict[str, tuple[float, float]]:
    """Smallest and largest value of every activation over noise images."""
    watched = onnx.ModelProto()
    watched.CopyFrom(network)
    names = [name for node in watched.graph.node for name in node.output]
    watched.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name != OUTPUT)
    session = _session(watched)
    shape = [dimension.dim_value for dimension in network.graph.input[0].type.tensor_type.shape.dim]
    rng = np.random.default_rng(seed)
    low, high = dict.fromkeys([INPUT, *names], 0.0), dict.fromkeys([INPUT, *names], 0.0)
    for _ in range(-(-images // shape[0])):
        image = rng.standard_normal(shape, dtype=np.float32)
        for name, array in zip([INPUT, *names], [image, *session.run(names, {INPUT: image})], strict=True):
            low[name], high[name] = min(low[name], float(array.min())), max(high[name], float(array.max()))
    return {name: (low[name], high[name]) for name in low}


def _session(network: onnx.ModelProto) -> Any:
    """An ONNX Runtime session with one thread, in which no layers are fused."""
    with needs("onnxruntime"):
        import onnxruntime
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(network.SerializeToString(), options, providers=["CPUExecutionProvider"])
