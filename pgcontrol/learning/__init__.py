"""Learning: rollouts, advantages, update rules, the table of algorithms, the loop."""
