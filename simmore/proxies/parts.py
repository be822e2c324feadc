"""Parts of a scoring job: each is whole on the disk or not there, so that the job can be stopped at any moment.

A part is some reduced cells, one score and one seed. Workers return it, whoever started the job writes it: aside,
onto the disk, and only then under its name. A part that is cut off or altered is not read, and scored again.
"""

from __future__ import annotations

import io
import time
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from simmore import data, parallel, space
from simmore.errors import needs
from simmore.files import replace

if TYPE_CHECKING:
    from simmore.proxies.supernetwork import Inputs, Task

BATCH = 64  # images for NASWOT
CHUNK = 16  # reduced cells a part: two or three seconds of one core are what a kill loses
DEFINITION = 1  # of the scores; a change that changes a score raises it, and old parts are left alone

Score = Literal["naswot", "logsynflow"]
SCORES: tuple[Score, ...] = ("logsynflow", "naswot")  # what has to be computed, the quicker one first


class Part(NamedTuple):
    """A piece of a job: some reduced cells, one score, one seed."""

    score: Score
    seed: int
    size: int
    n_classes: int
    batch: int
    inputs: Inputs
    number: int
    classes: tuple[tuple[int, ...], ...]

    @property
    def path(self) -> Path:
        """File of the part below the job's folder. NASWOT does not depend on the classes: data sets share it."""
        shown = f"batch{self.batch}" if self.inputs == "noise" else f"batch{self.batch}-{self.inputs}"
        what = shown if self.score == "naswot" else f"{self.n_classes}classes"
        folder = f"{self.score}-{self.size}px-{what}-seed{self.seed}-v{DEFINITION}"
        return Path(folder) / f"{self.number:04d}.npz"


class Scored(NamedTuple):
    """A part's result: for each cell its score and its share of the seconds, ``(cells,)`` each."""

    archs: NDArray[np.int32]
    values: NDArray[np.float64]
    seconds: NDArray[np.float64]


def score_part(part: Part) -> tuple[Part, Scored]:
    """Score one part with one thread; cells that share a reduced cell share its seconds equally."""
    with needs("torch"):
        import torch
    from simmore.proxies import fast_logsynflow, fast_naswot

    archs: list[int] = []
    values: list[float] = []
    seconds: list[float] = []
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for ops in part.classes:
            begin = time.process_time()
            if part.score == "naswot":
                found = fast_naswot.naswot_class(ops, part.seed, part.size, part.batch, part.inputs)
            else:
                value = fast_logsynflow.log_synflow_class(ops, part.seed, part.size, part.n_classes)
                found = dict.fromkeys(space.canonical_classes()[ops], value)
            archs += found
            values += found.values()
            seconds += [(time.process_time() - begin) / len(found)] * len(found)
    finally:
        torch.set_num_threads(threads)
    return part, Scored(np.array(archs, np.int32), np.array(values), np.array(seconds))


def read_part(part: Part, folder: Path) -> Scored | None:
    """A part that was scored before; None if it is not there, or is not whole (then it is removed)."""
    file = folder / part.path
    try:
        with np.load(file, allow_pickle=False) as arrays:
            scored = Scored(*(arrays[name] for name in Scored._fields))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
        file.unlink(missing_ok=True)
        return None
    archs, values, seconds = scored
    whole = (
        np.array_equal(archs, cells(part))
        and values.shape == seconds.shape == archs.shape
        and not np.isnan(values).any()
    )
    if not whole:
        file.unlink(missing_ok=True)
        return None
    return scored


def read_parts(wanted: Iterable[Part], folder: Path) -> dict[Part, Scored]:
    """Those of some parts that were scored before."""
    return {part: found for part in wanted if (found := read_part(part, folder)) is not None}


def score_parts(
    missing: Sequence[Part], folder: Path, *, n_jobs: int = -1, dask: str | None = None
) -> Iterator[Scored]:
    """Score parts on many cores or a cluster, and keep each as soon as it is there, in any order."""
    for part, scored in parallel.unordered(score_part, missing, n_jobs=n_jobs, dask=dask):
        write_part(part, scored, folder)
        yield scored


def write_part(part: Part, scored: Scored, folder: Path) -> None:
    """Keep a part: it is on the disk, whole, or not there."""
    buffer = io.BytesIO()
    np.savez(buffer, **scored._asdict())
    replace(folder / part.path, buffer.getvalue())


def cells(part: Part) -> NDArray[np.int32]:
    """NATS indices of a part's cells, in the order of its result."""
    members = space.canonical_classes()
    return np.array([arch for ops in part.classes for arch in members[ops]], dtype=np.int32)


def parts(score: Score, dataset: str, seed: int, batch: int = BATCH, inputs: Inputs = "noise") -> list[Part]:
    """All parts of one score of one data set for one seed.

    The reduced cells are shuffled, the same way at any time, so that the parts take about as long as each other.
    """
    task = task_of(dataset)
    reduced = sorted(space.canonical_classes())
    order = np.random.default_rng(0).permutation(len(reduced)).tolist()
    chunks = [tuple(reduced[k] for k in order[begin : begin + CHUNK]) for begin in range(0, len(order), CHUNK)]
    common = (score, seed, task.size, task.n_classes, batch, inputs)
    return [Part(*common, number, chunk) for number, chunk in enumerate(chunks)]


def task_of(dataset: str) -> Task:
    """Image size and number of classes of a data set."""
    from simmore.proxies import supernetwork

    return supernetwork.TASKS[known(dataset)]


def known(dataset: str) -> str:
    """Give `dataset` back if there is one of that name."""
    if dataset not in data.DATASETS:
        raise ValueError(f"there is no data set {dataset!r}: there are {', '.join(data.DATASETS)}")
    return dataset
