"""Loggers, one file each: further places for a run's metrics, in addition to metrics.jsonl."""
