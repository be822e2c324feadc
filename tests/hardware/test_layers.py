"""Networks written layer by layer compute what the torch network computes, in every format."""

import subprocess
import sys

import numpy as np
import pytest

from simmore import space
from simmore.hardware import layers

torch = pytest.importorskip("torch")
onnxruntime = pytest.importorskip("onnxruntime")
onnx_network = pytest.importorskip("simmore.hardware.onnx_network")
runtimes = pytest.importorskip("simmore.hardware.runtimes")

SINGLE = space.single_operation_archs().tolist()
RNG_CELLS = np.random.default_rng(0).choice(space.N_ARCHS, 195, replace=False).tolist()


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    torch.set_num_threads(1)


def run_onnx(model, image):
    content = model if isinstance(model, str) else model.SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return session.run(None, {layers.INPUT: image})[0]


def run_torch(network, image):
    with torch.inference_mode():
        return network(torch.from_numpy(image)).numpy()


def trained_like(arch, seed, n_classes=10):
    """A torch network whose weights, batch norms included, are all random: no error is hidden by a 0 or a 1."""
    torch.manual_seed(seed)
    network = space.network(arch, n_classes=n_classes).eval()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.normal_(0, 0.3)
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.5, 2)
    return network


def relative_error(ours, theirs):
    return np.abs(ours - theirs).max() / (np.abs(theirs).max() or 1)


@pytest.mark.slow
def test_onnx_computes_what_torch_does_on_200_cells():
    rng = np.random.default_rng(0)
    for arch in [*SINGLE, *RNG_CELLS]:
        network = trained_like(arch, arch)
        image = rng.standard_normal((1, 3, 32, 32), dtype=np.float32)
        model = onnx_network.model(arch, layers.weights_of(network))
        assert relative_error(run_onnx(model, image), run_torch(network, image)) <= 1e-4, arch


def test_litert_computes_what_torch_does_on_50_cells():
    interpreters = pytest.importorskip("ai_edge_litert.interpreter")
    from simmore.hardware import tflite_network

    rng = np.random.default_rng(0)
    for arch in [*SINGLE, *RNG_CELLS[:45]]:
        network = trained_like(arch, arch)
        image = rng.standard_normal((1, 3, 32, 32), dtype=np.float32)
        interpreter = interpreters.Interpreter(model_content=tflite_network.model(arch, layers.weights_of(network)))
        interpreter.allocate_tensors()
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image.transpose(0, 2, 3, 1))
        interpreter.invoke()
        logits = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
        assert relative_error(logits, run_torch(network, image)) <= 1e-4, arch


def test_another_data_set_and_a_batch_of_four():
    arch = space.to_arch("431320")
    network = trained_like(arch, 3, n_classes=120)
    image = np.random.default_rng(0).standard_normal((4, 3, 16, 16), dtype=np.float32)
    model = onnx_network.model(arch, layers.weights_of(network), batch=4, size=16, n_classes=120)
    assert relative_error(run_onnx(model, image), run_torch(network, image)) <= 1e-4


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
def test_operations_that_the_output_does_not_depend_on_are_left_out(cell, live):
    assert space.live_ops(space.to_arch([int(digit) for digit in cell])) == live


def test_a_layer_follows_those_that_it_reads_and_every_output_but_the_last_is_read():
    for arch in np.random.default_rng(1).integers(space.N_ARCHS, size=300).tolist():
        made = {layers.INPUT}
        found = layers.layers(arch)
        for layer in found:
            assert set(layer.inputs) <= made and layer.output not in made
            made.add(layer.output)
        read = {name for layer in found for name in layer.inputs}
        assert found[-1].output == layers.OUTPUT and made - read == {layers.OUTPUT}


def test_initial_weights_have_a_variance_of_2_over_fan_in_and_their_shapes_are_those_of_torch():
    arch = space.to_arch("333333")
    weights = layers.initial_weights(arch, n_classes=100, seed=1)
    network = layers.weights_of(space.network(arch, n_classes=100))
    assert {name for name, value in network.items() if value.ndim > 1} <= set(weights) <= set(network)
    for name, weight in weights.items():
        assert weight.shape == network[name].shape and weight.dtype == np.float32
        if weight.size > 10_000:
            assert weight.var() == pytest.approx(2 / np.prod(weight.shape[1:]), rel=0.1)
    same = layers.initial_weights(arch, n_classes=100, seed=1)
    other = layers.initial_weights(arch, n_classes=100, seed=2)
    assert all(np.array_equal(weights[name], same[name]) for name in weights)
    assert not np.array_equal(weights["stem.0.weight"], other["stem.0.weight"])


def test_int8_has_at_most_twice_the_error_of_onnxruntimes_own_quantiser():
    quantisers = pytest.importorskip("onnxruntime.quantization.qdq_quantizer")
    from onnxruntime.quantization import QuantType
    from onnxruntime.quantization.calibrate import CalibrationMethod, TensorData, TensorsData

    rng = np.random.default_rng(0)
    ours, theirs, real = [], [], []
    for arch in [*SINGLE[1:], *rng.integers(space.N_ARCHS, size=6).tolist()]:
        model = onnx_network.model(arch)
        ranges = {
            name: TensorData(lowest=np.float32(low), highest=np.float32(high))
            for name, (low, high) in onnx_network._ranges(model, 4, 0).items()
        }
        quantiser = quantisers.QDQQuantizer(
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


@pytest.mark.slow
@pytest.mark.parametrize("name", ["onnxruntime", "openvino", "ncnn", "litert", "torch"])
def test_every_runtime_computes_what_torch_does(name):
    pytest.importorskip({"litert": "ai_edge_litert"}.get(name, name))
    image = np.random.default_rng(2).standard_normal((1, 3, 32, 32), dtype=np.float32)
    for arch in [*SINGLE, 10_000]:
        network = space.network(arch).eval()
        weights = {f"body.{key}": torch.from_numpy(value) for key, value in layers.initial_weights(arch).items()}
        assert not network.load_state_dict(weights, strict=False).unexpected_keys
        theirs = run_torch(network, image)
        for precision in runtimes.RUNTIMES[name].precisions:
            ours = runtimes.Configuration(name, precision).compile(arch)(image)
            limit = 1e-4 if precision == "fp32" else 0.15
            assert relative_error(ours, theirs) <= limit, (arch, precision)


def test_an_exported_network_of_trained_weights_computes_what_torch_does(tmp_path):
    network, image = trained_like(99, 5), np.ones((1, 3, 32, 32), dtype=np.float32)
    onnx_network.export(99, tmp_path / "trained.onnx", layers.weights_of(network))
    assert relative_error(run_onnx(str(tmp_path / "trained.onnx"), image), run_torch(network, image)) <= 1e-4


def test_a_network_whose_logits_are_not_finite_is_not_exported(tmp_path):
    weights = layers.initial_weights(99)
    weights["classifier.bias"] = np.full(10, np.nan, dtype=np.float32)
    with pytest.raises(ArithmeticError, match="not finite"):
        onnx_network.export(99, tmp_path / "broken.onnx", weights)
    assert not list(tmp_path.iterdir())


def test_export_needs_neither_torch_nor_onnxruntime(tmp_path):
    file = tmp_path / "cell.onnx"
    program = (
        "import sys, importlib.util, pathlib\n"
        "real = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, *rest: None if name == 'onnxruntime' else real(name, *rest)\n"
        "sys.modules['torch'] = sys.modules['onnxruntime'] = None\n"
        "from simmore.hardware import onnx_network\n"
        "onnx_network.export(7, pathlib.Path(sys.argv[1]))"
    )
    subprocess.run([sys.executable, "-c", program, str(file)], check=True)
    image = np.ones((1, 3, 32, 32), dtype=np.float32)
    np.testing.assert_array_equal(run_onnx(str(file), image), run_onnx(onnx_network.model(7), image))
