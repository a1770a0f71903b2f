"""From recorded states to films."""
