"""What went wrong: measures of a policy and of its updates, verdicts on a run, and the experiments that prove them."""
