"""What a few measurements say about a device: priors from other devices, posteriors, and acquisition functions."""

from simmore.models.knowledge import Knowledge
from simmore.models.posterior import Posterior, Sampler, implausible
from simmore.models.priors import Prior

__all__ = ["Knowledge", "Posterior", "Prior", "Sampler", "implausible"]
