"""Networks written layer by layer compute what the torch network does, in every format."""

import numpy as np
import pytest

from simmore import space
from simmore.hardware import layers

torch = pytest.importorskip("torch")
onnxruntime = pytest.importorskip("onnxruntime")

from simmore.hardware import (
    onnx_network,
    runtimes,
    tflite_network,
)
from simmore.proxies import supernetwork

SINGLE = space.single_operation_archs().tolist()


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    torch.set_num_threads(1)


def run_onnx(model, image):
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {layers.INPUT: image})[0]


def trained_like(arch, seed):
    """A network whose weights, batch norms included, are all drawn: nothing is hidden by a 0 or a 1."""
    torch.manual_seed(seed)
    network = space.network(arch).eval()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.normal_(0, 0.3)
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.5, 2)
    return network


def relative_error(ours, theirs):
    return np.abs(ours - theirs).max() / np.abs(theirs).max()


def test_onnx_and_litert_compute_what_torch_does_on_200_cells():
    rng = np.random.default_rng(0)
    archs = [*SINGLE, *rng.choice(space.N_ARCHS, 195, replace=False).tolist()]
    worst = {"onnx": 0.0, "litert": 0.0}
    for arch in archs:
        network = trained_like(arch, arch)
        weights = layers.weights_of(network)
        image = rng.standard_normal((1, 3, 32, 32), dtype=np.float32)
        with torch.inference_mode():
            theirs = network(torch.from_numpy(image)).numpy()
        worst["onnx"] = max(worst["onnx"], relative_error(run_onnx(onnx_network.model(arch, weights), image), theirs))
        if arch % 4 == 0:
            interpreter = pytest.importorskip("ai_edge_litert.interpreter").Interpreter(
                model_content=tflite_network.model(arch, weights)
            )
            interpreter.allocate_tensors()
            interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image.transpose(0, 2, 3, 1))
            interpreter.invoke()
            logits = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
            worst["litert"] = max(worst["litert"], relative_error(logits, theirs))
    assert 0 < worst["onnx"] <= 1e-4 and 0 < worst["litert"] <= 1e-4, worst


def test_other_data_sets_and_batches():
    arch = space.to_arch("431320")
    network = supernetwork.initialise(space.network(arch, n_classes=120), arch, seed=3).eval()
    image = np.random.default_rng(0).standard_normal((4, 3, 16, 16), dtype=np.float32)
    with torch.inference_mode():
        theirs = network(torch.from_numpy(image)).numpy()
    model = onnx_network.model(arch, layers.weights_of(network), batch=4, size=16, n_classes=120)
    assert relative_error(run_onnx(model, image), theirs) <= 1e-4
    initial = onnx_network.model(arch, layers.initial_weights(arch, 120, seed=3), batch=4, size=16, n_classes=120)
    assert relative_error(run_onnx(initial, image), theirs) <= 1e-4


@pytest.mark.parametrize(
    ("cell", "live"),
    [
        ("333333", (3, 3, 3, 3, 3, 3)),
        ("300100", (0, 0, 0, 1, 0, 0)),  # nodes 1 and 2 lead nowhere
        ("030003", (0, 3, 0, 0, 0, 3)),
        ("003033", (0, 0, 3, 0, 3, 3)),  # a convolution of zero is not zero, with a batch norm behind it
        ("001044", (0, 0, 0, 0, 0, 0)),  # but a pooled zero is
        ("001040", (0, 0, 0, 0, 0, 0)),
        ("301002", (3, 0, 1, 0, 0, 2)),
        ("312040", (3, 0, 0, 0, 4, 0)),
    ],
)
def test_what_the_output_does_not_depend_on_is_left_out(cell, live):
    assert space.live_ops(space.to_arch(cell)) == live


def test_layers_are_in_order_and_end_at_the_output():
    for arch in np.random.default_rng(1).integers(space.N_ARCHS, size=300).tolist():
        made = {layers.INPUT}
        found = layers.layers(arch)
        for layer in found:
            assert set(layer.inputs) <= made and layer.output not in made
            made.add(layer.output)
        read = {name for layer in found for name in layer.inputs}
        assert found[-1].output == layers.OUTPUT and made - read == {layers.OUTPUT}


def test_int8_is_what_onnxruntimes_own_quantiser_makes():
    from onnxruntime.quantization import QuantType
    from onnxruntime.quantization.calibrate import CalibrationMethod, TensorData, TensorsData
    from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

    rng = np.random.default_rng(0)
    ours, theirs, real = [], [], []
    for arch in [*SINGLE[1:], *rng.integers(space.N_ARCHS, size=6).tolist()]:
        model = onnx_network.model(arch)
        ranges = {
            name: TensorData(lowest=np.float32(low), highest=np.float32(high))
            for name, (low, high) in onnx_network._ranges(model, 4, 0).items()
        }
        quantiser = QDQQuantizer(
            onnx_network.model(arch), per_channel=True, reduce_range=False, weight_qType=QuantType.QInt8,
            activation_qType=QuantType.QUInt8, tensors_range=TensorsData(CalibrationMethod.MinMax, ranges),
            nodes_to_quantize=[], nodes_to_exclude=[], extra_options={},
            op_types_to_quantize=["Conv", "Relu", "Add", "AveragePool", "GlobalAveragePool", "Gemm", "Mul"],
        )  # fmt: skip
        quantiser.quantize_model()
        image = rng.standard_normal((1, 3, 32, 32), dtype=np.float32)
        scale = np.abs(run_onnx(model, image)).max()
        if scale == 0:
            continue
        real.append(run_onnx(model, image) / scale)
        ours.append(run_onnx(onnx_network.quantised(model), image) / scale)
        theirs.append(run_onnx(quantiser.model.model, image) / scale)
    error, library_error = (np.abs(np.array(one) - np.array(real)).mean() for one in (ours, theirs))
    assert error < 0.03 and error < 2 * library_error, (error, library_error)


@pytest.mark.parametrize("name", ["onnxruntime", "openvino", "ncnn", "litert", "torch"])
def test_every_runtime_computes_what_torch_does(name):
    image = np.random.default_rng(2).standard_normal((1, 3, 32, 32), dtype=np.float32)
    for arch in [*SINGLE, 10_000]:
        reference = supernetwork.initialise(space.network(arch), arch, seed=0).eval()
        with torch.inference_mode():
            theirs = reference(torch.from_numpy(image)).numpy()
        for precision in runtimes.RUNTIMES[name].precisions:
            ours = runtimes.Configuration(name, precision).compile(arch)(image)
            error = np.abs(ours - theirs).max() / (np.abs(theirs).max() or 1)
            assert error <= (1e-4 if precision == "fp32" else 0.15), (arch, precision, error)


def test_an_exported_answer_loads_and_matches_torch(tmp_path):
    error = onnx_network.export(7, tmp_path / "best.onnx")
    assert error <= 1e-4
    session = onnxruntime.InferenceSession(tmp_path / "best.onnx", providers=["CPUExecutionProvider"])
    image = np.ones((1, 3, 32, 32), dtype=np.float32)
    network = supernetwork.initialise(space.network(7), 7, seed=0).eval()
    with torch.inference_mode():
        theirs = network(torch.from_numpy(image)).numpy()
    assert relative_error(session.run(None, {"image": image})[0], theirs) <= 1e-4


def test_an_export_of_trained_weights(tmp_path):
    network = trained_like(99, 5)
    onnx_network.export(99, tmp_path / "trained.onnx", layers.weights_of(network))
    session = onnxruntime.InferenceSession(tmp_path / "trained.onnx", providers=["CPUExecutionProvider"])
    image = np.ones((1, 3, 32, 32), dtype=np.float32)
    with torch.inference_mode():
        theirs = network(torch.from_numpy(image)).numpy()
    assert relative_error(session.run(None, {"image": image})[0], theirs) <= 1e-4
