"""Learning: rollouts, advantages, update rules, and the table of algorithms."""
