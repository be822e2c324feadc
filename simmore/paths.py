"""Every path of the project, named once."""

from __future__ import annotations

import os
from pathlib import Path

PACKAGE = Path(__file__).parent
TABLES = PACKAGE / "tables"  # the project's own small tables
ROOT = PACKAGE.parent  # the checkout
# executed notebooks, checkpoints, parts of tables; a relative path is relative to the checkout
BUILD = ROOT / (os.environ.get("SIMMORE_BUILD") or "build")
FIGURES = ROOT / "figures"
