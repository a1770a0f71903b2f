"""Action heads, one file for each. The head decides which shapes the action distribution can have."""
