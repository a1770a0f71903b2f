"""Files of a run: config, checkpoints, log and manifest."""
