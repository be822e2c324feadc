"""What a few measurements say about a device: priors and posteriors."""
