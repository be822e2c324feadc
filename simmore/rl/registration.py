"""Registers the environment `simmore/Cell-v0` with gymnasium.

Gymnasium 1.x does not load plugins by itself, and `import simmore` must not import gymnasium. So the environment is
registered when gymnasium is imported, whichever of the two comes first.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

ENVIRONMENT = "simmore/Cell-v0"


def register() -> None:
    """Register `simmore/Cell-v0`; does nothing if it is registered."""
    import gymnasium

    if ENVIRONMENT not in gymnasium.registry:
        gymnasium.register(id=ENVIRONMENT, entry_point="simmore.rl.environments:CellEnv")


def register_on_import() -> None:
    """Register `simmore/Cell-v0` now if gymnasium is imported, else when it is."""
    if "gymnasium" in sys.modules:
        register()
    else:
        sys.meta_path.insert(0, _RegisterAfter())


class _RegisterAfter:
    """Finds gymnasium as Python does, and lets its loader call `register` at the end."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path) if name == "gymnasium" else None
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def execute_and_register(module: ModuleType) -> None:
            execute(module)
            register()

        spec.loader.exec_module = execute_and_register  # type: ignore[method-assign]
        return spec
