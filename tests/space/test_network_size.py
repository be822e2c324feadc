import pytest

from simmore import data, space

torch = pytest.importorskip("torch")
pytest.importorskip("xautodl")


@pytest.mark.parametrize("dataset", data.DATASETS)
def test_parameters_and_flops_are_those_of_the_torch_network(dataset):
    size, n_classes = data.task(dataset)
    for arch in (0, 1, 1462, int(space.single_operation_archs()[3])):
        network = space.network(arch, n_classes=n_classes)
        parameters = sum(parameter.numel() for parameter in network.parameters())
        assert space.parameters(arch, n_classes) == parameters / 1e6
        macs = []

        def count(module, inputs, output, macs=macs):
            macs.append(module.weight.numel() * output[0, 0].numel())

        for module in network.modules():
            if isinstance(module, torch.nn.Conv2d | torch.nn.Linear):
                module.register_forward_hook(count)
        network.eval()(torch.zeros(1, 3, size, size))
        assert space.flops(arch, size, n_classes) == sum(macs) / 1e6


def test_layers_that_the_output_does_not_depend_on_add_no_live_flops():
    """A 3×3 convolution on 0→3 alone, and the same with dead convolutions beside it; a cell without a path."""
    alone, dead, no_path = (0, 0, 0, 3, 0, 0), (3, 0, 3, 3, 0, 0), (3, 3, 3, 0, 0, 0)
    archs = space.to_archs([alone, dead, no_path])
    alone_flops, dead_flops, no_flops = space.live_flops(archs)
    assert alone_flops == dead_flops == space.flops(archs[0]) < space.flops(archs[1])
    assert no_flops == 0
