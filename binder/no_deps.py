"""Print the pins that pip installs without their dependencies: those of packages that are here (see pyproject.toml)."""

import tomllib
from importlib.util import find_spec
from pathlib import Path

project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())
print(*(pin for beside, pin in project["tool"]["simmore"]["no-deps"].items() if find_spec(beside)))
