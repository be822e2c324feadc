"""A trained controller as plain arrays: read without torch, and without trusting the file it comes from."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simmore import paths, space
from simmore.files import replace
from simmore.rl import mdp

SHIPPED = {
    "heldout": "trained on the paper's devices but HELP's six test devices",
    "paper": "the paper's own setting, all 18 devices in the distribution",
}
_N_OUTPUTS = space.N_EDGES + space.N_OPERATIONS


@dataclass(frozen=True)
class Controller:
    """The policy π: a multilayer perceptron with tanh between its layers.

    Attributes
    ----------
    weights, biases
        Layer by layer, ``(outputs, inputs)`` and ``(outputs,)``; 241 inputs first (`mdp.Observer`), 11 outputs last,
        the logits of 6 edges and 5 operations.
    description
        How it came about: settings, devices, data digests, versions, seconds.
    """

    weights: tuple[NDArray[np.float32], ...]
    biases: tuple[NDArray[np.float32], ...]
    description: dict[str, Any]

    def __post_init__(self) -> None:
        sizes = [mdp.OBSERVATION_SIZE, *(len(b) for b in self.biases)]
        shapes = [w.shape for w in self.weights]
        if not shapes or shapes != list(zip(sizes[1:], sizes[:-1], strict=True)) or sizes[-1] != _N_OUTPUTS:
            raise ValueError(
                f"a controller maps {mdp.OBSERVATION_SIZE} inputs to {_N_OUTPUTS} logits, these layers are {shapes}"
            )
        if not all(np.isfinite(array).all() for array in (*self.weights, *self.biases)):
            raise ValueError("a controller's weights are finite numbers")

    @property
    def layer_sizes(self) -> tuple[int, ...]:
        """Units of each layer, the input first: ``(241, 64, 64, 11)``."""
        return (mdp.OBSERVATION_SIZE, *(len(b) for b in self.biases))

    def logits(self, observation: NDArray[np.float32]) -> NDArray[np.float32]:
        """Logits ``(n, 11)`` of observations ``(n, 241)``: six edges, five operations."""
        x = observation
        for k, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = (np.tanh(x) if k else x) @ weight.T + bias
        return x

    def act(self, observation: NDArray[np.float32], rng: np.random.Generator | None) -> NDArray[np.int64]:
        """Actions ``(n,)``, numbered 5 · edge + operation; drawn with a generator, the likeliest with None."""
        logits: NDArray[np.floating] = self.logits(observation)
        if rng is not None:
            # the largest of logits plus Gumbel noise is a draw from their softmax
            logits = logits + rng.gumbel(size=logits.shape)
        edge = logits[:, : space.N_EDGES].argmax(axis=1)
        operation = logits[:, space.N_EDGES :].argmax(axis=1)
        return edge * space.N_OPERATIONS + operation

    def save(self, path: Path) -> None:
        """Write ``<path>.safetensors`` and ``<path>.json``, each aside first and then moved into place."""
        from safetensors.numpy import save

        tensors = {f"weight_{k}": np.ascontiguousarray(w) for k, w in enumerate(self.weights)}
        tensors |= {f"bias_{k}": np.ascontiguousarray(b) for k, b in enumerate(self.biases)}
        replace(path.with_suffix(".safetensors"), save(tensors))
        text = json.dumps(self.description, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
        replace(path.with_suffix(".json"), text.encode())


def load(which: str | Path = "heldout") -> Controller:
    """A shipped controller by its name (`SHIPPED`), or any other by the path of its ``.safetensors`` file.

    Raises
    ------
    ValueError
        For a name that is not shipped, a missing file, or a file that holds something else.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    path = paths.TABLES / f"controller_{which}.safetensors" if str(which) in SHIPPED else Path(which)
    if path.suffix != ".safetensors" or not path.is_file():
        raise ValueError(f"no controller {str(which)!r}: name one of {', '.join(SHIPPED)}, or a .safetensors file")
    try:
        tensors = load_file(path)
        n = len(tensors) // 2
        weights = tuple(tensors[f"weight_{k}"] for k in range(n))
        biases = tuple(tensors[f"bias_{k}"] for k in range(n))
        description = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        return Controller(weights, biases, description)
    except (SafetensorError, KeyError, OSError, ValueError) as error:
        raise ValueError(f"{path} and its .json hold no controller: {error}") from error
