"""Helpers for training with stable-baselines3."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from simmore.errors import needs

if TYPE_CHECKING:
    from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch use one thread: with more, small layers are no faster, and the order of sums changes.

    Raises
    ------
    MissingPackage
        If torch or stable-baselines3 is not installed.
    """
    with needs("torch", "stable_baselines3"):
        import stable_baselines3  # noqa: F401
        import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def without_log(model: OnPolicyAlgorithm) -> OnPolicyAlgorithm:
    """The model, with logging disabled: by default it writes to the folder of temporary files."""
    from stable_baselines3.common.logger import Logger

    model.set_logger(Logger(folder=None, output_formats=[]))
    return model


Arrays = tuple[NDArray[np.float32], ...]


def layer_arrays(modules: Iterable[Any]) -> tuple[Arrays, Arrays]:
    """Weights ``(outputs, inputs)`` and biases ``(outputs,)`` of the linear layers among torch modules, copied."""
    from torch import nn

    linear = [module for module in modules if isinstance(module, nn.Linear)]
    weights = tuple(layer.weight.detach().numpy().copy() for layer in linear)
    biases = tuple(
        np.zeros(layer.out_features, dtype=np.float32) if layer.bias is None else layer.bias.detach().numpy().copy()
        for layer in linear
    )
    return weights, biases
