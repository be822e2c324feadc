"""The interactive explorer: choose a device, see all cells on it, and watch a search."""

from simmore.explorer.app import Explorer

__all__ = ["Explorer"]
