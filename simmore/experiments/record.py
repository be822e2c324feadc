"""What a run leaves behind: figures with their data, the claims table, and where every figure came from."""

from __future__ import annotations

import io
import json
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from simmore import paths
from simmore.files import replace

if TYPE_CHECKING:
    from matplotlib.figure import Figure

VERDICTS = ("reproduced", "partly", "not reproduced")
_CLAIM_COLUMNS = ["id", "claim", "paper", "ours", "unit", "verdict", "notebook"]
_PACKAGES = ("matplotlib", "numpy", "pandas", "scipy", "torch", "stable-baselines3", "gymnasium", "xautodl")


@dataclass(frozen=True)
class Claim:
    """One claim of the paper, and what was measured here.

    Attributes
    ----------
    id
        Its number in the list of nine at the end of the README's table.
    claim, paper, ours, unit
        What is claimed, the paper's figure, ours, and the unit of both.
    verdict
        One of `VERDICTS`.
    """

    id: int
    claim: str
    paper: str
    ours: str
    unit: str
    verdict: str

    def __post_init__(self) -> None:
        if self.verdict not in VERDICTS:
            raise ValueError(f"a verdict is one of {', '.join(VERDICTS)}, got {self.verdict!r}")


class Recorder:
    """Writes one notebook's results into a folder: ``<stem>.pdf``, ``.png``, ``data/<stem>.csv``, claims, provenance.

    Parameters
    ----------
    notebook
        Its name, such as ``01_proxy_accuracy``.
    folder
        Where figures go.
    seed
        The notebook's, for the record.
    quick
        Whether this was a quick run, which is written beside every figure.
    """

    def __init__(self, notebook: str, folder: str | Path, *, seed: int, quick: bool) -> None:
        self.notebook = notebook
        self.folder = Path(folder)
        self.seed = seed
        self.quick = quick
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

    def claims(self, claims: Sequence[Claim]) -> pd.DataFrame:
        """Enter claims in ``claims.csv``, in the place of this notebook's earlier ones; return the whole table."""
        path = self.folder / "claims.csv"
        rows = pd.DataFrame([{**vars(claim), "notebook": self.notebook} for claim in claims], columns=_CLAIM_COLUMNS)
        if path.exists():
            known = pd.read_csv(path, dtype=str, keep_default_na=False).astype({"id": int})
            rows = pd.concat([known[(known["notebook"] != self.notebook) & ~known["id"].isin(rows["id"])], rows])
        rows = rows.sort_values("id").reset_index(drop=True)
        replace(path, rows.to_csv(index=False, lineterminator="\n").encode())
        return rows

    def _note_provenance(self, stem: str) -> None:
        path = self.folder / "provenance.json"
        entries: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        entries[stem] = {
            "notebook": self.notebook,
            "commit": commit(),
            "seed": self.seed,
            "quick": self.quick,
            "seconds": round(time.perf_counter() - self._started, 1),
            "data": data_digests(),
            "versions": {name: version(name) for name in _PACKAGES},
        }
        text = json.dumps(entries, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
        replace(path, text.encode())


def claims_markdown(folder: str | Path) -> str:
    """``claims.csv`` of a folder as the README's table."""
    table = pd.read_csv(Path(folder) / "claims.csv", dtype=str, keep_default_na=False)
    columns = [table[name].tolist() for name in _CLAIM_COLUMNS]
    rows = [
        f"| {number} | {claim} | {paper} | {ours} | {unit} | **{verdict}** | {notebook[:2]} |"
        for number, claim, paper, ours, unit, verdict, notebook in zip(*columns, strict=True)
    ]
    head = "| | claim | paper | here | unit | verdict | notebook |\n| --- | --- | --- | --- | --- | --- | --- |"
    return "\n".join([head, *rows])


def data_digests() -> dict[str, str]:
    """sha256 of the package's own tables, and of every fetched table that is here."""
    import hashlib

    from simmore import data

    own = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(paths.TABLES.iterdir())}
    status = data.status()
    found = status.loc[status["where"].isin(["mirror", "cache"]), "name"]
    return own | {name: str(data.REGISTRY[name].sha256) for name in found}


def commit() -> str:
    """The commit of the checkout, marked where files differ from it; `unknown` outside a checkout."""
    command = ["git", "-C", str(paths.ROOT), "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
