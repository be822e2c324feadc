"""Training-free scores: their definitions, their fast computation, and the stored tables."""

from simmore.proxies.definitions import freerea_score, log_synflow, naswot, normalise, skip_score
from simmore.proxies.stored import stored_score

__all__ = ["freerea_score", "log_synflow", "naswot", "normalise", "skip_score", "stored_score"]
