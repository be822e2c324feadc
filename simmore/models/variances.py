"""How wide the mixture prior is: variances fitted to known devices by marginal likelihood.

Each device is left out, with its family, of the mixture that it is judged by.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from simmore import data, devices, paths, space
from simmore.files import replace
from simmore.models.features import feature_blocks, shapes, smooth_parts
from simmore.models.known import known_devices, tables

TABLE = paths.TABLES / "prior_variances.json"
NOISE_SCALES = np.array([0.03, 0.2, 0.5, 0.9, 1.5, 2.5])  # values of τ, from additive to noisier than any known device


@dataclass(frozen=True)
class Variances:
    """How wide the mixture is, in units of the squared mean latency.

    Attributes
    ----------
    broad, local
        Of component 0 and of those near a device, ``(3,)``: the devices' deviations, then each block of features.
    s0, s1
        Of a cell's own part: constant, and in proportion to the squared mean shape.
    p_broad
        Weight of component 0.
    """

    broad: tuple[float, ...]
    local: tuple[float, ...]
    s0: float
    s1: float
    p_broad: float


def stored_variances(without: Iterable[str]) -> Variances:
    """The package's own fit (`fit_all`) with at most one family left out; fitted now if there are several."""
    measured = {devices.family(name) for name in data.MEASURED}
    out = sorted({devices.family(name) for name in without} & measured)
    if len(out) <= 1:
        stored = json.loads(TABLE.read_text(encoding="utf-8"))["".join(out)]
        broad, local = tuple(stored.pop("broad")), tuple(stored.pop("local"))
        return Variances(broad, local, **stored)
    known = known_devices(tuple(out))
    return fit_variances(tables(known), [devices.family(device.name) for device in known])


def fit_all() -> None:
    """Fit the variances without each family, and without none, and write the package's table.

    Raises
    ------
    TableMissing
        If a measured table is missing: sums of operations cannot show what measurements add to them.
    """
    from tqdm.auto import tqdm

    for name in data.MEASURED:
        data.latency_table(name)
    families = ["", *dict.fromkeys(devices.family(name) for name in data.MEASURED)]
    fitted = {}
    for out in tqdm(families, desc="fitting variances", disable=None):
        known = known_devices((out,))
        one = fit_variances(tables(known), [devices.family(device.name) for device in known])
        fitted[out] = asdict(one)
    rounded = json.loads(json.dumps(fitted), parse_float=lambda text: float(f"{float(text):.6g}"))
    replace(TABLE, (json.dumps(rounded, indent=1) + "\n").encode())


def fit_variances(
    latency_ms: NDArray[np.float64],
    families: Sequence[str],
    *,
    cells: int = 40,
    repeats: int = 4,
    iterations: int = 30,
    seed: int = 0,
) -> Variances:
    """Maximise the marginal likelihood of random cells of each device, its family left out of the mixture.

    Parameters
    ----------
    latency_ms, families
        Tables ``(D, 15625)`` in ms, and their boards.
    cells, repeats
        Random cells a device, and how many such sets: with half as many, other cells give other variances.
    iterations
        Of L-BFGS; a weak pull towards its start keeps apart what few devices cannot.
    """
    from scipy.optimize import minimize
    from scipy.special import expit

    cases = _Cases(latency_ms, np.asarray(families), cells, repeats, np.random.default_rng(seed))
    widths = [0.6, 0.05, 0.003, 0.05, 0.005, 0.001]  # broad, then local: devices, counts, used counts
    start = np.r_[np.log([*widths, 4e-4, 3e-3]), -1.0]
    bounds = [(-12.0, 2.0)] * (len(start) - 1) + [(-3.0, 1.0)]

    def loss(theta: NDArray[np.float64]) -> float:
        return 0.002 * float(((theta - start) ** 2).mean()) - cases.log_likelihood(theta)

    theta = minimize(loss, start, method="L-BFGS-B", bounds=bounds, options={"maxiter": iterations}).x
    sizes = [float(value) for value in np.exp(theta[:-1])]
    return Variances(tuple(sizes[:3]), tuple(sizes[3:6]), sizes[6], sizes[7], float(expit(theta[-1])))


class _Cases:
    """Random cells of each known device, as a device to come sees them: with its family out of the mixture."""

    def __init__(
        self,
        latency_ms: NDArray[np.float64],
        families: NDArray[np.str_],
        cells: int,
        repeats: int,
        rng: np.random.Generator,
    ) -> None:
        shape = shapes(latency_ms)
        centres = smooth_parts(shape)
        residuals, grams, means, kept = [], [], [], []
        for device in range(len(shape)):
            keep = families != families[device]
            mean = shape[keep].mean(axis=0)
            deviations = (shape[keep] - mean).T / np.sqrt(keep.sum())
            for _ in range(repeats):
                i = rng.choice(space.N_ARCHS, cells, replace=False)
                grams.append([block[i] @ block[i].T for block in (deviations, *feature_blocks())])
                residuals.append(shape[device, i][:, None] - np.column_stack([mean[i], centres[:, i].T]))
                means.append(mean[i])
                kept.append(keep)
        self.residuals = np.array(residuals)  # (cases, cells, 1 + D)
        self.grams = np.array(grams)  # (cases, blocks, cells, cells)
        self.means = np.array(means)  # (cases, cells)
        self.kept = np.array(kept)  # (cases, D)

    def log_likelihood(self, theta: NDArray[np.float64]) -> float:
        """Per cell, of log variances (broad, local, s0, s1) and the logit of the broad component's weight."""
        from scipy.special import expit, logsumexp

        s0, s1 = np.exp(theta[6:8])
        p_broad = expit(theta[8])
        share = np.maximum((1 - p_broad) * self.kept / self.kept.sum(axis=1, keepdims=True), 1e-300)
        log_weights = (np.full((len(self.kept), 1), np.log(p_broad)), np.log(share))
        parts = (self.residuals[:, :, :1], self.residuals[:, :, 1:])
        diagonal = np.arange(self.means.shape[1])
        terms = []
        for widths, log_weight, residual in zip(np.exp(theta[:6].reshape(2, 3)), log_weights, parts, strict=True):
            smooth = np.einsum("b,cbij->cij", widths, self.grams)
            for level in NOISE_SCALES:
                covariance = smooth.copy()
                covariance[:, diagonal, diagonal] += level**2 * (s0 + s1 * self.means**2) + 1e-6
                lower = np.linalg.cholesky(covariance)
                z = np.linalg.solve(lower, residual)
                log_det = np.log(lower[:, diagonal, diagonal]).sum(axis=1, keepdims=True)
                terms.append(log_weight - 0.5 * (z**2).sum(axis=1) - log_det)
        return float(logsumexp(np.concatenate(terms, axis=1), axis=1).mean() / self.means.shape[1])
