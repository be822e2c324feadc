"""The prior that simulated devices give: no table of a real device is used."""

from __future__ import annotations

import json
from functools import cache

import numpy as np
from numpy.typing import NDArray

from simmore import devices, paths, space
from simmore.devices.simulated import fingerprint
from simmore.errors import needs
from simmore.files import replace
from simmore.models.prior import (
    NOISE_SCALES,
    Components,
    Prior,
    coordinates,
    log_range_excess,
    log_shapes,
    noise_weights,
    principal_components,
)

SOURCE = "simulated devices"
TABLE = paths.TABLES / "simulated_prior.safetensors"
_CHUNK = 1_000  # devices that are simulated together


@cache
def simulated_prior() -> Prior:
    """The package's own fit (`fit`).

    Raises
    ------
    ValueError
        If its file is damaged.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        arrays = load_file(TABLE)
        mean, basis = arrays.pop("mean").astype(np.float32), arrays.pop("basis").astype(np.float32)
        lower = np.tril_indices(basis.shape[1] + 1)
        packed = arrays.pop("factor").astype(np.float64)
        factor = np.zeros((len(packed), basis.shape[1] + 1, basis.shape[1] + 1))
        factor[:, lower[0], lower[1]] = packed
        coarse = arrays.pop("coarse").astype(bool)
        del arrays["fingerprint"]  # see `fitted_devices`
        others = {name: array.astype(np.float64) for name, array in arrays.items()}
        return Prior(SOURCE, mean, basis, Components(factor=factor, coarse=coarse, **others))
    except (SafetensorError, LookupError, TypeError, ValueError, OSError) as error:
        raise ValueError(f"{TABLE} holds no prior: {error}. Install the package again.") from error


def fitted_devices() -> NDArray[np.float64]:
    """`fingerprint` of the simulated devices that the package's prior was fitted to."""
    from safetensors.numpy import load_file

    return load_file(TABLE)["fingerprint"].astype(np.float64)


def fit(
    *,
    n: int = 40_000,
    n_basis: int = 4_000,
    n_coordinates: int = 24,
    components: tuple[int, int] = (200, 66),
    seed: int = 0,
) -> Prior:
    """Fit a mixture of Gaussians to n simulated devices.

    Parameters
    ----------
    n, n_basis
        Simulated devices, and how many of them the principal components are computed from.
    n_coordinates
        Coordinates of a device.
    components
        Of the mixture, for devices with exact timers, and with timers that have a step.
    seed
        Of the devices and the mixture.
    """
    with needs("sklearn"):
        from sklearn.mixture import GaussianMixture

    rng = np.random.default_rng(seed)
    drawn = devices.Simulated.draw(n, rng)
    basis: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None
    z, excess, noise = [], [], []
    for start in range(0, n, n_basis):
        some = drawn[start : start + n_basis]
        logs = []
        for k in range(0, len(some), _CHUNK):
            part = some[k : k + _CHUNK]
            latency = part.latency()
            logs.append(log_shapes(latency))
            excess.append(log_range_excess(latency, part.measure(latency, rng)))
        log = np.concatenate(logs)
        basis = basis or principal_components(log, n_coordinates)
        z.append(coordinates(log, *basis))
        # what the coordinates do not explain looks like noise
        unexplained = np.array([(row - basis[0] - basis[1] @ one).var() for row, one in zip(log, z[-1], strict=True)])
        noise.append(0.5 * np.log((1.1 * some.noise) ** 2 + unexplained))
    assert basis is not None
    joint = np.column_stack([np.concatenate(z), np.concatenate(excess), np.concatenate(noise)]).astype(np.float64)
    sd, coarse = joint.std(axis=0), drawn.step > 0
    parts = []
    for kind, count in enumerate(components):
        mixture = GaussianMixture(count, reg_covar=1e-3, tol=1e-2, max_iter=200, random_state=seed)
        mixture.fit((joint / sd)[coarse == bool(kind)])
        centre, covariance = mixture.means_ * sd, mixture.covariances_ * sd[:, None] * sd
        parts.append(
            Components(
                weight=mixture.weights_,
                centre=centre[:, :-1],
                factor=np.linalg.cholesky(covariance[:, :-1, :-1]),
                noise=noise_weights(centre[:, -1], np.sqrt(covariance[:, -1, -1] + _grid_step() ** 2 / 12)),
                coarse=np.full(count, bool(kind)),
            )
        )
    return Prior(SOURCE, *basis, parts[0].mixed(parts[1], 1.0))


def _grid_step() -> float:
    return float(np.diff(np.log(NOISE_SCALES)).mean())


def save(prior: Prior) -> None:
    """Write the package's table; 16-bit numbers are far finer than a device is known."""
    from safetensors.numpy import save as serialise

    one, lower = prior.components, np.tril_indices(prior.components.centre.shape[1])
    arrays = {
        "mean": prior.mean.astype(np.float16),
        "basis": prior.basis.astype(np.float16),
        "weight": one.weight.astype(np.float32),
        "centre": one.centre.astype(np.float32),
        "factor": one.factor[:, lower[0], lower[1]].astype(np.float16),
        "noise": one.noise.astype(np.float32),
        "coarse": one.coarse.astype(np.uint8),
        "fingerprint": fingerprint(),
    }
    assert prior.basis.shape[0] == space.N_ARCHS
    description = {"source": prior.source, "components": len(one)}
    contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    replace(TABLE, serialise(contiguous, {"description": json.dumps(description)}))
