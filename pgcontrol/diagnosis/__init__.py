"""What went wrong in a run: measures of the policy and its updates, verdicts, and the experiments that prove them."""
