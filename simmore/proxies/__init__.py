"""Training-free scores: their definitions, their fast computation, the stored tables, and named scores over them."""

from simmore.proxies.definitions import AzTerms, az_nas, freerea_score, log_synflow, naswot, normalise, skip_score
from simmore.proxies.named import DEFAULT, SCORES, TERMS, checked, log_rank_sum, stored_score, stored_term

__all__ = [
    "DEFAULT",
    "SCORES",
    "TERMS",
    "AzTerms",
    "az_nas",
    "checked",
    "freerea_score",
    "log_rank_sum",
    "log_synflow",
    "naswot",
    "normalise",
    "skip_score",
    "stored_score",
    "stored_term",
]
