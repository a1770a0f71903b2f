"""Why samples of a policy beat its mode: by playing it in other ways from the same start states."""

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

EPISODES, DRAWS = 20, 64
STATES, MODE_DRAWS = 32, 500  # visited states in which modes are counted, and draws in each
MODE, SAMPLES, MEAN, REPLANNED = "mode", "samples", "mean of draws", "mode, chosen again at every step"
BOUND = 0.999  # half-ranges: an action beyond is at a bound


class Playing(NamedTuple):
    """What a policy makes by each way of playing it.

    Attributes:
        returns: way -> return of each episode.
        several: share of the visited states in which the policy has more than one mode.
        clipped: share of the mode's actions that lie at a bound, and of the samples'.
    """

    returns: dict[str, np.ndarray]
    several: float
    clipped: tuple[float, float]


def ways(policy: Policy, seed: int) -> dict[str, Act]:
    """Agents by the names above; one that chooses again only where choices are of several actions."""
    rng, head = torch.Generator().manual_seed(seed), policy.head

    @torch.no_grad()
    def mean(obs: Tensor) -> Tensor:
        params = policy.params(policy.normaliser(obs)).repeat_interleave(DRAWS, 0)
        return head.decode(head.sample(params, rng)).unflatten(0, (len(obs), DRAWS)).mean(1)

    mode = policy_agent(policy, True, seed)
    found = {MODE: mode, SAMPLES: policy_agent(policy, False, seed), MEAN: mean}
    return found | ({REPLANNED: lambda obs: mode(obs)[:, :1]} if head.horizon > 1 else {})


def play(policy: Policy, env_id: str, seed: int, count: int = EPISODES) -> Playing:
    """Play each way for so many episodes from the same start states.

    Args:
        policy: whose mode is weak.
        env_id: its task.
        seed: of start states and draws.
        count: episodes of each way.
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
    """Weak, with its cause: the way of playing that wins back more than half of what the mode loses; or healthy."""
    mean = {name: float(returns.mean()) for name, returns in playing.returns.items()}
    lost = mean[SAMPLES] - mean[MODE]
    what = f"samples of the policy make {short(mean[SAMPLES])}, its mode {short(mean[MODE])}"
    if lost <= welch(playing.returns[SAMPLES], playing.returns[MODE]):
        return Verdict("mode", HEALTHY, f"{what}, within the noise of {len(playing.returns[MODE])} episodes")
    won = {name: (value - mean[MODE]) / lost for name, value in mean.items()}
    at_mode, at_samples = playing.clipped
    if won.get(REPLANNED, 0.0) > 0.5:
        why = f"chunks are too long for it: chosen again at every step it makes {short(mean[REPLANNED])}"
    elif won[MEAN] > 0.5 and playing.several > 0.5:
        why = f"it is one of several modes, in {playing.several:.0%} of the states"
        why = f"{why}; the mean of draws makes {short(mean[MEAN])}"
    elif won[MEAN] > 0.5 and at_mode > at_samples:
        why = f"it is clipped: {at_mode:.0%} of its actions lie at a bound, of samples {at_samples:.0%}"
        why = f"{why}; the mean of clipped draws makes {short(mean[MEAN])}"
    elif won[MEAN] > 0.5:
        why = f"it is not the mean: the mean of draws makes {short(mean[MEAN])}"
    else:
        why = f"it needs its noise: the mean of draws makes {short(mean[MEAN])}"
    return Verdict("mode", WEAK_MODE, f"{what}; {why}")
