"""Where things lie: every path of the project, named once."""

from __future__ import annotations

import os
from pathlib import Path

PACKAGE = Path(__file__).parent
TABLES = PACKAGE / "tables"  # the project's own small data
STYLE = PACKAGE / "simmore.mplstyle"
ROOT = PACKAGE.parent  # the checkout; what follows is made there, not in the package
# executed notebooks, checkpoints, parts of tables: made anew at will, wherever the Makefile says
BUILD = Path(os.environ.get("SIMMORE_BUILD") or ROOT / "build")
FIGURES = ROOT / "figures"
