"""A small sweep: four short runs of two arms on two tasks."""

from pgcontrol.experiment.executor import Local

SWEEP = """
question: Does a second bin help?
budget: 512
settings: {video: false, eval_every: 512, eval_episodes: 2, checkpoint_every: 256, num_envs: 4, rollout_steps: 32,
  algorithm.minibatch: 64, algorithm.epochs: 1, compile: "off"}
arms:
  gaussian: {head: gaussian}
  bins: {head: binned}
baseline: gaussian
plots: [train/std]
grid:
  - {env: Reacher-v5, arm: gaussian, seed: 2}
  - {env: InvertedPendulum-v5, arm: bins, seed: [7], head.bins: [2, 3]}
"""


class Unmeasured(Local):
    """Begins at once."""

    def expected(self, cells):
        return {}
