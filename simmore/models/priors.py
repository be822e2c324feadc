"""What other devices say of a new one, before it is met: a mixture of Gaussian models of its latency over all cells.

``ℓ = a (c_k + X w + τ e)``, with ``a`` the device's unknown scale and ``τ`` its unknown noise level. Component ``k`` is
unknown too: 0 is broad, around the mean shape of the known devices; component d is near known device d. ``X w`` is
Gaussian, in three blocks: the known devices' deviations from their mean, operation counts, and counts on the edges
that the output needs. ``e`` is independent from cell to cell, of variance ``s0 + s1 · mean²``.

How wide each block is, the marginal likelihood of known devices says, each with its own family left out.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simmore import data, devices, paths, space
from simmore.files import replace

NOISE_LEVELS = np.array([0.03, 0.2, 0.5, 0.9, 1.5, 2.5])  # values of τ, from additive to noisier than any known device
TABLE = paths.TABLES / "prior_variances.json"
_SMALLEST_LEVEL = 0.03  # of a known device that its smooth part explains entirely


@cache
def feature_blocks() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Shares of the operations, ``(15625, 5)``: on all edges, and on those that the output needs.

    The second block has whether any edge leads to the output in the place of `none`. Graph compilers drop what the
    output does not need (raspi4, pixel3), frameworks that run eagerly do not.
    """
    one_hot = space.all_ops()[:, :, None] == np.arange(space.N_OPERATIONS)  # (cells, edges, operations)
    live = space.live_edges(np.arange(space.N_ARCHS))
    used = (one_hot & live[:, :, None]).sum(axis=1) / space.N_EDGES
    used[:, 0] = live.any(axis=1)
    return devices.all_operation_counts() / space.N_EDGES, used


def shapes(latency_ms: NDArray[np.float64]) -> NDArray[np.float64]:
    """Tables ``(devices, cells)`` divided by their means: what is left when a device's scale is not known."""
    return latency_ms / latency_ms.mean(axis=1, keepdims=True)


def smooth_parts(shape: NDArray[np.float64]) -> NDArray[np.float64]:
    """What `feature_blocks` explain of shapes ``(devices, 15625)``, by least squares."""
    from scipy.linalg import lstsq

    design = np.column_stack([np.ones(space.N_ARCHS), *feature_blocks()])
    return (design @ lstsq(design, shape.T)[0]).T


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


@dataclass(frozen=True)
class Prior:
    """What is known of a device before it is met; shapes are latencies divided by their mean over all cells.

    Attributes
    ----------
    mean
        Mean shape, ``(15625,)``.
    centres, weights, near
        Of the 1 + D components: centre ``(1 + D, 15625)``, weight, and 0 for the broad one, 1 for those near a device.
    bases
        Of the broad and of the local components, ``(15625, k)``: X with its standard deviations.
    noise
        Variance of a cell's own part at τ = 1, ``(15625,)``.
    level, log_stretch, whole_ms
        Of each known device, ``(D,)``: its τ; by how much the range of its table exceeds its smooth part's; whether its
        timer counts whole ms.
    """

    mean: NDArray[np.float64]
    centres: NDArray[np.float64]
    weights: NDArray[np.float64]
    near: NDArray[np.int64]
    bases: tuple[NDArray[np.float64], NDArray[np.float64]]
    noise: NDArray[np.float64]
    level: NDArray[np.float64]
    log_stretch: NDArray[np.float64]
    whole_ms: NDArray[np.bool_]


def make_prior(latency_ms: NDArray[np.float64], variances: Variances) -> Prior:
    """The prior that known devices' tables ``(D, 15625)``, in ms, give."""
    shape = shapes(latency_ms)
    mean, centres, n = shape.mean(axis=0), smooth_parts(shape), len(shape)
    blocks = ((shape - mean).T / np.sqrt(n), *feature_blocks())
    noise = variances.s0 + variances.s1 * mean**2
    broad, local = (
        np.concatenate([block * np.sqrt(v) for block, v in zip(blocks, widths, strict=True)], axis=1)
        for widths in (variances.broad, variances.local)
    )
    return Prior(
        mean=mean,
        centres=np.concatenate([mean[None], centres]),
        weights=np.r_[variances.p_broad, np.full(n, (1 - variances.p_broad) / n)],
        near=np.r_[0, np.ones(n, dtype=np.int64)],
        bases=(broad, local),
        noise=noise,
        level=np.sqrt(((shape - centres) ** 2 / noise).mean(axis=1)).clip(_SMALLEST_LEVEL),
        log_stretch=np.log(np.ptp(shape, axis=1) / np.ptp(centres, axis=1)),
        whole_ms=np.array([counts_whole_ms(table) for table in latency_ms]),
    )


def counts_whole_ms(latency_ms: ArrayLike) -> bool:
    """Whether all these latencies are whole numbers of ms, as phones report them."""
    latency_ms = np.asarray(latency_ms)
    return bool((latency_ms == np.round(latency_ms)).all())


@cache
def known_devices(without: tuple[str, ...] = ()) -> tuple[devices.Device, ...]:
    """Measured devices that share no board with the named ones; where no table is to be had, sums of operations."""
    measured = devices.available(devices.without_family(data.MEASURED, without))
    if measured:
        return tuple(measured)
    return tuple(devices.load(f"{name}_lut") for name in devices.without_family(devices.PAPER_DEVICES, without))


def tables(known: Sequence[devices.Device]) -> NDArray[np.float64]:
    """Latencies of devices, ``(D, 15625)`` in ms; a cell that does not compile is as slow as their slowest."""
    table = np.stack([device.latency_ms(np.arange(space.N_ARCHS)) for device in known])
    slowest = np.where(np.isfinite(table), table, 0).max(axis=1, keepdims=True)
    return np.where(np.isfinite(table), table, slowest)


@cache
def prior_without(*tested: str) -> Prior:
    """The prior for devices of these names: nothing of their boards is in it, neither in tables nor in variances."""
    return make_prior(tables(known_devices(tested)), stored_variances(tested))


def stored_variances(tested: Iterable[str]) -> Variances:
    """The package's own fit (`fit_all`) with the family of one tested device left out, or fitted now for several."""
    measured = {devices.family(name) for name in data.MEASURED}
    out = sorted({devices.family(name.removesuffix("_lut")) for name in tested} & measured)
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
        If a measured table is not to be had: sums of operations know nothing of what measurements add to them.
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
    prior_without.cache_clear()


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
            for level in NOISE_LEVELS:
                covariance = smooth.copy()
                covariance[:, diagonal, diagonal] += level**2 * (s0 + s1 * self.means**2) + 1e-6
                lower = np.linalg.cholesky(covariance)
                z = np.linalg.solve(lower, residual)
                log_det = np.log(lower[:, diagonal, diagonal]).sum(axis=1, keepdims=True)
                terms.append(log_weight - 0.5 * (z**2).sum(axis=1) - log_det)
        return float(logsumexp(np.concatenate(terms, axis=1), axis=1).mean() / self.means.shape[1])
