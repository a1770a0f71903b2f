"""Data that policies learn from without playing: Minari datasets, and the actions of runs and files."""
