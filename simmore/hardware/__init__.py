"""Real networks, compiled and measured."""
