"""Where the metrics of a run go, beside metrics.jsonl: one file a logger."""
