"""The experiments that the notebooks run."""
