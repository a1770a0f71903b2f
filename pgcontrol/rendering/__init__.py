"""Makes videos from recorded states."""
