"""What a notebook leaves behind: figures with their data, the claims table, and where every figure came from."""

from __future__ import annotations

import hashlib
import io
import json
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from simmore import data, paths, provenance
from simmore.experiments import claims
from simmore.files import read_kept, replace

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_PACKAGES = ("matplotlib", "numpy", "pandas", "scipy", "torch", "stable-baselines3", "gymnasium", "xautodl")


class Recorder:
    """Writes one notebook's results into a folder: ``<stem>.pdf``, ``.png``, ``data/<stem>.csv``, claims, provenance.

    Parameters
    ----------
    notebook
        Its name, such as ``01_proxy_accuracy``.
    folder
        Where figures go.
    seed
        The notebook's seed, for the record.
    quick
        Whether this is a quick run; noted beside every figure.
    """

    def __init__(self, notebook: str, folder: str | Path, *, seed: int, quick: bool) -> None:
        self.notebook = notebook
        self.folder = Path(folder)
        self.seed = seed
        self.quick = quick
        self._rows: list[dict[str, object]] = []
        self._started = time.perf_counter()

    def figure(self, figure: Figure, stem: str, frame: pd.DataFrame, *, digits: int = 6) -> None:
        """Save a figure and the data behind it, byte-identical from run to run, and note its provenance.

        Parameters
        ----------
        figure, stem
            The figure and its files' name.
        frame
            What it shows; floats are written with `digits` significant digits.
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
        """Enter a claim in ``claims.csv``, see `claims.row`; earlier rows of this notebook are replaced."""
        self._rows.append(claims.row(number, self.notebook, ours, available, values))
        path, rows = self.folder / "claims.csv", pd.DataFrame(self._rows)
        table = read_kept(path, lambda content: claims.enter(content.decode(), rows)) or claims.enter(None, rows)
        replace(path, table.encode())

    def claims(self) -> pd.DataFrame:
        """The claims that this notebook entered."""
        return pd.DataFrame(self._rows).set_index("id")

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
    """Figures that have to be drawn again, whatever executed notebooks there are.

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
    claims_there = (folder / "claims.csv").is_file()

    def current(stem: str) -> bool:
        files = (folder / f"{stem}.pdf", folder / f"{stem}.png", folder / "data" / f"{stem}.csv")
        entry = drawn.get(stem, {})
        return (
            claims_there
            and all(file.is_file() and file.stat().st_size for file in files)
            and entry.get("quick") is quick
            and tables.items() <= entry.get("data", {}).items()
        )

    return [stem for stem in stems if not current(stem)]


def data_digests() -> dict[str, str]:
    """sha256 of the package's own tables, and of every fetched table that is on this machine."""
    files = [file for file in sorted(paths.TABLES.rglob("[!.]*")) if file.is_file()]  # .…: what a killed writer left
    own = {str(file.relative_to(paths.TABLES)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
    status = data.status()
    found = status.loc[status["where"].isin(["mirror", "cache"]), "name"]
    return own | {name: str(data.REGISTRY[name].sha256) for name in found}
