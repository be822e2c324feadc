"""What a few measurements say about a device: priors, posteriors, and acquisition functions."""

from simmore.models.knowledge import Knowledge
from simmore.models.readings import implausible

__all__ = ["Knowledge", "implausible"]
