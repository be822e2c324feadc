"""The interactive explorer: choose a device, see all its cells, and watch a search."""

from simmore.explorer.app import Explorer

__all__ = ["Explorer"]
