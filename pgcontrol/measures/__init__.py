"""Measures: pure functions of draws, logs and scores."""
