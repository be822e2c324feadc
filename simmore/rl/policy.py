"""Policies as plain arrays, one safetensors file each, read without torch.

A file holds the arrays ``0.weight``, ``0.bias``, ``1.weight``, … in any floating-point type, and in its header, as JSON
text under ``description``, how the policy was trained. The first weight may leave out the last inputs, those that the
policy never sees.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

from simmore import paths, space
from simmore.files import replace
from simmore.rl import mdp

POLICIES = paths.TABLES / "policies"


@dataclass(frozen=True)
class Perceptron:
    """Linear layers with tanh between them.

    Attributes
    ----------
    weights, biases
        Layer by layer, float32 ``(outputs, inputs)`` and ``(outputs,)``.
    description
        How it was trained: settings, devices, versions, seconds.
    """

    inputs: ClassVar[int]
    outputs: ClassVar[int]

    weights: tuple[NDArray[np.float32], ...]
    biases: tuple[NDArray[np.float32], ...]
    description: dict[str, Any]

    def __post_init__(self) -> None:
        shapes, sizes = [weight.shape for weight in self.weights], self.layer_sizes
        if shapes != list(zip(sizes[1:], sizes[:-1], strict=True)) or sizes[-1] != self.outputs:
            raise ValueError(f"expected layers from {self.inputs} inputs to {self.outputs} outputs, got {shapes}")
        if not all(np.isfinite(array).all() for array in self.arrays().values()):
            raise ValueError("weights must be finite numbers")

    @property
    def layer_sizes(self) -> tuple[int, ...]:
        """Units of each layer, the input first, such as ``(241, 64, 64, 11)``."""
        return (self.inputs, *(len(bias) for bias in self.biases))

    def forward(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Outputs ``(n, outputs)`` of inputs ``(n, inputs)``."""
        for k, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = (np.tanh(x) if k else x) @ weight.T + bias
        return x

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        """All arrays by the names that they have in a file."""
        weights = {f"{k}.weight": weight for k, weight in enumerate(self.weights)}
        return weights | {f"{k}.bias": bias for k, bias in enumerate(self.biases)}

    def save(self, path: str | Path, *, overwrite: bool = False, dtype: DTypeLike = np.float32) -> Path:
        """Write one file in one step, and return its path.

        Parameters
        ----------
        path
            ``.safetensors`` is appended unless it is there.
        overwrite
            Replace an existing file.
        dtype
            Floating-point type of the stored arrays.

        Raises
        ------
        FileExistsError
            If the file exists and `overwrite` is False.
        """
        from safetensors.numpy import save

        file = new_file(path, overwrite=overwrite)
        arrays = self.arrays()
        used = np.flatnonzero(arrays["0.weight"].any(axis=0))
        arrays["0.weight"] = arrays["0.weight"][:, : used.max(initial=0) + 1]
        stored = {name: np.ascontiguousarray(array, dtype) for name, array in arrays.items()}
        description = json.dumps(self.description, sort_keys=True, ensure_ascii=False)
        replace(file, save(stored, {"description": description}))
        return file

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a file that `save` wrote.

        Raises
        ------
        ValueError
            If there is no such file, or it holds something else.
        """
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, framework="np") as file:
                description = json.loads((file.metadata() or {})["description"])
                stored = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  not a dict
            if not isinstance(description, dict) or any(array.dtype.kind != "f" for array in stored.values()):
                raise ValueError("expected floating-point arrays and a JSON object as description")
            arrays = {name: array.astype(np.float32) for name, array in stored.items()}
            n = sum(name.endswith(".weight") for name in arrays)
            weights, biases = ([arrays.pop(f"{k}.{part}") for k in range(n)] for part in ("weight", "bias"))
            unseen = cls.inputs - weights[0].shape[1]
            weights[0] = np.pad(weights[0], ((0, 0), (0, unseen)))
            return cls(tuple(weights), tuple(biases), description, **arrays)
        except (SafetensorError, LookupError, OSError, TypeError, ValueError) as error:
            raise ValueError(f"{path} does not hold a policy of this kind: {error}") from error


class Policy(Perceptron):
    """The paper's policy π: logits of the edge to edit and of the operation to put there.

    Its inputs are the 241 numbers of `mdp.Observer`, its outputs the logits of 6 edges and 5 operations.
    """

    inputs = mdp.OBSERVATION_SIZE
    outputs = space.N_EDGES + space.N_OPERATIONS

    def act(self, observation: NDArray[np.float32], rng: np.random.Generator | None) -> NDArray[np.int64]:
        """Actions ``(n,)``, numbered 5 · edge + operation; sampled with a generator, the most likely with None."""
        logits: NDArray[np.floating] = self.forward(observation)
        if rng is not None:
            # the argmax of logits plus Gumbel noise is a sample from their softmax
            logits = logits + rng.gumbel(size=logits.shape)
        edge = logits[:, : space.N_EDGES].argmax(axis=1)
        operation = logits[:, space.N_EDGES :].argmax(axis=1)
        return edge * space.N_OPERATIONS + operation


def new_file(path: str | Path, *, overwrite: bool = False) -> Path:
    """The file that `Perceptron.save` writes for a path; dots in its name are kept.

    Raises
    ------
    FileExistsError
        If the file exists and `overwrite` is False.
    """
    path = Path(path)
    file = path if path.suffix == ".safetensors" else path.with_name(f"{path.name}.safetensors")
    if file.exists() and not overwrite:
        raise FileExistsError(f"{file} already exists: choose another name, or overwrite it (--force).")
    return file


def shipped() -> list[str]:
    """Names of the paper's policies that come with the package; `context.load` reads the controllers."""
    return sorted(file.stem for file in POLICIES.glob("*.safetensors") if not file.stem.startswith("controller_"))


def load(name_or_path: str | Path = "heldout") -> Policy:
    """A policy that comes with the package, or one from a file.

    Parameters
    ----------
    name_or_path
        ``heldout`` (trained without HELP's six test devices), ``paper`` (on all 18 devices of the paper), an ablation
        (``trpo``, ``a2c``, ``no_history``, ``target_<device>``), or the path of a ``.safetensors`` file.

    Raises
    ------
    ValueError
        For an unknown name, a missing file, or a file that holds something else.
    """
    name = str(name_or_path)
    if name in shipped():
        return Policy.read(POLICIES / f"{name}.safetensors")
    if not name.endswith(".safetensors") or not Path(name).is_file():
        raise ValueError(f"no policy {name!r}: name one of {', '.join(shipped())}, or a .safetensors file")
    return Policy.read(Path(name))
