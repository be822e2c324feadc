"""Groups of devices, by their names: the paper's, HELP's test split, families and classes."""

from __future__ import annotations

import re
from collections.abc import Iterable

# The devices of the paper's section 3.2. The Gaussians of Ξ are fitted to their operations.
PAPER_DEVICES = (
    *("edgegpu", "raspi4", "pixel3", "eyeriss", "fpga", "silver_4114", "silver_4210r", "gold_6226", "gold_6240"),
    *("essential_ph_1", "samsung_s7", "samsung_a50", "pixel2"),
    *("1080ti_1", "2080ti_1", "titan_rtx_1", "titanx_1", "titanxp_1"),
)
# HELP's test split. The stored policy was trained without these devices and their families.
TEST_DEVICES = ("titan_rtx_1", "gold_6226", "pixel2", "raspi4", "eyeriss", "fpga")
# The widths of simulated devices, and settings of searches, were chosen on these devices alone. None is a test device
# of HELP.
DESIGN_DEVICES = (
    *("pixel3", "silver_4114", "silver_4210r", "gold_6240", "essential_ph_1", "samsung_s7", "samsung_a50"),
    *("1080ti_1", "1080ti_32", "2080ti_1", "titanx_1", "titanxp_1"),
)
# Classes of hardware: a device of one class is unlike those of the others.
CLASSES = {
    "gpu": ("1080ti", "2080ti", "titan_rtx", "titanx", "titanxp"),
    "cpu": ("silver_4114", "silver_4210r", "gold_6226", "gold_6240"),
    "phone": ("essential_ph", "samsung_s7", "samsung_a50", "pixel2"),
    "edge": ("raspi4", "pixel3", "eyeriss", "fpga"),
}


def family(name: str) -> str:
    """Name of a device without the batch size.

    >>> family("titan_rtx_256")
    'titan_rtx'
    """
    return re.sub(r"_(1|32|256)$", "", name)


def without_family(names: Iterable[str], tested: Iterable[str]) -> tuple[str, ...]:
    """Those of `names`, in order, that are not in the family of a tested device.

    >>> without_family(["titan_rtx_1", "titanx_1"], ["titan_rtx_256"])
    ('titanx_1',)
    """
    out = {family(name) for name in tested}
    return tuple(name for name in names if family(name) not in out)


def hardware_class(name: str) -> tuple[str, ...]:
    """Families of the class that a device belongs to; its own family alone if it is in none.

    >>> hardware_class("titan_rtx_256")
    ('1080ti', '2080ti', 'titan_rtx', 'titanx', 'titanxp')
    """
    own = family(name)
    return next((families for families in CLASSES.values() if own in families), (own,))
