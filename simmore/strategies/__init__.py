"""Search strategies and the recommendation."""
