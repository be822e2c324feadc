"""The definitions of the scores, on networks small enough to check by hand."""

import math

import numpy as np
import pytest

from simmore import proxies, space
from simmore.proxies.definitions import agreements

torch = pytest.importorskip("torch")
nn = torch.nn


def test_naswot_is_the_log_determinant_of_agreements():
    """Codes 110, 100 and 001: K = [[3, 2, 0], [2, 3, 1], [0, 1, 3]], det K = 3·8 − 2·6 = 12."""
    images = torch.tensor([[5.0, 0.1, -1.0], [1.0, -2.0, 0.0], [-1.0, -1.0, 3.0]]).view(3, 1, 1, 3)
    assert agreements(images).tolist() == [[3, 2, 0], [2, 3, 1], [0, 1, 3]]
    assert proxies.naswot(nn.ReLU(), images) == pytest.approx(math.log(12))


def test_codes_of_several_relus_add_up():
    """The second ReLU has the same code as the first: K doubles, det K is 8 · 12."""
    images = torch.tensor([[5.0, 0.1, -1.0], [1.0, -2.0, 0.0], [-1.0, -1.0, 3.0]]).view(3, 1, 1, 3)
    assert proxies.naswot(nn.Sequential(nn.ReLU(), nn.ReLU()), images) == pytest.approx(math.log(96))


def test_naswot_without_differing_codes_is_minus_infinity():
    images = torch.ones(4, 1, 2, 2)
    assert proxies.naswot(nn.ReLU(), images) == -math.inf
    assert proxies.naswot(nn.Flatten(), images) == -math.inf


def test_naswot_normalises_by_the_batch_and_does_not_change_the_network():
    """Images 1 and 3 normalise to −1 and 1: codes 0 and 1, K = identity, log det 0. Without, both are positive."""
    network = nn.Sequential(nn.BatchNorm2d(1), nn.ReLU()).eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    assert proxies.naswot(network, torch.tensor([1.0, 3.0]).view(2, 1, 1, 1)) == pytest.approx(0)
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert not network.training


def test_log_synflow_of_one_linear_layer():
    """R is the sum of all |w| for inputs of 1, each ∂R/∂w is 1: (1 + 2 + 0.5 + 0.5) · log 2."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(2, 2, bias=False))
    network[1].weight.data = torch.tensor([[1.0, -2.0], [0.5, -0.5]])
    assert proxies.log_synflow(network, (1, 1, 2)) == pytest.approx(4 * math.log(2))


def test_log_synflow_includes_convolutions_and_leaves_out_batch_norms():
    """R = |−2| · 3: ∂R/∂w = 3 at the convolution, 2 at the linear layer; 2 log(1 + 3) + 3 log(1 + 2)."""
    network = nn.Sequential(nn.Conv2d(1, 1, 1, bias=False), nn.BatchNorm2d(1), nn.ReLU(), nn.Flatten(), nn.Linear(1, 1))
    network[0].weight.data.fill_(-2)
    network[4].weight.data.fill_(3)
    assert proxies.log_synflow(network, (1, 1, 1)) == pytest.approx(2 * math.log(4) + 3 * math.log(3))
    assert network[0].weight.item() == -2 and network[0].weight.grad is None


def test_images_that_do_not_fit_the_network_are_an_error():
    network = nn.Sequential(nn.Conv2d(3, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(2, 1))
    with pytest.raises(ValueError, match=r"shape \(2, 1, 3, 3\) do not fit the network: .*channels"):
        proxies.naswot(network, torch.ones(2, 1, 3, 3))
    with pytest.raises(ValueError, match=r"shape \(1, 3, 5, 5\) do not fit the network"):
        proxies.log_synflow(network, (3, 5, 5))
    with pytest.raises(ValueError, match="at least two"):
        proxies.naswot(network, torch.ones(1, 3, 3, 3))


def test_skip_score_is_the_mean_reach_of_skip_connect_edges():
    assert proxies.skip_score(0) == pytest.approx(1 / 3)
    assert proxies.skip_score(space.to_arch((0, 0, 0, 1, 0, 0))) == 2  # one edge, 0→3, over two nodes
    assert proxies.skip_score(space.to_arch("333333")) == 0
    expected = []
    for ops in space.all_ops().tolist():
        reach = [j - i - 1 for op, (i, j) in zip(ops, space.EDGES, strict=True) if op == 1]
        expected.append(sum(reach) / len(reach) if reach else 0)
    np.testing.assert_array_equal(proxies.skip_score(np.arange(space.N_ARCHS)), expected)


def test_freerea_score_is_the_mean_of_normalised_scores():
    np.testing.assert_allclose(proxies.normalise([2, 4, 3]), [0, 1, 0.5])
    np.testing.assert_allclose(proxies.freerea_score([0, 10, 5], [3, 1, 2], [0, 1, 1]), [1 / 3, 2 / 3, 2 / 3])


@pytest.mark.parametrize("values", [[1, np.nan], [1, -np.inf], [2, 2]])
def test_values_that_are_not_finite_or_all_equal_cannot_be_normalised(values):
    with pytest.raises(ValueError, match="finite and differ"):
        proxies.normalise(values)
