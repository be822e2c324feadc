"""The runtimes that networks are measured in. Each one compiles a cell's network and returns a function that runs it.

| runtime | precisions | how the network is made |
| --- | --- | --- |
| ``onnxruntime`` | fp32, int8 | `onnx_network`; int8 by static quantisation |
| ``openvino`` | fp32, int8 | the same ONNX models; in int8, constants of element-wise layers stay fp32 |
| ``ncnn`` | fp32 | pnnx converts the ONNX model, in a quarter of a second |
| ``litert`` | fp32 | `tflite_network` |
| ``torch`` | fp32 | eager |
| ``torch_compile`` | fp32 | ``torch.compile``, in about half a minute |

A runtime is imported when it is first used. Images are ``(batch, 3, size, size)`` and logits ``(batch, classes)`` in
every runtime. Where a runtime has another layout, the conversion is part of the measured time.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
import types
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from simmore import provenance, space
from simmore.errors import MissingPackage
from simmore.hardware import cores, layers, timing
from simmore.hardware.layers import N_CLASSES, SIZE

if TYPE_CHECKING:
    import torch
    from torch import nn

MOST_IMAGES = 1024  # of a run

Image = NDArray[np.float32]
Network = Callable[[Image], NDArray[np.float32]]  # (batch, 3, size, size) -> (batch, classes)


@dataclass(frozen=True)
class Configuration:
    """A runtime, and how it is used.

    Attributes
    ----------
    runtime
        A key of `RUNTIMES`.
    precision
        ``fp32`` or ``int8``.
    threads
        Number of threads. Each has its own core, on which nothing else is measured at the same time.
    batch
        Images per run.
    cores
        Numbers of the cores to measure on; any if empty. Name them on a processor with fast and slow cores.
    """

    runtime: str = "onnxruntime"
    precision: str = "fp32"
    threads: int = 1
    batch: int = 1
    cores: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.runtime not in RUNTIMES:
            raise ValueError(f"no runtime {self.runtime!r}: choose one of {', '.join(RUNTIMES)}")
        known = RUNTIMES[self.runtime].precisions
        if self.precision not in known:
            raise ValueError(f"{self.runtime} has the precision {' and '.join(known)} here, not {self.precision!r}")
        for what, number in (("threads", self.threads), ("batch", self.batch)):
            if isinstance(number, bool) or not isinstance(number, int) or number < 1:
                raise ValueError(f"{what} is a whole number of at least 1, got {number!r}")
        if self.batch > MOST_IMAGES:
            raise ValueError(f"batch is at most {MOST_IMAGES} images, got {self.batch}")
        if self.batch > 1 and not RUNTIMES[self.runtime].batches:
            raise ValueError(f"{self.runtime} runs one image at a time, so its batch is 1, not {self.batch}")

    @property
    def name(self) -> str:
        """Such as ``onnxruntime_fp32``; threads and batch are named where they are not 1."""
        threads = f"_{self.threads}threads" if self.threads > 1 else ""
        batch = f"_batch{self.batch}" if self.batch > 1 else ""
        return f"{self.runtime}_{self.precision}{threads}{batch}"

    def check(self) -> None:
        """Check that this machine can measure with it.

        Raises
        ------
        CannotMeasure
            On Windows.
        MissingPackage
            For a runtime that is not installed, with the command that installs it.
        ValueError
            For more threads than this process may use cores.
        """
        if sys.platform == "win32":
            raise cores.CannotMeasure("latencies can be measured on Linux and macOS only")
        try:
            self.versions()
        except PackageNotFoundError as error:
            raise MissingPackage(
                f"{self.runtime} needs {error.name}, which is not installed: pip install 'simmore[measure]', or "
                "`make worker` in a checkout"
            ) from error
        usable = cores.usable_cores()
        if absent := set(self.cores) - set(usable):
            raise ValueError(f"cores {sorted(absent)} are not among those of this machine, {usable}")
        available = len(set(self.cores) or usable)
        if self.threads > available:
            raise ValueError(f"{self.threads} threads are more than the {available} cores that they may use")

    def compile(self, arch: int) -> Network:
        """Compile the network of one cell."""
        return RUNTIMES[self.runtime].compile(arch, self)

    def versions(self) -> dict[str, str]:
        """Versions of the packages that the runtime consists of."""
        return provenance.versions(*RUNTIMES[self.runtime].packages)


def _onnxruntime(arch: int, wanted: Configuration) -> Network:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = wanted.threads, 1
    options.log_severity_level = 3
    # After a run, the threads of a session wait in a loop, on the cores that the next network needs. This ends it.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    session = onnxruntime.InferenceSession(_onnx_bytes(arch, wanted), options, providers=["CPUExecutionProvider"])
    return lambda image: session.run(None, {layers.INPUT: image})[0]


def _openvino(arch: int, wanted: Configuration) -> Network:
    import openvino

    core = openvino.Core()
    settings = {
        "INFERENCE_NUM_THREADS": wanted.threads,
        "NUM_STREAMS": 1,
        "INFERENCE_PRECISION_HINT": "f32",  # processors with bfloat16 would use that
        "ENABLE_CPU_PINNING": False,  # the process runs on its reserved cores already
    }
    compiled = core.compile_model(core.read_model(_onnx_bytes(arch, wanted), b""), "CPU", settings)
    request = compiled.create_infer_request()

    def run(image: Image) -> NDArray[np.float32]:
        return request.infer([image], share_inputs=True)[0]

    return run


def _onnx_bytes(arch: int, wanted: Configuration) -> bytes:
    from simmore.hardware import onnx_network

    model = onnx_network.model(arch, batch=wanted.batch)
    if wanted.precision == "int8":
        model = onnx_network.quantised(model, elementwise=wanted.runtime != "openvino")
    return model.SerializeToString()


def _ncnn(arch: int, wanted: Configuration) -> Network:
    import ncnn
    import pnnx

    with tempfile.TemporaryDirectory(prefix="simmore-ncnn-") as folder:
        file = Path(folder) / "network.onnx"
        file.write_bytes(_onnx_bytes(arch, wanted))
        said = subprocess.run([pnnx.EXEC_PATH, file.name, "fp16=0"], cwd=folder, capture_output=True, text=True)
        graph, weights = file.with_suffix(".ncnn.param"), file.with_suffix(".ncnn.bin")
        if said.returncode or not graph.is_file():
            raise RuntimeError(f"pnnx could not convert the network: {(said.stderr or said.stdout)[-300:]}")
        net = ncnn.Net()
        net.opt.use_vulkan_compute = False
        net.opt.num_threads = wanted.threads
        for reduced in ("fp16_packed", "fp16_storage", "fp16_arithmetic", "bf16_storage", "int8_inference"):
            setattr(net.opt, f"use_{reduced}", False)
        if net.load_param(str(graph)) or net.load_model(str(weights)):
            raise RuntimeError("ncnn could not load the network that pnnx wrote")

    def run(image: Image) -> NDArray[np.float32]:
        extractor = net.create_extractor()
        extractor.input("in0", ncnn.Mat(image[0]))
        status, logits = extractor.extract("out0")
        if status:
            raise RuntimeError(f"ncnn failed with status {status}")
        return np.array(logits)[None]

    return run


def _litert(arch: int, wanted: Configuration) -> Network:
    from ai_edge_litert.interpreter import Interpreter

    from simmore.hardware import tflite_network

    content = tflite_network.model(arch, batch=wanted.batch)
    interpreter = Interpreter(model_content=content, num_threads=wanted.threads)
    interpreter.allocate_tensors()
    image_index = interpreter.get_input_details()[0]["index"]
    logits_index = interpreter.get_output_details()[0]["index"]

    def run(image: Image) -> NDArray[np.float32]:
        interpreter.set_tensor(image_index, image.transpose(0, 2, 3, 1))
        interpreter.invoke()
        return interpreter.get_tensor(logits_index)

    return run


def _torch(arch: int, wanted: Configuration) -> Network:
    import torch

    torch.set_num_threads(wanted.threads)
    network = space.network(arch, n_classes=N_CLASSES).eval()
    weights = {f"body.{name}": torch.from_numpy(value) for name, value in layers.initial_weights(arch).items()}
    network.load_state_dict(weights, strict=False)  # batch norms keep their initial values
    forward = _compiled(network) if wanted.runtime == "torch_compile" else network

    def run(image: Image) -> NDArray[np.float32]:
        with torch.inference_mode():
            return forward(torch.from_numpy(image)).numpy()

    run(np.zeros((wanted.batch, 3, SIZE, SIZE), dtype=np.float32))  # torch.compile compiles in the first call
    return run


def _compiled(network: nn.Module) -> Callable[[torch.Tensor], torch.Tensor]:
    """A network under ``torch.compile``, as a function with a code object of its own.

    torch caches compiled code by code object, and silently stops compiling after eight networks that share one.
    """
    import torch
    import torch._inductor.config

    def forward(images: torch.Tensor) -> torch.Tensor:
        return network(images)

    torch._inductor.config.compile_threads = 1  # the process has no other cores than those it measures on
    alone = types.FunctionType(forward.__code__.replace(), forward.__globals__, closure=forward.__closure__)
    return torch.compile(alone, fullgraph=True)


@dataclass(frozen=True)
class Runtime:
    """How a runtime is used.

    Attributes
    ----------
    compile
        Returns the compiled network of a NATS index.
    packages
        Packages that have to be installed, by their names on PyPI.
    precisions
        Precisions that can be measured.
    batches
        Whether a run may have several images.
    rounds
        Rounds of interleaved timing. Networks that move much memory need more: other guests of a machine use its memory
        too, for seconds at a time.
    """

    compile: Callable[[int, Configuration], Network]
    packages: tuple[str, ...]
    precisions: tuple[str, ...] = ("fp32",)
    batches: bool = True
    rounds: int = timing.ROUNDS


RUNTIMES: dict[str, Runtime] = {
    "onnxruntime": Runtime(_onnxruntime, ("onnxruntime", "onnx"), ("fp32", "int8")),
    "openvino": Runtime(_openvino, ("openvino", "onnx", "onnxruntime"), ("fp32", "int8")),
    "ncnn": Runtime(_ncnn, ("ncnn", "pnnx", "onnx"), batches=False, rounds=20),
    "litert": Runtime(_litert, ("ai-edge-litert", "flatbuffers")),
    "torch": Runtime(_torch, ("torch", "xautodl")),
    "torch_compile": Runtime(_torch, ("torch", "xautodl")),
}


def installed() -> list[tuple[str, str]]:
    """Runtime and precision of every configuration whose packages are installed."""
    found = []
    for name, runtime in RUNTIMES.items():
        with contextlib.suppress(PackageNotFoundError):
            provenance.versions(*runtime.packages)
            found += [(name, precision) for precision in runtime.precisions]
    return found
