"""Figures from results: every plotter takes arrays or tables, and computes no results."""
