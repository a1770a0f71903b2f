"""Sweeps: from a YAML file to cells, from cells to rows of results."""
