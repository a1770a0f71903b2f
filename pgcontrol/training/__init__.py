"""The training loop and its extensions: priors, asynchronous workers, cloning, health metrics."""
