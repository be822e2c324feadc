"""The MDP, its environments, policies and their training."""
