"""How the stored tables were made."""

from __future__ import annotations

import json

from simmore import paths


def stored_seeds(dataset: str) -> tuple[int, ...]:
    """Seeds of the initialisations that the stored table is the mean of."""
    return _seeds(f"scores_{dataset}")


def stored_az_seeds(size: int) -> tuple[int, ...]:
    """Seeds of the initialisations that the stored table of AZ-NAS's terms is the mean of."""
    return _seeds(f"az_{size}px")


def _seeds(table: str) -> tuple[int, ...]:
    file = paths.TABLES / f"{table}.json"
    return tuple(json.loads(file.read_text(encoding="utf-8"))["seeds"])
