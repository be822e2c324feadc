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
from simmore.files import replace

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
        path = self.folder / "claims.csv"
        table = path.read_text(encoding="utf-8") if path.exists() else None
        replace(path, claims.enter(table, pd.DataFrame(self._rows)).encode())

    def claims(self) -> pd.DataFrame:
        """The claims that this notebook entered."""
        return pd.DataFrame(self._rows).set_index("id")

    def _note_provenance(self, stem: str) -> None:
        path = self.folder / "provenance.json"
        entries: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
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


def data_digests() -> dict[str, str]:
    """sha256 of the package's own tables, and of every fetched table that is on this machine."""
    files = [file for file in sorted(paths.TABLES.rglob("*")) if file.is_file()]
    own = {str(file.relative_to(paths.TABLES)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
    status = data.status()
    found = status.loc[status["where"].isin(["mirror", "cache"]), "name"]
    return own | {name: str(data.REGISTRY[name].sha256) for name in found}
