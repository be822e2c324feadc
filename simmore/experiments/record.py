"""Results of a notebook: figures with their data, verdicts on claims and goals, and the provenance of every figure."""

from __future__ import annotations

import hashlib
import io
import json
import time
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from simmore import data, paths, provenance
from simmore.experiments.claims import PAPER, PROJECT, TABLES, Table
from simmore.files import read_kept, replace

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_PACKAGES = ("matplotlib", "numpy", "pandas", "scipy", "torch", "stable-baselines3", "gymnasium", "xautodl")


class Recorder:
    """Writes one notebook's results into a folder: ``<stem>.pdf``, ``.png``, ``data/<stem>.csv``, verdicts, provenance.

    Parameters
    ----------
    notebook
        Its name, such as ``01_proxy_accuracy``.
    folder
        Folder of the figures.
    seed
        The notebook's seed, for the provenance.
    quick
        Whether this is a quick run; noted beside every figure.
    """

    def __init__(self, notebook: str, folder: str | Path, *, seed: int, quick: bool) -> None:
        self.notebook = notebook
        self.folder = Path(folder)
        self.seed = seed
        self.quick = quick
        self._rows: dict[str, list[dict[str, object]]] = {table.file: [] for table in TABLES}
        self._started = time.perf_counter()

    def figure(self, figure: Figure, stem: str, frame: pd.DataFrame, *, digits: int = 6) -> None:
        """Save a figure and the data behind it, byte-identical from run to run, and note its provenance.

        Parameters
        ----------
        figure, stem
            The figure and its files' name.
        frame
            The data that it shows; floats are written with `digits` significant digits.
        """
        self.table(frame, stem, digits=digits)
        for suffix, metadata in (
            ("pdf", {"CreationDate": None, "Producer": None, "Creator": None}),
            ("png", {"Software": None}),
        ):
            buffer = io.BytesIO()
            figure.savefig(buffer, format=suffix, metadata=metadata)
            replace(self.folder / f"{stem}.{suffix}", buffer.getvalue())
        self._note_provenance(stem)

    def table(self, frame: pd.DataFrame, stem: str, *, digits: int = 6) -> None:
        """Save a table as ``data/<stem>.csv``."""
        text = frame.to_csv(index=False, float_format=f"%.{digits}g", lineterminator="\n")
        replace(self.folder / "data" / f"{stem}.csv", text.encode())

    def claim(self, number: int, ours: str, available: Iterable[str] = (), **values: float) -> None:
        """Enter a claim in ``claims.csv``, see `claims.Table.row`; earlier rows of this notebook are replaced."""
        self._enter(PAPER, number, ours, available, values)

    def goal(self, name: str, ours: str, available: Iterable[str] = (), **values: float) -> None:
        """Enter a goal in ``goals.csv``, as `claim`."""
        self._enter(PROJECT, name, ours, available, values)

    def claims(self) -> pd.DataFrame:
        """The claims that this notebook entered."""
        return self._entered(PAPER).set_index("id")

    def goals(self) -> pd.DataFrame:
        """The goals that this notebook entered."""
        return self._entered(PROJECT).set_index("id")

    def _enter(
        self, table: Table, key: int | str, ours: str, available: Iterable[str], values: dict[str, float]
    ) -> None:
        self._rows[table.file].append(table.row(key, self.notebook, ours, available, values))
        for each in TABLES:  # both, so that a folder of figures without one of them is incomplete
            rows, path = self._entered(each), self.folder / each.file
            text = read_kept(path, partial(each.enter, rows)) or each.enter(rows)
            replace(path, text.encode())

    def _entered(self, table: Table) -> pd.DataFrame:
        return pd.DataFrame(self._rows[table.file], columns=list(table.columns))

    def _note_provenance(self, stem: str) -> None:
        path = self.folder / "provenance.json"
        entries = _provenance(self.folder)
        entries[stem] = {
            "notebook": self.notebook,
            "commit": provenance.commit(),
            "seed": self.seed,
            "quick": self.quick,
            "seconds": round(time.perf_counter() - self._started, 1),
            "data": data_digests(),
            "versions": provenance.versions(*_PACKAGES),
        }
        text = json.dumps(entries, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
        replace(path, text.encode())


def _provenance(folder: Path) -> dict[str, dict[str, Any]]:
    """The entries of ``provenance.json`` by figure; none if there is no such file, or a damaged one."""

    def parse(content: bytes) -> dict[str, dict[str, Any]]:
        entries = json.loads(content)
        if not isinstance(entries, dict) or not all(isinstance(entry, dict) for entry in entries.values()):
            raise ValueError("it is not a table of figures")
        return entries

    return read_kept(folder / "provenance.json", parse) or {}


def outdated(folder: str | Path, stems: Iterable[str], *, quick: bool) -> list[str]:
    """Figures that have to be drawn again, whether or not their notebooks were executed.

    Parameters
    ----------
    folder
        Where the figures are.
    stems
        Names of the figures' files.
    quick
        Whether figures of a quick run are wanted.

    Returns
    -------
    list of str
        Those of `stems` of which a file is missing or empty, which are of the other kind of run, or which were drawn
        without a table that is on this machine now, or with another version of it.
    """
    folder = Path(folder)
    drawn, tables = _provenance(folder), data_digests()
    tables_there = all((folder / table.file).is_file() for table in TABLES)

    def current(stem: str) -> bool:
        files = (folder / f"{stem}.pdf", folder / f"{stem}.png", folder / "data" / f"{stem}.csv")
        entry = drawn.get(stem, {})
        return (
            tables_there
            and all(file.is_file() and file.stat().st_size for file in files)
            and entry.get("quick") is quick
            and tables.items() <= entry.get("data", {}).items()
        )

    return [stem for stem in stems if not current(stem)]


def data_digests() -> dict[str, str]:
    """sha256 of the package's own tables, and of every fetched table that is on this machine."""
    files = [
        file for file in sorted(paths.TABLES.rglob("[!.]*")) if file.is_file()
    ]  # hidden files are left by killed writers
    own = {str(file.relative_to(paths.TABLES)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
    status = data.status()
    found = status.loc[status["where"].isin(["mirror", "cache"]), "name"]
    return own | {name: str(data.REGISTRY[name].sha256) for name in found}
