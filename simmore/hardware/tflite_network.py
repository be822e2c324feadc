"""The network of a cell as a LiteRT (TensorFlow Lite) model, written directly as the flatbuffer that it is.

LiteRT keeps its images ``(batch, height, width, channels)`` and weights ``(out, height, width, in)``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simmore.errors import needs
from simmore.hardware import layers
from simmore.hardware.layers import INPUT, OUTPUT, Layer, Weights

with needs("ai_edge_litert", "flatbuffers"):
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

_IDENTIFIER = b"TFL3"  # of the file format
_SCHEMA_VERSION = 3
# version of each operator from which on it does what is asked of it here
_VERSIONS = {
    "CONV_2D": 1,
    "AVERAGE_POOL_2D": 1,
    "RELU": 1,
    "ADD": 1,
    "MUL": 1,
    "PAD": 1,
    "MEAN": 1,
    "FULLY_CONNECTED": 1,
}


def model(arch: int, weights: Weights | None = None, *, batch: int = 1, size: int = 32, n_classes: int = 10) -> bytes:
    """The network of one cell; input ``(batch, size, size, 3)``, output ``(batch, n_classes)``.

    Parameters
    ----------
    arch
        NATS index.
    weights
        As `layers.weights_of` gives them; those of `layers.initial_weights` if None.
    batch, size, n_classes
        Images a run, their height and width in pixels, and classes.
    """
    weights = layers.initial_weights(arch, n_classes) if weights is None else weights
    graph = _Graph()
    graph.tensor(INPUT, (batch, size, size, 3))
    for layer in layers.layers(arch):
        _write(graph, layer, weights)
    return graph.packed(INPUT, OUTPUT)


def _write(graph: _Graph, layer: Layer, weights: Weights) -> None:
    """Operators of one layer."""
    name, inputs = layer.output, list(layer.inputs)
    shape = graph.shapes[inputs[0]]  # (batch, height, width, channels), or (batch, channels)
    if layer.kind == "convolution":
        weight, bias = layers.folded(layer, weights)
        kernel = weight.shape[-1]
        if layer.stride == 2:  # SAME would pad on one side only; torch pads on both
            padded = (shape[0], shape[1] + 2, shape[2] + 2, shape[3])
            margins = graph.constant(f"{name}.margins", np.array([[0, 0], [1, 1], [1, 1], [0, 0]], dtype=np.int32))
            graph.operator("PAD", [*inputs, margins], f"{name}.padded", padded, schema.PadOptionsT())
            inputs = [f"{name}.padded"]
        inputs += [
            graph.constant(f"{name}.weight", weight.transpose(0, 2, 3, 1)),
            graph.constant(f"{name}.bias", bias),
        ]
        padding = schema.Padding.VALID if layer.stride == 2 or kernel == 1 else schema.Padding.SAME
        options = schema.Conv2DOptionsT(padding=padding, strideW=layer.stride, strideH=layer.stride)
        out = (shape[0], shape[1] // layer.stride, shape[2] // layer.stride, len(weight))
        graph.operator("CONV_2D", inputs, name, out, options)
    elif layer.kind in ("average_3x3", "halve"):
        width, stride = (3, 1) if layer.kind == "average_3x3" else (2, 2)
        padding = schema.Padding.SAME if stride == 1 else schema.Padding.VALID
        options = schema.Pool2DOptionsT(
            padding=padding, strideW=stride, strideH=stride, filterWidth=width, filterHeight=width
        )
        out = (shape[0], shape[1] // stride, shape[2] // stride, shape[3])
        graph.operator("AVERAGE_POOL_2D", inputs, name, out, options)
    elif layer.kind == "zero":
        zero = graph.constant(f"{name}.factor", np.zeros(1, dtype=np.float32))
        graph.operator("MUL", [*inputs, zero], name, shape, schema.MulOptionsT())
    elif layer.kind == "affine":
        scale, shift = layers.folded(layer, weights)
        factor = graph.constant(f"{name}.scale", scale)
        graph.operator("MUL", [*inputs, factor], f"{name}.scaled", shape, schema.MulOptionsT())
        term = graph.constant(f"{name}.shift", shift)
        graph.operator("ADD", [f"{name}.scaled", term], name, shape, schema.AddOptionsT())
    elif layer.kind == "global_average":
        axes = graph.constant(f"{name}.axes", np.array([1, 2], dtype=np.int32))
        options = schema.ReducerOptionsT(keepDims=False)
        graph.operator("MEAN", [*inputs, axes], name, (shape[0], shape[3]), options)
    elif layer.kind == "linear":
        weight = weights[f"{layer.weight}.weight"]
        inputs += [
            graph.constant(f"{name}.weight", weight),
            graph.constant(f"{name}.bias", weights[f"{layer.weight}.bias"]),
        ]
        graph.operator("FULLY_CONNECTED", inputs, name, (shape[0], len(weight)), schema.FullyConnectedOptionsT())
    elif layer.kind == "add":
        graph.operator("ADD", inputs, name, shape, schema.AddOptionsT())
    else:
        graph.operator("RELU", inputs, name, shape, None)


class _Graph:
    """Tensors, constants and operators, by name, as the file format wants them: by number."""

    def __init__(self) -> None:
        self.shapes: dict[str, tuple[int, ...]] = {}
        self._numbers: dict[str, int] = {}
        self._tensors: list[schema.TensorT] = []
        self._buffers = [schema.BufferT()]  # the first is for tensors that are no constants
        self._operators: list[schema.OperatorT] = []
        self._codes: dict[str, int] = {}

    def tensor(self, name: str, shape: tuple[int, ...], buffer: int = 0, dtype: str = "float32") -> int:
        """Add a tensor."""
        kind = {"float32": schema.TensorType.FLOAT32, "int32": schema.TensorType.INT32}[dtype]
        self._tensors.append(schema.TensorT(shape=list(shape), type=kind, buffer=buffer, name=name))
        self.shapes[name] = shape
        self._numbers[name] = len(self._tensors) - 1
        return self._numbers[name]

    def constant(self, name: str, values: NDArray[np.generic]) -> str:
        """Add a tensor with fixed values."""
        content = np.ascontiguousarray(values)
        self._buffers.append(schema.BufferT(data=content.view(np.uint8).reshape(-1)))
        self.tensor(name, content.shape, len(self._buffers) - 1, content.dtype.name)
        return name

    def operator(self, code: str, inputs: list[str], output: str, shape: tuple[int, ...], options: object) -> None:
        """Add an operator and the tensor that it makes."""
        number = self._codes.setdefault(code, len(self._codes))
        numbers = [self._numbers[name] for name in inputs]
        operator = schema.OperatorT(opcodeIndex=number, inputs=numbers, outputs=[self.tensor(output, shape)])
        if options is not None:
            kind = type(options).__name__.removesuffix("T")
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, kind)
            operator.builtinOptions = options
        self._operators.append(operator)

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
            schema.OperatorCodeT(
                deprecatedBuiltinCode=getattr(schema.BuiltinOperator, code),
                builtinCode=getattr(schema.BuiltinOperator, code),
                version=_VERSIONS[code],
            )
            for code in self._codes
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
