"""Unit and meaning of every logged metric. The site shows them; a test compares them with the metrics of runs."""

import re

from pgcontrol.measures.metric import Metric
from pgcontrol.runs import catalog

GROUPS = {
    "time": "Steps, updates and seconds.",
    "rollout": "Episodes and transitions of the rollouts.",
    "train": "The update of the policy and the critic.",
    "health": "State of the policy. Most of these are measured in about 40 updates of a run.",
    "head": "Action distributions at states of the rollout; some metrics are those of one head.",
    "prior": "Runs that start from a prior.",
    "eval": "Evaluations of the mode; with the suffix _sampled, of sampled actions. For clones: held-out data.",
}

# those of no single head or rule; `*` stands for the number of a joint, see `pattern`
COMMON = {
    "time/total_timesteps": Metric("steps", "environment steps so far; for a clone, gradient steps"),
    "time/iterations": Metric("updates", "updates so far"),
    "time/time_elapsed": Metric("s", "training time, summed over all sessions of the run"),
    "time/fps": Metric("steps/s", "mean speed since the session began; for a clone, in gradient steps"),
    "time/physics": Metric("s", "time of this update in the environments' steps"),
    "time/policy": Metric("s", "time of this update for choosing actions and for the params and values of the rollout"),
    "time/buffer": Metric("s", "time of this update for the rest of the rollout"),
    "time/update": Metric("s", "time of this update in the update rule"),
    "time/rest": Metric("s", "time of this update for everything else: moments, health"),
    "rollout/ep_rew_mean": Metric("return", "mean return of the last 100 training episodes, not scaled"),
    "rollout/ep_len_mean": Metric("steps", "mean length of the last 100 training episodes"),
    "rollout/success": Metric("share", "successes in the last 100 training episodes; only for tasks with routes"),
    "rollout/quarantined": Metric("transitions", "infinite, NaN or unstable transitions; the update ignores them"),
    "rollout/outliers": Metric("moments", "running moments of observations and rewards that clipped an outlier"),
    "train/learning_rate": Metric("", "step size of this update"),
    "train/n_updates": Metric("steps", "gradient steps so far; for natural gradients, updates"),
    "train/loss": Metric("", "total loss, mean over the update's gradient steps"),
    "train/policy_gradient_loss": Metric("", "minus the surrogate that the rule maximises"),
    "train/value_loss": Metric("", "loss of the critic; mse: in squared scaled returns, hl-gauss: in nats"),
    "train/entropy_loss": Metric("nats per choice", "minus the entropy"),
    "train/entropy_coef": Metric("", "weight of the entropy, if entropy_target adapts it"),
    "train/grad_norm": Metric("", "norm of the gradient before clipping"),
    "train/explained_variance": Metric("", "1 − Var(target − V) / Var(target) before the update; 1 is perfect"),
    "train/std": Metric("half-ranges", "standard deviation of the action in a state, mean over joints (head/std)"),
    "train/kl": Metric("nats per choice", "KL(before || after) of the whole update, from the head's KL"),
    "train/approx_kl": Metric("nats per choice", "mean of ratio − 1 − log ratio over all minibatches of the update"),
    "train/clip_fraction": Metric("share", "samples with a ratio outside 1 ± clip; with reuse, outside drift ± clip"),
    "train/ratio_error": Metric("", "largest |ratio − 1| in a minibatch, mean over the update"),
    "train/kl_prior": Metric("nats per choice", "KL(policy || prior) in the update"),
    "train/q_value": Metric("", "decqn, reppo: mean Q over the minibatches, in units of the scaled reward"),
    "train/nll": Metric("nats per choice", "clone: −log p of the training data"),
    "health/spread": Metric("half-ranges", "standard deviation of the action at 16 fixed states, mean over joints"),
    "health/spread_min": Metric("half-ranges", "the same for the narrowest joint"),
    "health/spread_joint*": Metric("half-ranges", "the same for each joint"),
    "health/visited_spread": Metric("half-ranges", "standard deviation of the action at 16 states of the rollout"),
    "health/visited_spread_min": Metric("half-ranges", "the same for the narrowest joint"),
    "health/visited_spread_joint*": Metric("half-ranges", "the same for each joint; verdicts about the spread use it"),
    "health/action_entropy": Metric("share", "entropy of the histogram of executed actions; 1 is uniform"),
    "health/saturation": Metric("share", "executed actions within 0.01 half-ranges of a bound"),
    "health/perplexity": Metric("share", "exp(entropy of an entry) / K, if the entries of choices have K values"),
    "health/dead": Metric("share", "the values among K that do not occur in the rollout"),
    "health/sensitivity": Metric("", "root mean square of ∂ log π / ∂ params per joint; large: a step can do damage"),
    "health/modes": Metric("modes", "modes of the action distribution, mean over four states"),
    "health/mean_to_mode": Metric("half-ranges", "distance from the mean action to the nearest mode"),
    "health/pull": Metric("", "correlation of the advantage with −log π; below 0 the update narrows the policy"),
    "health/ratio_min": Metric("", "smallest π_after / π_before over the rollout's choices"),
    "health/ratio_max": Metric("", "largest π_after / π_before over the rollout's choices"),
    "health/advantage_skew": Metric("", "skewness of the advantages; far from 0: a few samples dominate"),
    "health/gradient_noise": Metric("", "trace of the covariance of the policy's gradient"),
    "health/gradient_square": Metric("", "squared norm of the policy's gradient, unbiased"),
    "health/noise_scale": Metric("samples", "ratio of these two; in a much smaller batch the gradient is mostly noise"),
    "health/route_entropy": Metric("share", "how evenly the successes of the last 100 episodes use the task's routes"),
    "health/widened": Metric("half-ranges", "width that --on-collapse widen has just set"),
    "head/std": Metric("half-ranges", "standard deviation of the action in a state, mean over joints"),
    "head/std_min": Metric("half-ranges", "the same for the narrowest joint"),
    "head/std_max": Metric("half-ranges", "the same for the widest joint"),
    "head/std_joint*": Metric("half-ranges", "the same for each joint"),
    "head/std_at_bound": Metric("share", "values of σ at min_std or max_std; Beta: at the largest concentration"),
    "head/saturation": Metric(
        "share", "probability at a bound: clipped, in the outer bins, or within 0.01 half-ranges"
    ),
    "head/perplexity": Metric("share", "exp(entropy) of values, codes or components, divided by their number"),
    "prior/kl": Metric("nats per choice", "KL(policy || prior) of the policy that sampled the rollout"),
    "prior/pull": Metric("", "current coefficient of this KL"),
    "prior/return": Metric("return", "return of the prior with sampled actions, when the run began"),
    "prior/alarm": Metric("0 or 1", "whether the return is more than prior_margin below the prior's"),
    "eval/mean_reward": Metric("return", "mean over episodes"),
    "eval/std_reward": Metric("return", "standard deviation over episodes"),
    "eval/low_reward": Metric("return", "lower end of the mean's 95 % interval, over episodes"),
    "eval/high_reward": Metric("return", "upper end of the mean's 95 % interval, over episodes"),
    "eval/mean_ep_length": Metric("steps", "mean length of an episode"),
    "eval/success": Metric("share", "successful episodes; only for tasks with routes"),
    "eval/route_entropy": Metric("share", "how evenly successes use the task's routes; 1: equally, 0: only one"),
    "eval/nll": Metric("nats per choice", "clone: −log p of the held-out data"),
    "eval/error": Metric("half-ranges", "clone: root mean square distance between its mode and held-out actions"),
}


def table() -> dict[str, Metric]:
    """Every metric, with those that heads and rules declare."""
    own = {f"head/{name}": metric for head in catalog.heads().values() for name, metric in head.metrics.items()}
    rules = (row.rule for row in catalog.algorithms().values())
    return COMMON | own | {f"train/{name}": metric for rule in rules for name, metric in rule.metrics.items()}


def pattern(name: str) -> str:
    """The name in `table` for a logged name: `head/std_joint*` for `head/std_joint3`."""
    return re.sub(r"_joint\d+$", "_joint*", name).removesuffix("_sampled")
