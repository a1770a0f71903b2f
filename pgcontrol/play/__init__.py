"""Plays a policy to the end of an episode: evaluation, and the distribution of its actions."""
