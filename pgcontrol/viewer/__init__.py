"""A live view of a policy."""
