"""LogSynflow of many cells: `proxies.log_synflow` without autograd, as a product of small matrices.

Without batch norm, with positive weights and an image of ones, every ReLU passes what it gets: the network is
linear. Forward, each convolution is a matrix product with its input's windows as columns, which are kept; back, the
gradient of its weights is a product with the same columns. Cells with one reduced cell have one LogSynflow, for
the edges that the reduction left out have gradient zero and add nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from simmore import space
from simmore.errors import needs
from simmore.proxies import supernetwork
from simmore.proxies.supernetwork import CHANNELS
from simmore.space.canonical import CONV_1X1, POOL, SKIP, Ops

with needs("torch"):
    import torch
    from torch import Tensor
    from torch.nn import functional


def log_synflow_class(ops: Ops, seed: int, size: int, n_classes: int) -> float:
    """LogSynflow of all cells that share one reduced cell (a key of `plans.classes`).

    Parameters
    ----------
    ops
        A key of `plans.classes`.
    seed
        Of the super-network.
    size
        Height and width of the image, pixels.
    n_classes
        Of the classifier, at most 120.
    """
    with torch.inference_mode():
        return _Linear(seed, size).log_synflow(ops, n_classes)


class _Linear:
    """The positive linear version of one seed's super-network, one image of ones, in float64."""

    def __init__(self, seed: int, size: int) -> None:
        self.weights = _positive(seed)
        self.size = size

    def log_synflow(self, ops: Ops, n_classes: int) -> float:
        """Go forward and keep what each convolution sees; go back and sum ``w · log(1 + ∂R/∂w)``."""
        columns = _columns(torch.ones(3, self.size, self.size, dtype=torch.float64))
        stem = columns
        feature = (self.weights["stem"] @ columns).view(CHANNELS[0], self.size, self.size)
        tape: list[tuple[str | int, list]] = []
        for stage in range(3):
            if stage:
                feature, seen = self._reduction(block := "AB"[stage - 1], feature)
                tape.append((block, seen))
            for position in range(stage * supernetwork.CELLS_PER_STAGE, (stage + 1) * supernetwork.CELLS_PER_STAGE):
                output, seen = self._cell(ops, position, feature)
                if output is None:  # zero from here to the logits, and no gradient comes back
                    return 0.0
                tape.append((position, seen))
                feature = output
        classifier = self.weights["classifier"][:n_classes].sum(dim=0)  # (channels,)
        total = float(classifier @ feature.mean(dim=(1, 2)).log1p())
        gradient = (classifier / feature[0].numel())[:, None, None].expand_as(feature)
        for name, seen in reversed(tape):
            if isinstance(name, int):
                gradient, part = self._cell_back(ops, name, seen, gradient)
            else:
                gradient, part = self._reduction_back(name, seen, gradient)
            total += part
        return total + self._part("stem", stem, gradient)

    def _part(self, name: str, columns: Tensor, gradient: Tensor) -> float:
        """One convolution's share of the sum, from its input as columns and the gradient of its output."""
        weight = self.weights[name]
        return float((weight * (gradient.flatten(1) @ columns.T).log1p_()).sum())

    def _cell(self, ops: Ops, position: int, feature: Tensor) -> tuple[Tensor | None, list]:
        """Output of a reduced cell (None: zero), and for each node its pixels and its 3×3 windows as columns."""
        nodes: list[Tensor | None] = [feature, None, None, None]
        seen: list[dict[int, Tensor]] = [{}, {}, {}]
        for edge, (source, target) in enumerate(space.EDGES):
            op, value = ops[edge], nodes[source]
            if op == 0 or value is None:
                continue
            if op == SKIP:
                term = value
            elif op == POOL:
                term = _average_one(value)
            else:
                if op not in seen[source]:
                    seen[source][op] = value.flatten(1) if op == CONV_1X1 else _columns(value)
                term = (self.weights[f"{position}.{edge}.{op}"] @ seen[source][op]).view_as(value)
            before = nodes[target]
            nodes[target] = term if before is None else before + term
        return nodes[3], seen

    def _cell_back(self, ops: Ops, position: int, seen: list, gradient: Tensor) -> tuple[Tensor, float]:
        """Gradient of a cell's input, and the cell's share of the sum."""
        gradients: list[Tensor | None] = [None, None, None, gradient]
        total = 0.0
        for node in (2, 1, 0):
            back = torch.zeros_like(gradient)
            windows: Tensor | None = None
            for edge, (source, target) in enumerate(space.EDGES):
                op, above = ops[edge], gradients[target]
                if source != node or op == 0 or above is None:
                    continue
                if op == SKIP:
                    back += above
                elif op == POOL:
                    back += _average_one_back(above)
                else:
                    name = f"{position}.{edge}.{op}"
                    total += self._part(name, seen[node][op], above)
                    share = self.weights[name].T @ above.flatten(1)
                    if op == CONV_1X1:
                        back += share.view_as(back)
                    else:
                        windows = share if windows is None else windows.add_(share)
            if windows is not None:
                back += _uncolumns(windows, back.shape[-1])
            gradients[node] = back
        return gradients[0], total  # type: ignore[return-value]

    def _reduction(self, block: str, feature: Tensor) -> tuple[Tensor, list]:
        """Output of a reduction block, and the columns that its three convolutions see."""
        size = feature.shape[-1] // 2
        first = _columns(feature, stride=2)
        inside = self.weights[f"{block}.a"] @ first
        second = _columns(inside.view(-1, size, size))
        halved = functional.avg_pool2d(feature[None], 2)[0].flatten(1)
        output = self.weights[f"{block}.b"] @ second + self.weights[f"{block}.down"] @ halved
        return output.view(-1, size, size), [first, second, halved]

    def _reduction_back(self, block: str, seen: list, gradient: Tensor) -> tuple[Tensor, float]:
        """Gradient of the block's input, and the block's share of the sum."""
        first, second, halved = seen
        size = gradient.shape[-1]
        total = self._part(f"{block}.b", second, gradient) + self._part(f"{block}.down", halved, gradient)
        inside = _uncolumns(self.weights[f"{block}.b"].T @ gradient.flatten(1), size)
        total += self._part(f"{block}.a", first, inside)
        back = _uncolumns(self.weights[f"{block}.a"].T @ inside.flatten(1), 2 * size, stride=2)
        down = (self.weights[f"{block}.down"].T @ gradient.flatten(1)).view(-1, size, size)
        return back + down.repeat_interleave(2, 1).repeat_interleave(2, 2) / 4, total


@lru_cache(maxsize=1)
def _positive(seed: int) -> Mapping[str, Tensor]:
    """Absolute weights of one seed as matrices ``(outputs, inputs)``, float64."""
    return {name: weight.double().abs().flatten(1) for name, weight in supernetwork.weights(seed).items()}


def _columns(image: Tensor, stride: int = 1) -> Tensor:
    """3×3 windows of ``(channels, size, size)`` as columns, ``(channels · 9, windows)``; zeros around."""
    return functional.unfold(image[None], 3, padding=1, stride=stride)[0]


def _uncolumns(columns: Tensor, size: int, stride: int = 1) -> Tensor:
    """Sum columns back into ``(channels, size, size)``: the transpose of `_columns`."""
    return functional.fold(columns[None], size, 3, padding=1, stride=stride)[0]


def _average_one(image: Tensor) -> Tensor:
    """3×3 average pooling of one image, padding left out."""
    return functional.avg_pool2d(image[None], 3, 1, 1, count_include_pad=False)[0]


def _average_one_back(gradient: Tensor) -> Tensor:
    """The transpose of `_average_one`."""
    shares = gradient * supernetwork.inverse_counts(gradient.shape[-1], gradient.dtype)[0]
    return functional.avg_pool2d(shares[None], 3, 1, 1, divisor_override=1)[0]
