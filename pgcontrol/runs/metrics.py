"""What a log holds: unit and meaning of every metric. The site shows them; a test holds them to what runs log."""

import re
from typing import NamedTuple


class Metric(NamedTuple):
    """What a logged number is. The unit is empty where it is a number without one."""

    unit: str
    meaning: str


GROUPS = {
    "time": "Steps, updates and seconds.",
    "rollout": "What was played to learn from.",
    "train": "What the update did.",
    "health": "How the policy is; most of them in some 40 updates of a run.",
    "head": "The head's distributions at states of the rollout. Each head has measures of its own.",
    "prior": "Of a run that starts from a prior.",
    "eval": "Of evaluations: of the mode, and with the ending _sampled of samples. Of clones: of held-out data.",
}

# `*` stands for the number of a joint; see `pattern`
TABLE = {
    "time/total_timesteps": Metric("steps", "environment steps so far; of a clone, gradient steps"),
    "time/iterations": Metric("updates", "updates so far"),
    "time/time_elapsed": Metric("s", "time spent training, over all sessions of the run"),
    "time/fps": Metric("steps/s", "mean since the session began; of a clone, gradient steps"),
    "time/physics": Metric("s", "of this update, in the environments' steps"),
    "time/policy": Metric("s", "of this update, choosing actions, and computing params and values of the rollout"),
    "time/buffer": Metric("s", "of this update, the rest of the rollout"),
    "time/update": Metric("s", "of this update, in the update rule"),
    "time/rest": Metric("s", "of this update, everything else: moments, health"),
    "rollout/ep_rew_mean": Metric("return", "mean of the last 100 episodes in training, not scaled"),
    "rollout/ep_len_mean": Metric("steps", "mean length of the last 100 episodes in training"),
    "rollout/success": Metric("share", "of the last 100 episodes in training, where a task has routes"),
    "rollout/quarantined": Metric("transitions", "that were infinite, NaN or unstable; nothing is learned from them"),
    "rollout/outliers": Metric("moments", "running moments of observations and rewards that bounded an outlier"),
    "train/learning_rate": Metric("", "step size of this update"),
    "train/n_updates": Metric("steps", "gradient steps so far; of natural gradients, updates"),
    "train/loss": Metric("", "the whole loss, mean over the update's gradient steps"),
    "train/policy_gradient_loss": Metric("", "minus the surrogate that the rule maximises"),
    "train/value_loss": Metric("", "the critic's loss; of mse, squared scaled returns, of hl-gauss nats"),
    "train/entropy_loss": Metric("nats a choice", "minus the entropy"),
    "train/entropy_coef": Metric("", "weight of the entropy bonus, where entropy_target adapts it"),
    "train/grad_norm": Metric("", "norm of the gradient before it is scaled down"),
    "train/explained_variance": Metric("", "1 − Var(target − V) / Var(target) before the update; 1 is perfect"),
    "train/std": Metric("half-ranges", "deviation of the decoded action in a state, mean over joints; as head/std"),
    "train/kl": Metric("nats a choice", "KL(before || after) of the whole update, by the head's own KL"),
    "train/approx_kl": Metric("nats a choice", "the rule's estimate of it: mean of ratio − 1 − log ratio"),
    "train/clip_fraction": Metric("share", "samples whose ratio is outside 1 ± clip"),
    "train/ratio_error": Metric("", "the largest |ratio − 1| of a minibatch, mean over the update"),
    "train/kl_prior": Metric("nats a choice", "KL(policy || prior) in the update"),
    "train/backtracks": Metric("", "how often TRPO's line search shortened the step"),
    "train/accepted": Metric("0 or 1", "whether TRPO's line search found a step"),
    "train/replay": Metric("transitions", "in decqn's replay"),
    "train/td_error": Metric("", "mean |target − Q| of decqn, in units of the scaled reward"),
    "train/q_value": Metric("", "mean Q of decqn's minibatches, in units of the scaled reward"),
    "train/nll": Metric("nats a choice", "of a clone: −log p of the data that it is fitted to"),
    "health/spread": Metric("half-ranges", "deviation of the decoded action at 16 fixed states, mean over joints"),
    "health/spread_min": Metric("half-ranges", "the same, of the narrowest joint"),
    "health/spread_joint*": Metric("half-ranges", "the same, of each joint"),
    "health/visited_spread": Metric("half-ranges", "deviation of the decoded action at 16 states visited now"),
    "health/visited_spread_min": Metric("half-ranges", "the same, of the narrowest joint"),
    "health/visited_spread_joint*": Metric("half-ranges", "the same, of each joint; verdicts on the spread read it"),
    "health/action_entropy": Metric("share", "entropy of the histogram of executed actions; 1 is uniform"),
    "health/saturation": Metric("share", "executed actions within a hundredth of the half-range of a bound"),
    "health/perplexity": Metric("share", "exp(entropy of an entry) / K, where choices are of K values"),
    "health/dead": Metric("share", "of the K values, those that the rollout never chose"),
    "health/sensitivity": Metric("", "root mean square score by params, a joint: how much a step can destroy"),
    "health/modes": Metric("modes", "of the action distribution at four states, mean"),
    "health/mean_to_mode": Metric("half-ranges", "distance of the mean action to the nearest mode"),
    "health/pull": Metric("", "correlation of the advantage with −log π; below 0 the update narrows the policy"),
    "health/ratio_min": Metric("", "the least π_after / π_before of a choice of the rollout"),
    "health/ratio_max": Metric("", "the largest π_after / π_before of a choice of the rollout"),
    "health/advantage_skew": Metric("", "third standardised moment of the advantages; far from 0, few count"),
    "health/gradient_noise": Metric("", "trace of the covariance of the policy's gradient"),
    "health/gradient_square": Metric("", "squared norm of the policy's gradient, unbiased"),
    "health/noise_scale": Metric("samples", "ratio of these two: a much smaller batch is mostly noise"),
    "health/route_entropy": Metric("share", "how evenly successes of the last 100 episodes use the task's routes"),
    "health/widened": Metric("half-ranges", "the width that --on-collapse widen has just given the policy"),
    "head/std": Metric("half-ranges", "deviation of the decoded action in a state, mean over joints"),
    "head/std_min": Metric("half-ranges", "the same, of the narrowest joint"),
    "head/std_max": Metric("half-ranges", "the same, of the widest joint"),
    "head/std_joint*": Metric("half-ranges", "the same, of each joint"),
    "head/std_at_bound": Metric("share", "of σ, those at min_std or max_std; of Beta, of the largest concentration"),
    "head/saturation": Metric("share", "probability at the bounds: clipped, in the outer bins, or in the last percent"),
    "head/concentration": Metric("", "α + β of a Beta, mean"),
    "head/component_std": Metric("half-ranges", "σ of a mixture's components, mean"),
    "head/perplexity": Metric("share", "exp(entropy) of values, codes or components, as a share of their number"),
    "head/dead_bins": Metric("share", "of the bins, those without a hundredth of the uniform share in any state"),
    "head/dead_codes": Metric("share", "of the codes, those without a hundredth of the uniform share in any state"),
    "head/coupling": Metric("", "size of what the earlier joints say to a joint (autoregressive)"),
    "head/warm": Metric("0 or 1", "whether the head is still on its first bins (token)"),
    "head/refit_shift": Metric("half-ranges", "how far the last fit of the tokens moved the mean action"),
    "head/offset_std": Metric("half-ranges", "σ of the offset from a code (token-offset)"),
    "head/offset": Metric("half-ranges", "size of the mean offset from a code (token-offset)"),
    "head/greedy": Metric("share", "probability of the greedy bin (utilities)"),
    "head/lead": Metric("", "of the best utility over the next one (utilities)"),
    "prior/kl": Metric("nats a choice", "KL(policy || prior) of the policy that made the rollout"),
    "prior/pull": Metric("", "what a nat of it costs now"),
    "prior/return": Metric("return", "the prior's own, by samples, when the run began"),
    "prior/alarm": Metric("0 or 1", "whether the return is below the prior's by the margin"),
    "eval/mean_reward": Metric("return", "mean over episodes"),
    "eval/std_reward": Metric("return", "deviation over episodes"),
    "eval/low_reward": Metric("return", "lower end of the mean's 95 % interval, over episodes"),
    "eval/high_reward": Metric("return", "upper end of the mean's 95 % interval, over episodes"),
    "eval/mean_ep_length": Metric("steps", "mean length of an episode"),
    "eval/success": Metric("share", "of the episodes, where a task has routes"),
    "eval/route_entropy": Metric("share", "how evenly successes use the task's routes; 1 all alike, 0 always one"),
    "eval/nll": Metric("nats a choice", "of a clone: −log p of held-out data"),
    "eval/error": Metric("half-ranges", "of a clone: root mean square distance of its mode from held-out actions"),
}


def pattern(name: str) -> str:
    """The name in `TABLE` of a logged name, such as `head/std_joint*` of `head/std_joint3`."""
    return re.sub(r"_joint\d+$", "_joint*", name).removesuffix("_sampled")
