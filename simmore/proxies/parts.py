"""Parts of a scoring job, so that a job can be stopped and resumed at any time.

A part is one score (or AZ-NAS's terms) of some canonical forms for one seed. Workers return it. The process that
started the job writes its file in one step, so a file is complete or absent. A truncated or altered file is set aside,
and its part is scored again.

The files are ``.npz`` without pickled objects: reading a file cannot run code, which `joblib.Memory` does not promise.
"""

from __future__ import annotations

import io
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simmore import data, parallel, space
from simmore.errors import needs
from simmore.files import read_kept, replace
from simmore.space.canonical import Ops

if TYPE_CHECKING:
    from simmore.proxies.supernetwork import Inputs

BATCH = 64  # images for NASWOT
AZ_PIXELS = 32 * 32**2  # of all images for AZ-NAS's terms: with fewer, trainability depends on chance
CHUNK = 16  # canonical forms per part: a kill loses two or three seconds of one core
DEFINITION = 1  # version of the scores; raise it when a change affects a score, so that old parts are not read

Score = Literal["naswot", "logsynflow", "az"]
SCORES: tuple[Score, ...] = ("logsynflow", "naswot")  # of p, the faster one first
AZ_TERMS = ("expressivity", "progressivity", "trainability")
"""AZ-NAS's terms that a part of ``az`` has; the fourth, complexity, is `space.live_flops`."""


def az_batch(size: int) -> int:
    """Number of images for AZ-NAS's terms: 32 of 32 pixels, 128 of 16 pixels.

    With 32 images of 16 pixels, the last features have 512 pixels in all, and the mean of outer products of 64 channels
    is mostly chance: trainability then ranks 60 random cells with Spearman 0.80 to that of 256 images, with 128 images
    0.99. Accuracies were not used for this choice.

    >>> az_batch(32), az_batch(16)
    (32, 128)
    """
    return AZ_PIXELS // size**2


class Part(NamedTuple):
    """One score of some canonical forms for one seed."""

    score: Score
    seed: int
    size: int
    n_classes: int
    batch: int
    inputs: Inputs
    number: int
    forms: tuple[Ops, ...]

    @property
    def path(self) -> Path:
        """File of the part in the job's folder. Only LogSynflow depends on `n_classes`: data sets share the others."""
        shown = f"batch{self.batch}" if self.inputs == "noise" else f"batch{self.batch}-{self.inputs}"
        what = f"{self.n_classes}classes" if self.score == "logsynflow" else shown
        folder = f"{self.score}-{self.size}px-{what}-seed{self.seed}-v{DEFINITION}"
        return Path(folder) / f"{self.number:04d}.npz"

    def archs(self) -> NDArray[np.int32]:
        """NATS indices of the part's cells, in the order of its result."""
        classes = space.canonical_classes()
        return np.array([arch for ops in self.forms for arch in classes[ops]], dtype=np.int32)


class Scored(NamedTuple):
    """Result of a part: each cell's score and share of the processor seconds, ``(cells,)`` each.

    ``values`` of AZ-NAS is ``(cells, 3)``, the terms in the order of `AZ_TERMS`.
    """

    archs: NDArray[np.int32]
    values: NDArray[np.float64]
    seconds: NDArray[np.float64]


def parts(
    score: Score,
    dataset: str,
    seed: int,
    batch: int = BATCH,
    inputs: Inputs = "noise",
    *,
    archs: ArrayLike | None = None,
) -> list[Part]:
    """Parts of one score of one data set for one seed.

    If `archs` is None, the parts hold all cells, `CHUNK` canonical forms each, in an order that is shuffled (always
    in the same way) so that the parts take about the same time. Otherwise each part is one canonical form of `archs`.
    """
    task = data.task(dataset)
    if archs is None:
        forms = sorted(space.canonical_classes())
        order = np.random.default_rng(0).permutation(len(forms)).tolist()
        chunks = [tuple(forms[k] for k in order[begin : begin + CHUNK]) for begin in range(0, len(order), CHUNK)]
    else:
        chunks = [(ops,) for ops in sorted({space.canonical_form(arch).ops for arch in np.unique(archs).tolist()})]
    common = (score, seed, task.size, task.n_classes, batch, inputs)
    return [Part(*common, number, chunk) for number, chunk in enumerate(chunks)]


def score_part(part: Part) -> tuple[Part, Scored]:
    """Score one part with one thread. Cells with the same canonical form share its seconds equally."""
    with needs("torch"):
        import torch
    from simmore.proxies import fast_az, fast_logsynflow, fast_naswot

    values: list[Any] = []
    seconds: list[float] = []
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for ops in part.forms:
            begin = time.process_time()
            n_cells = len(space.canonical_classes()[ops])
            if part.score == "naswot":
                found: list[Any] = list(fast_naswot.naswot(ops, part.seed, part.size, part.batch, part.inputs).values())
            elif part.score == "az":
                found = [fast_az.az_nas(ops, part.seed, part.size, part.batch)] * n_cells
            else:
                found = [fast_logsynflow.log_synflow(ops, part.seed, part.size, part.n_classes)] * n_cells
            values += found
            seconds += [(time.process_time() - begin) / len(found)] * len(found)
    finally:
        torch.set_num_threads(threads)
    return part, Scored(part.archs(), np.array(values), np.array(seconds))


def score_parts(
    missing: Sequence[Part], folder: Path, *, n_jobs: int = -1, dask: str | None = None
) -> Iterator[Scored]:
    """Score parts on several cores or a cluster. Each is written as soon as it is scored, in any order."""
    for part, scored in parallel.unordered(score_part, missing, n_jobs=n_jobs, dask=dask):
        write_part(part, scored, folder)
        yield scored


def write_part(part: Part, scored: Scored, folder: Path) -> None:
    """Write a part's file in one step."""
    buffer = io.BytesIO()
    np.savez(buffer, **scored._asdict())
    replace(folder / part.path, buffer.getvalue())


def read_parts(wanted: Iterable[Part], folder: Path) -> dict[Part, Scored]:
    """Those of some parts that have a complete file."""
    return {part: found for part in wanted if (found := _read_part(part, folder)) is not None}


def _read_part(part: Part, folder: Path) -> Scored | None:
    """A part from its file; None if there is no file, or a damaged one, which is set aside."""

    def parse(content: bytes) -> Scored:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            archs, values, seconds = (arrays[name] for name in Scored._fields)
        shape = (*archs.shape, len(AZ_TERMS)) if part.score == "az" else archs.shape
        if not np.array_equal(archs, part.archs()) or values.shape != shape or seconds.shape != archs.shape:
            raise ValueError("it holds other cells")
        if np.isnan(values).any() or not np.isfinite(seconds).all():
            raise ValueError("it holds values that are no numbers")
        return Scored(archs, values, seconds)

    return read_kept(folder / part.path, parse)


def by_seed(scored: Iterable[tuple[Part, Scored]], seeds: Sequence[int]) -> dict[Score, NDArray[np.float64]]:
    """Scores of all cells from parts, ``(seeds, 15625)`` each (AZ-NAS: ``…, 3``); NaN where no part has the cell."""
    shape = (len(seeds), space.N_ARCHS)
    values: dict[Score, NDArray[np.float64]] = {name: np.full(shape, np.nan) for name in SCORES}
    values["az"] = np.full((*shape, len(AZ_TERMS)), np.nan)
    for part, found in scored:
        values[part.score][list(seeds).index(part.seed), found.archs] = found.values
    return values
