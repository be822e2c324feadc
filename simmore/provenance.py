"""Provenance of a result: the commit, the machine and the versions of packages."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

from simmore import paths

_INSTRUCTIONS = ("avx2", "avx512f", "avx512_vnni", "amx_tile", "asimd")  # extensions that change the speed of networks


def commit() -> str:
    """Commit of the checkout, 40 digits, with ``-dirty`` where files differ from it; ``unknown`` outside a checkout."""
    command = ["git", "-C", str(paths.ROOT), "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def machine() -> dict[str, str]:
    """Processor, its model and instructions, cores that this process may use, system and Python of this machine."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").is_file() else []
    facts = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    flags = facts.get("flags", facts.get("Features", "")).split()
    model = (facts.get(key, "?") for key in ("cpu family", "model", "stepping"))
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return {
        "processor": facts.get("model name") or platform.processor() or platform.machine(),
        "model": "family {}, model {}, stepping {}".format(*model),
        "instructions": ", ".join(name for name in _INSTRUCTIONS if name in flags),
        "cores": str(cores),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }


def versions(*packages: str) -> dict[str, str]:
    """Versions of installed packages, by the name under which they are installed.

    Raises
    ------
    importlib.metadata.PackageNotFoundError
        For a package that is not installed.
    """
    return {name: version(name) for name in packages}
