"""Whether a policy averages between good actions, and which of a task's routes it still takes.

Averaging is judged by an experiment. Environments are played to the place where the route is chosen, and copied there
with their physics state and clock. Each copy plays one candidate action, then follows the policy. Candidates are the
action that the policy plays (its mode), the mean of its draws, the modes of its draws, and the action of the task's
demonstrator for each route. A policy averages if the action it plays lies *between* two candidates that both have a
significantly higher return.
"""

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from pgcontrol_envs import VecEnv
from pgcontrol_envs.task import Task
from torch import Tensor

from pgcontrol.measures import modes, routes, spread
from pgcontrol.measures.statistics import Interval, mean_interval
from pgcontrol.measures.verdicts import HEALTHY, NOT_JUDGED, Verdict
from pgcontrol.play.episodes import Episodes
from pgcontrol.play.evaluate import demonstrator_agent, episodes, policy_agent
from pgcontrol.policy import Policy
from pgcontrol.runs.load import make_env
from pgcontrol.text import with_error

EPISODES = 200
# decisions that are examined, branches per candidate at each, and draws of actions at each
STATES, REPEATS, DRAWS = 12, 12, 1000
SCOUTS = 16  # episodes started per decision, because a policy that wanders reaches few
# a candidate counts as better if it gains this fraction of the largest difference between candidates' means
COUNTS = 0.1
PLAYED, MEAN = "played", "mean of draws"
AT_START = "at the start of the episode"


class Occupancy(NamedTuple):
    """Which routes episodes took.

    Attributes:
        success: fraction of episodes that succeeded.
        entropy: entropy of the routes of successful episodes, 0 to 1.
        low: lower bound of its interval.
        high: upper bound.
        shares: route -> fraction of the successes.
    """

    success: float
    entropy: float
    low: float
    high: float
    shares: dict[str, float]


class Decision(NamedTuple):
    """What happens where the route is chosen.

    Attributes:
        where: description of these states.
        obs: [S, O] raw observations of the states.
        qpos: [S, nq].
        draws: [D, S, A] actions that the policy draws there, in half-ranges.
        candidates: name -> actions [S, A], in half-ranges.
        value: name -> [S] mean return after the action, over its branches.
        blocked: fraction of the draws that choose no route, if the task defines it.
    """

    where: str
    obs: Tensor
    qpos: np.ndarray
    draws: np.ndarray
    candidates: dict[str, np.ndarray]
    value: dict[str, np.ndarray]
    blocked: float | None


def routes_taken(env: VecEnv, policy: Policy | None, seed: int) -> Occupancy:
    """Play an episode in every env, by samples of the policy or (None) by the demonstrator."""
    assert env.task is not None
    act = demonstrator_agent(env, seed) if policy is None else policy_agent(policy, False, seed)
    route = episodes(env, act, seed).route
    assert route is not None
    return occupancy(route, env.task.routes)


def occupancy(route: np.ndarray, names: Sequence[str]) -> Occupancy:
    """Statistics of the routes of episodes, int [E]; −1 for none."""
    won = max(int((route >= 0).sum()), 1)
    shares = {name: float((route == r).sum()) / won for r, name in enumerate(names)}
    return Occupancy(float((route >= 0).mean()), *routes.occupancy(route, len(names)), shares)


@torch.no_grad()
def decide(policy: Policy, env_id: str, seed: int, states: int = STATES, repeats: int = REPEATS) -> Decision:
    """Run the experiment in states in which the policy's episodes must choose.

    `Task.deciding` defines them. If there is none, or if no episode reaches one, the start of the episode is used.

    Args:
        policy: its samples play.
        env_id: a task with routes.
        seed: seed of start states and draws.
        states: number of decisions to examine.
        repeats: branches per candidate.
    """
    rng = torch.Generator().manual_seed(seed)
    scouts = make_env(env_id, SCOUTS * states, seed)
    head, task = policy.head, scouts.task
    assert task is not None
    where, (obs, found) = "where the route is chosen", _arrive(scouts, task, policy, rng, states)
    if not len(found):  # it has turned before that place, or wanders
        where, obs, found = AT_START, scouts.reset(), torch.arange(states)
    draws = policy.draws(obs[found], DRAWS, rng)
    played, _ = policy.act(obs[found], None)
    candidates = {PLAYED: played[:, 0], MEAN: draws.mean(0)}
    for r, name in enumerate(task.routes):
        action = task.demonstrate(np.full(scouts.num_envs, r), np.zeros((scouts.num_envs, head.joints)))
        candidates[name] = torch.from_numpy(action).float()[found]
    units = spread.unit(draws, head.low, head.high).numpy()
    width = modes.width_for(head.resolution)
    own = [modes.modes(units[:, s], width) for s in range(len(found))]
    common = min(map(len, own))
    for m in range(common if common > 1 else 0):
        centre = torch.tensor(np.stack([o.centre[m] for o in own])).float()
        candidates[f"mode {m + 1} of draws"] = head.to_bounds(centre)
    candidates = _distinct(candidates, head.half_range)
    value = _values(scouts, policy, found, candidates, repeats, rng)
    in_units = {name: spread.unit(a, head.low, head.high).numpy() for name, a in candidates.items()}
    qpos = np.stack([q for i in found.tolist() if (q := scouts.qpos(i)) is not None])
    return Decision(where, obs[found], qpos, units, in_units, value, _blocked(task, scouts.num_envs, draws, found))


def _arrive(env: VecEnv, task: Task, policy: Policy, rng: torch.Generator, wanted: int) -> tuple[Tensor, Tensor]:
    """Play until `wanted` envs are at a choice: (observations [N, O], ids); no ids if the task has no such place."""
    playing = Episodes(env, lambda obs: policy.act(obs, rng)[0], env.reset())
    try:
        there = torch.from_numpy(task.deciding())
    except NotImplementedError:
        return playing.obs, torch.arange(0)
    playing.stop(there)
    while playing.going.any() and int(there.sum()) < wanted:
        playing.step()
        there |= torch.from_numpy(task.deciding()) & playing.going
        playing.stop(there)
    return playing.obs, there.nonzero().squeeze(1)[:wanted]


def _blocked(task: Task, envs: int, draws: Tensor, found: Tensor) -> float | None:
    action, shares = np.zeros((envs, draws.shape[-1])), []
    try:
        for draw in draws.double().numpy():
            action[found] = draw
            shares.append(task.blocked(action)[found].mean())
    except NotImplementedError:
        return None
    return float(np.mean(shares))


def _distinct(candidates: dict[str, Tensor], half_range: Tensor) -> dict[str, Tensor]:
    """Leave out candidates that are within a fifth of the half-range of an earlier one in every state."""
    always = {name: candidates[name] for name in (PLAYED, MEAN)}
    kept: dict[str, Tensor] = {}
    for name, action in candidates.items():
        if name not in always and all(((action - one).abs() / half_range).max() > 0.2 for one in kept.values()):
            kept[name] = action
    return always | kept


def _values(
    scouts: VecEnv, policy: Policy, found: Tensor, candidates: dict[str, Tensor], repeats: int, rng: torch.Generator
) -> dict[str, np.ndarray]:
    """Mean return of each candidate in each state [S], over the branches."""
    S, N = len(found), scouts.num_envs
    count = len(candidates) * S * repeats
    env = make_env(scouts.env_id, N + count, 0)
    (few, _), (many, own) = scouts.state(), env.state()
    env.load_state({name: torch.cat((few[name], tensor[N:])) for name, tensor in many.items()}, own)
    env.copy(found.repeat_interleave(repeats).repeat(len(candidates)), torch.arange(N, N + count))
    forced = torch.zeros(N + count, len(scouts.action_low))
    forced[N:] = torch.cat([action.repeat_interleave(repeats, 0) for action in candidates.values()])
    forced[:N] = policy.head.centre
    branches = torch.arange(N + count) >= N
    first = env.step(forced, active=branches)
    going = branches & ~(first.terminated | first.truncated)
    rest = Episodes(env, lambda obs: policy.act(obs, rng)[0], first.obs, going)
    total = sum((played.step.reward for played in rest), first.reward)
    mean = total[N:].view(len(candidates), S, repeats).mean(-1).numpy()
    return dict(zip(candidates, mean, strict=True))


def averaging(decision: Decision) -> Verdict:
    """`averaging` if the played action lies between two better candidates; else `healthy`, with the reason.

    If only one side is better, this is not averaging; the better action is named.
    """
    played, worth = decision.candidates[PLAYED], decision.value[PLAYED]
    counts = COUNTS * max(float(np.ptp([value.mean() for value in decision.value.values()])), 1e-9)
    gains = {name: mean_interval(decision.value[name] - worth) for name in decision.candidates}  # over states
    better = {name: gain for name, gain in gains.items() if gain.low > 0 and gain.estimate > counts and name != MEAN}
    for one, other in itertools.combinations(better, 2):
        if _between(played, decision.candidates[one], decision.candidates[other]):
            both = " and ".join(_by(name, better[name]) for name in (one, other))
            return Verdict("choice", "averaging", f"its action {decision.where} lies between better actions: {both}")
    why = f"its action {decision.where} does not lie between two better actions"
    if decision.blocked is not None:
        why += f"; {decision.blocked:.0%} of its draws choose no route"
    if better:
        best = max(better, key=lambda name: better[name].estimate)
        why += f"; better is {_by(best, better[best])}"
    return Verdict("choice", HEALTHY, why)


def _by(name: str, gain: Interval) -> str:
    return f"{name!r} by {with_error(gain.estimate, gain.high - gain.estimate)}"


def _between(point: np.ndarray, one: np.ndarray, other: np.ndarray) -> bool:
    """Whether actions [S, A] lie, in most states, in the middle three fifths of the line between two others."""
    way = other - one
    length = np.maximum((way**2).sum(-1), 1e-12)
    share = ((point - one) * way).sum(-1) / length
    aside = np.linalg.norm(point - one - share[:, None] * way, axis=-1) / np.sqrt(length)
    return bool(((share > 0.2) & (share < 0.8) & (aside < 0.5)).mean() > 0.5)


def success(ours: Occupancy, reference: Occupancy, whose: str) -> Verdict:
    """`fails` if fewer than half as many episodes succeed as with the reference; else `healthy`."""
    why = f"{ours.success:.0%} of sampled episodes succeed; {whose}: {reference.success:.0%}"
    return Verdict("success", "fails" if ours.success < reference.success / 2 else HEALTHY, why)


def mode_loss(ours: Occupancy, reference: Occupancy, whose: str, word: str = "mode loss") -> Verdict:
    """`word` if the routes are significantly less even than the reference's; else `healthy`; with the reason.

    A policy that was not cloned has lost nothing compared with a demonstrator: it has `FEWER_ROUTES`.
    """
    if math.isnan(ours.entropy) or ours.success < 0.05:
        return Verdict("routes", NOT_JUDGED, f"{ours.success:.0%} of the episodes succeed")
    why = f"entropy {ours.entropy:.2f} ({ours.low:.2f} … {ours.high:.2f}); {whose}: {reference.entropy:.2f}"
    return Verdict("routes", word if ours.high < reference.low else HEALTHY, why)
