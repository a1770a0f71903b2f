"""Train with your own head from Python: a Gaussian with one σ for all joints, and the built-in Gaussian."""

import math
import sys

import torch
from torch import nn

import pgcontrol
from pgcontrol.heads.gaussian import DiagonalGaussian


class OneSigma(DiagonalGaussian):
    """All joints share one learned σ. `pgcontrol new head NAME` writes a complete head as a template."""

    name = "one-sigma"

    def __init__(self, features, low, high, options):
        super().__init__(features, low, high, options)
        self.log_std = nn.Parameter(torch.tensor(math.log(options.initial_std)))

    def free_log_std(self, features):
        return self.log_std.expand(self.joints)

    @torch.no_grad()
    def widen(self, std, features):
        self.log_std.fill_(math.log(self.options.within(std)))


if __name__ == "__main__":
    steps = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    for head in (OneSigma, "gaussian"):
        run = pgcontrol.train({"env": "Hopper-v5", "head": head, "total_steps": steps, "video": False})
        last = run.metrics()[-1]
        print(f"{run.path}: σ {last['train/std']:.2f}, return {last['rollout/ep_rew_mean']:.0f}")
