"""The training loop and what can be added to it: a prior, asynchronous workers, cloning, health."""
