"""Models of a device: priors over its latencies, posteriors given measurements, and acquisition functions."""

from simmore.models.knowledge import Knowledge
from simmore.models.readings import implausible

__all__ = ["Knowledge", "implausible"]
