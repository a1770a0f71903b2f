"""Data for learning without an environment: Minari datasets, and actions of runs and files."""
