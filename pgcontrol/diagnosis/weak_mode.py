"""Why samples of a policy beat its mode: plays the policy in other ways from the same start states."""

from contextlib import closing
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from pgcontrol.measures import modes, spread
from pgcontrol.measures.statistics import welch
from pgcontrol.measures.verdicts import HEALTHY, WEAK_MODE, Verdict
from pgcontrol.play.episodes import Act, Played
from pgcontrol.play.evaluate import episodes, policy_agent
from pgcontrol.policy import Policy
from pgcontrol.runs.load import env_to_play
from pgcontrol.text import short

EPISODES, DRAWS = 100, 64
STATES, MODE_DRAWS = 32, 500  # visited states in which modes are counted, and draws in each of them
MODE, SAMPLES, MEAN, REPLANNED = "mode", "samples", "mean of draws", "mode, chosen again at every step"
BOUND = 0.999  # half-ranges: an action beyond it counts as being at a bound
MORE = 0.05  # the mode is clipped if this fraction more of its actions than of the samples' is at a bound


class Playing(NamedTuple):
    """The results of playing a policy in several ways.

    Attributes:
        returns: way -> return of each episode.
        several: fraction of the visited states in which the policy has more than one mode.
        clipped: fraction of the mode's actions that are at a bound, and of the samples' actions.
    """

    returns: dict[str, np.ndarray]
    several: float
    clipped: tuple[float, float]


def ways(policy: Policy, seed: int) -> dict[str, Act]:
    """Agents by the names above; `REPLANNED` only for heads that emit chunks."""
    rng, head = torch.Generator().manual_seed(seed), policy.head

    @torch.no_grad()
    def mean(obs: Tensor) -> Tensor:
        params = policy.params(policy.normaliser(obs)).repeat_interleave(DRAWS, 0)
        return head.decode(head.sample(params, rng)).unflatten(0, (len(obs), DRAWS)).mean(1)

    mode = policy_agent(policy, True, seed)
    found = {MODE: mode, SAMPLES: policy_agent(policy, False, seed), MEAN: mean}
    return found | ({REPLANNED: lambda obs: mode(obs)[:, :1]} if head.horizon > 1 else {})


def play(policy: Policy, env_id: str, seed: int, count: int = EPISODES) -> Playing:
    """Play `count` episodes in each way from the same start states.

    Args:
        policy: the policy whose mode is weak.
        env_id: its task.
        seed: seed of start states and draws.
        count: episodes per way.
    """
    returns, visited, clipped = dict[str, np.ndarray](), list[Tensor](), dict[str, list[float]]({MODE: [], SAMPLES: []})
    low, high = policy.head.low, policy.head.high
    with closing(env_to_play(env_id, count, seed)) as env:
        for name, act in ways(policy, seed).items():
            at_bound = clipped.get(name, [])

            def look(played: Played, at_bound: list[float] = at_bound, name: str = name) -> None:
                units = spread.unit(played.action[played.going], low, high)
                at_bound.append(float((units.abs() > BOUND).double().mean()))
                if name == SAMPLES:
                    visited.append(played.obs[played.going][:1])

            returns[name] = episodes(env, act, seed, on_step=look, count=count).returns
    seen = torch.cat(visited)[torch.linspace(0, len(visited) - 1, STATES).long()]
    draws = policy.draws(seen, MODE_DRAWS, torch.Generator().manual_seed(seed)).transpose(0, 1)
    units = spread.unit(draws, low, high).double().numpy()
    several = np.mean([len(modes.modes(state, modes.width_for(policy.head.resolution))) > 1 for state in units])
    shares = float(np.mean(clipped[MODE])), float(np.mean(clipped[SAMPLES]))
    return Playing(returns, float(several), shares)


def judged(playing: Playing) -> Verdict:
    """Weak, with its cause: the way of playing that recovers more than half of the loss of the mode; or healthy."""
    mean = {name: float(returns.mean()) for name, returns in playing.returns.items()}
    lost = mean[SAMPLES] - mean[MODE]
    what = f"mean return {short(mean[SAMPLES])} with samples, {short(mean[MODE])} with the mode"
    if lost <= welch(playing.returns[SAMPLES], playing.returns[MODE]):
        return Verdict("mode", HEALTHY, f"{what}, within the noise of {len(playing.returns[MODE])} episodes")
    won = {name: (value - mean[MODE]) / lost for name, value in mean.items()}
    at_mode, at_samples = playing.clipped
    if won.get(REPLANNED, 0.0) > 0.5:
        why = f"chunks are too long for the mode: if chosen again at every step, it reaches {short(mean[REPLANNED])}"
    elif won[MEAN] > 0.5 and playing.several > 0.5:
        why = f"the mode is one of several in {playing.several:.0%} of the states"
        why = f"{why}; the mean of draws reaches {short(mean[MEAN])}"
    elif won[MEAN] > 0.5 and at_mode > at_samples + MORE:
        why = f"the mode is clipped: {at_mode:.0%} of its actions are at a bound, of sampled ones {at_samples:.0%}"
        why = f"{why}; the mean of clipped draws reaches {short(mean[MEAN])}"
    elif won[MEAN] > 0.5:
        why = f"the distribution is skewed, its mode is not its mean: the mean of draws reaches {short(mean[MEAN])}"
    else:
        why = f"the policy needs its noise: the mean of draws reaches only {short(mean[MEAN])}"
    return Verdict("mode", WEAK_MODE, f"{what}; {why}")
