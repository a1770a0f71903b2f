"""Claim 8: the effect of one update on the policy, for every rule, as the standard deviation decreases."""

from typing import Any

import numpy as np
import torch

from pgcontrol.charts.chart import hue
from pgcontrol.charts.lines import Axes, Line
from pgcontrol.learning.advantages import Estimate, returns
from pgcontrol.learning.collector import Collector
from pgcontrol.learning.natural import Natural, TrustRegion
from pgcontrol.learning.ppo import ClippedSurrogate
from pgcontrol.learning.rollout import Rollout
from pgcontrol.learning.score import Score
from pgcontrol.policy import Policy
from pgcontrol.runs.load import make_policy
from pgcontrol.theory.claims import Finding, Result, plotted
from pgcontrol.theory.worlds import OneStep

RATE, FASTER = 3e-4, 100  # PPO's usual step size, and a factor
STDS = (0.4, 0.2, 0.1, 0.05, 0.025)
BUDGET = 0.01  # δ of NPG and TRPO, nats
PLAIN, CLIP, NPG, TRPO = "plain step of length 0.02 in θ", "PPO, ε = 0.2", "NPG", "TRPO"
RULES: dict[str, tuple[Any, dict[str, Any]]] = {  # name in the plot -> rule and options
    # the gradient is longer than max_grad_norm for every σ, so all steps in θ have the same length: 0.02
    PLAIN: (Score, {"optimiser": "sgd", "learning_rate": 2.0, "max_grad_norm": 0.01, "normalise_advantage": True}),
    CLIP: (ClippedSurrogate, {"minibatch": 256, "learning_rate": RATE, "clip": 0.2}),
    NPG: (Natural, {"max_kl": BUDGET}),
    TRPO: (TrustRegion, {"max_kl": BUDGET}),
}


def destruction() -> Result:
    """The same step in θ costs KL ∝ 1/σ² (the Fisher matrix of a Gaussian's mean is 1/σ²: Kakade 2002, section 3).

    One update of each rule on the same one-step task, from a Gaussian with standard deviation σ: the plain step, always
    of the same length in θ; PPO's (Schulman et al. 2017, eq. 7), whose clipping removes the incentive to move a ratio
    beyond 1 ± ε but limits neither the ratio nor the KL; NPG's, whose KL is δ to second order; TRPO's, which never
    exceeds δ.
    """
    kl = {name: [_update(name, std)[0] for std in STDS] for name in RULES}
    (slow, outside), (fast, _) = (_update(CLIP, 0.1, learning_rate=RATE * k) for k in (1, FASTER))
    slope = float(np.polyfit(np.log(STDS), np.log(kl[PLAIN]), 1)[0])
    low, high, most = min(kl[NPG]) / BUDGET, max(kl[NPG]) / BUDGET, max(kl[TRPO]) / BUDGET
    slow, fast = slow / BUDGET, fast / BUDGET
    unheld = f"8 PPO's clipping does not limit KL: same ε, rate x {FASTER}"
    findings = [
        Finding("8 KL of a step of fixed length in θ", f"∝ σ^{slope:.2f}", "∝ σ⁻² (± 0.1)", abs(slope + 2) < 0.1),
        Finding("8 KL of NPG stays at δ", f"{low:.2f} … {high:.2f} δ", "0.8 … 1.25 δ", low > 0.8 and high < 1.25),
        Finding("8 KL of TRPO never exceeds δ", f"at most {most:.2f} δ", "≤ δ", most <= 1),
        Finding(unheld, f"{slow:.1f} → {fast:.1f} δ", "> δ, grows with the rate", slow > 1 and fast > 2 * slow),
        Finding("8 PPO's clipping limits no ratio either", f"{outside:.0%} outside 1 ± ε", "> 5 %", outside > 0.05),
    ]
    narrow = 1 / np.array(STDS)
    drawn = [Line(name, hue(i), narrow, np.array(spent), look="both") for i, (name, spent) in enumerate(kl.items())]
    drawn.append(Line("δ", "base d1", narrow, np.full(len(narrow), BUDGET)))
    axes = Axes("1 / σ of the policy", "KL(before || after) of one update, nats", log=True, log_x=True)
    return Result(findings, plotted("One step, for narrower and narrower policies", drawn, axes))


def _update(name: str, std: float, **more: Any) -> tuple[float, float]:
    """One update of a rule at σ: mean KL(before || after), and the fraction of samples whose ratio left 1 ± 0.2."""
    rule, options = RULES[name]
    policy, rollout = _rollout(std)
    advantage = returns(rollout.trajectories())
    rng = torch.Generator().manual_seed(0)
    rule(policy, rule.Options(**options | more)).update(rollout, Estimate(advantage, advantage), 0.0, rng)
    with torch.no_grad():
        after = policy.params(rollout.obs.flatten(0, 1))
        ratio = (policy.head.log_prob(after, rollout.choice.flatten(0, 1)) - rollout.log_prob.flatten()).exp()
        kl = policy.head.kl(rollout.params.flatten(0, 1), after).mean()
    return float(kl), float(((ratio - 1).abs() > 0.2).double().mean())


def _rollout(std: float) -> tuple[Policy, Rollout]:
    """2048 one-step episodes of a new Gaussian policy with standard deviation σ."""
    env = OneStep(2048)
    head = {"name": "gaussian", "initial_std": std, "min_std": 1e-4}
    sizes = {"obs_size": env.obs_size, "low": env.action_low.tolist(), "high": env.action_high.tolist(), "hidden": [32]}
    policy = make_policy(sizes | {"head": head, "critic": {"name": "none"}}, seed=0)
    return policy, Collector(env, policy, 1, 1.0, False, torch.Generator().manual_seed(0)).collect()[0]
