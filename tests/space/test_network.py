import pytest

from simmore import space

torch = pytest.importorskip("torch")


def test_the_network_has_the_shapes_and_the_size_of_the_benchmarks():
    torch.manual_seed(0)
    net = space.network(0)
    assert net(torch.zeros(2, 3, 32, 32)).shape == (2, 10)
    features, logits = space.network(0, n_classes=120, logits_only=False)(torch.zeros(2, 3, 16, 16))
    assert features.shape == (2, 64) and logits.shape == (2, 120)
    # NATS-Bench counts 0.129306 million parameters for cell 0
    assert sum(p.numel() for p in net.parameters()) / 1e6 == pytest.approx(0.129306)
