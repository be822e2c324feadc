"""What the notebooks run."""
