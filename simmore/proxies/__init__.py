"""Training-free scores: their definitions, their fast computation, and the stored tables."""

from simmore.proxies.definitions import (
    agreements,
    log_abs_det,
    log_synflow,
    naswot,
    normalise,
    score,
    skip_score,
    stored_score,
)

__all__ = ["agreements", "log_abs_det", "log_synflow", "naswot", "normalise", "score", "skip_score", "stored_score"]
