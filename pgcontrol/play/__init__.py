"""Playing a policy to the end of an episode: evaluation, and what it might do."""
