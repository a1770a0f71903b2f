"""Experiments: a grid of runs from one YAML, what each cell left, the statistics over seeds, the tables."""
