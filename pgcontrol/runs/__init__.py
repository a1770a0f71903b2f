"""What a run leaves behind: its config, checkpoints, log and manifest."""
