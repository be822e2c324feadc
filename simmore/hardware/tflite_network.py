"""The network of a cell as a LiteRT (TensorFlow Lite) model, written directly as a flatbuffer.

LiteRT stores images as ``(batch, height, width, channels)`` and weights as ``(out, height, width, in)``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simmore.errors import needs
from simmore.hardware import layers
from simmore.hardware.layers import INPUT, N_CLASSES, OUTPUT, SIZE, Layer, Weights

with needs("ai_edge_litert", "flatbuffers"):
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

_IDENTIFIER = b"TFL3"  # of the file format
_SCHEMA_VERSION, _OPERATOR_VERSION = 3, 1


def model(
    arch: int, weights: Weights | None = None, *, batch: int = 1, size: int = SIZE, n_classes: int = N_CLASSES
) -> bytes:
    """The network of one cell; input ``(batch, size, size, 3)``, output ``(batch, n_classes)``.

    The parameters are those of `onnx_network.model`.
    """
    weights = layers.initial_weights(arch, n_classes) if weights is None else weights
    graph = _Graph()
    graph.tensor(INPUT, (batch, size, size, 3))
    for layer in layers.layers(arch, n_classes):
        inputs = list(layer.inputs)
        for what, values in layers.constants(layer, weights).items():
            channels_last = values.transpose(0, 2, 3, 1) if values.ndim == 4 else values
            inputs.append(graph.constant(f"{layer.output}.{what}", channels_last))
        _write(graph, layer, inputs)
    return graph.packed(INPUT, OUTPUT)


def _write(graph: _Graph, layer: Layer, inputs: list[str]) -> None:
    """Write the operators of one layer; its constants are the last inputs."""
    name, stride = layer.output, layer.stride
    batch, *image, channels = shape = graph.shapes[inputs[0]]
    padding = schema.Padding.SAME if stride == 1 else schema.Padding.VALID
    strided = [pixels // stride for pixels in image]
    match layer.kind:
        case "convolution":
            if stride == 2:  # SAME would pad on one side only; torch pads on both
                margins = graph.constant(f"{name}.margins", np.array([[0, 0], [1, 1], [1, 1], [0, 0]], dtype=np.int32))
                padded = (batch, *(pixels + 2 for pixels in image), channels)
                inputs[0] = graph.operator("PAD", [inputs[0], margins], f"{name}.padded", padded, schema.PadOptionsT())
            options = schema.Conv2DOptionsT(padding=padding, strideW=stride, strideH=stride)
            graph.operator("CONV_2D", inputs, name, (batch, *strided, layer.shape[0]), options)
        case "average_pool":
            height, width = layer.shape
            options = schema.Pool2DOptionsT(
                padding=padding, strideW=stride, strideH=stride, filterWidth=width, filterHeight=height
            )
            graph.operator("AVERAGE_POOL_2D", inputs, name, (batch, *strided, channels), options)
        case "affine":
            feature, scale, shift = inputs
            scaled = graph.operator("MUL", [feature, scale], f"{name}.scaled", shape, schema.MulOptionsT())
            graph.operator("ADD", [scaled, shift], name, shape, schema.AddOptionsT())
        case "global_average":
            axes = graph.constant(f"{name}.axes", np.array([1, 2], dtype=np.int32))
            options = schema.ReducerOptionsT(keepDims=False)
            graph.operator("MEAN", [*inputs, axes], name, (batch, channels), options)
        case "linear":
            options = schema.FullyConnectedOptionsT()
            graph.operator("FULLY_CONNECTED", inputs, name, (batch, layer.shape[0]), options)
        case "zero":
            graph.operator("MUL", inputs, name, shape, schema.MulOptionsT())
        case "add":
            graph.operator("ADD", inputs, name, shape, schema.AddOptionsT())
        case "relu":
            graph.operator("RELU", inputs, name, shape)


class _Graph:
    """Tensors, constants and operators by name; the file format refers to them by number."""

    def __init__(self) -> None:
        self.shapes: dict[str, tuple[int, ...]] = {}
        self._numbers: dict[str, int] = {}
        self._tensors: list[schema.TensorT] = []
        self._buffers = [schema.BufferT()]  # the first one is for tensors that are not constant
        self._operators: list[schema.OperatorT] = []
        self._codes: dict[str, int] = {}

    def tensor(self, name: str, shape: tuple[int, ...], buffer: int = 0, dtype: str = "float32") -> int:
        """Add a tensor; returns its number."""
        kind = getattr(schema.TensorType, dtype.upper())
        self._tensors.append(schema.TensorT(shape=list(shape), type=kind, buffer=buffer, name=name))
        self.shapes[name] = shape
        self._numbers[name] = len(self._tensors) - 1
        return self._numbers[name]

    def constant(self, name: str, values: NDArray[np.generic]) -> str:
        """Add a tensor with fixed values; returns its name."""
        content = np.ascontiguousarray(values)
        self._buffers.append(schema.BufferT(data=content.view(np.uint8).reshape(-1)))
        self.tensor(name, content.shape, len(self._buffers) - 1, content.dtype.name)
        return name

    def operator(
        self, code: str, inputs: list[str], output: str, shape: tuple[int, ...], options: object | None = None
    ) -> str:
        """Add an operator and its output tensor; returns the tensor's name."""
        number = self._codes.setdefault(code, len(self._codes))
        numbers = [self._numbers[name] for name in inputs]
        operator = schema.OperatorT(opcodeIndex=number, inputs=numbers, outputs=[self.tensor(output, shape)])
        if options is not None:
            kind = type(options).__name__.removesuffix("T")
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, kind)
            operator.builtinOptions = options
        self._operators.append(operator)
        return output

    def packed(self, first: str, last: str) -> bytes:
        """The file."""
        subgraph = schema.SubGraphT(
            tensors=self._tensors,
            inputs=[self._numbers[first]],
            outputs=[self._numbers[last]],
            operators=self._operators,
            name="main",
        )
        codes = [
            schema.OperatorCodeT(deprecatedBuiltinCode=number, builtinCode=number, version=_OPERATOR_VERSION)
            for number in (getattr(schema.BuiltinOperator, code) for code in self._codes)
        ]
        whole = schema.ModelT(
            version=_SCHEMA_VERSION,
            operatorCodes=codes,
            subgraphs=[subgraph],
            buffers=self._buffers,
            description="simmore",
        )
        builder = flatbuffers.Builder(1 << 20)
        builder.Finish(whole.Pack(builder), _IDENTIFIER)
        return bytes(builder.Output())
