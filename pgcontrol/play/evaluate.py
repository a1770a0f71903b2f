"""Evaluation: returns of a fixed policy, by its mode and by its samples, and a recording of an episode."""

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from pgcontrol_envs import VecEnv
from pgcontrol_envs.demonstrators import Demonstrator

from pgcontrol.machine.threads import one_thread
from pgcontrol.measures.routes import route_entropy
from pgcontrol.measures.statistics import mean_interval
from pgcontrol.play.episodes import Act, Episodes, Played
from pgcontrol.policy import Policy

# measures in the summary of every task; tasks may add others
COMMON = ("mean_reward", "std_reward", "low_reward", "high_reward", "mean_ep_length", "success", "route_entropy")
OnStep = Callable[[Played], None]  # called after every step


class Trace(NamedTuple):
    """The episode of the first environment, for a video.

    Attributes:
        qpos: [T + 1, nq] positions, including the start; None if the environment has none.
        actions: [T, A].
        rewards: [T].
        obs: [C, O] the observation before each choice: C = T, or for heads that emit chunks T / H, rounded up.
        own: the environment's own values of model fields, by name.
        meters: [T + 1, 2] by name: target and measured value.
    """

    qpos: np.ndarray | None
    actions: np.ndarray
    rewards: np.ndarray
    obs: np.ndarray
    own: dict[str, np.ndarray]
    meters: dict[str, np.ndarray]


class EpisodeResults(NamedTuple):
    """Returns and lengths of whole episodes.

    Attributes:
        routes: number of the task's routes.
        route: the route by which each episode succeeded, int [N], −1 for none; None if the task has no routes.
        metrics: the task's own measures, [N] by name: means over an episode's steps, or values at its end.
    """

    returns: np.ndarray
    lengths: np.ndarray
    trace: Trace | None
    routes: int = 0
    route: np.ndarray | None = None
    metrics: Mapping[str, np.ndarray] = {}

    def before(self, other: "EpisodeResults") -> "EpisodeResults":
        """These episodes followed by others; keeps the trace of these."""
        joined = {name: np.concatenate([getattr(self, name), getattr(other, name)]) for name in ("returns", "lengths")}
        route = None if self.route is None or other.route is None else np.concatenate([self.route, other.route])
        metrics = {name: np.concatenate([mine, other.metrics[name]]) for name, mine in self.metrics.items()}
        return self._replace(**joined, route=route, metrics=metrics)


def episodes(
    env: VecEnv, act: Act, seed: int, record: bool = False, on_step: OnStep | None = None, count: int | None = None
) -> EpisodeResults:
    """Play one episode in every environment of `env`, from `seed`, without side effects elsewhere.

    Args:
        env: N environments.
        act: the agent.
        seed: environment i starts from seed + i.
        record: keep a Trace of environment 0.
        on_step: called after every step.
        count: number of episodes, played N at a time; None: N.

    Returns:
        EpisodeResults of N or `count` episodes.
    """
    count = count or env.num_envs
    firsts = range(0, count, env.num_envs)
    waves = (_wave(env, act, seed + first, record and first == 0, on_step, count - first) for first in firsts)
    with one_thread():
        return functools.reduce(EpisodeResults.before, waves)


def _wave(env: VecEnv, act: Act, seed: int, record: bool, on_step: OnStep | None, most: int) -> EpisodeResults:
    """One episode in every environment, or in the first `most`; the others do not move."""
    totals = torch.zeros(env.num_envs, dtype=torch.float64)
    lengths = torch.zeros(env.num_envs, dtype=torch.int64)
    sums: dict[str, Any] = {}
    obs = env.reset(seed=seed)
    qpos, meters, actions, rewards, seen = [env.qpos(0)], [_meters(env)], [], [], []
    for played in Episodes(env, act, obs, torch.arange(env.num_envs) < most):
        if on_step:
            on_step(played)
        totals += played.step.reward
        lengths += played.going
        for name, values in (env.task.metrics() if env.task else {}).items():
            sums[name] = sums.get(name, 0.0) + np.where(played.going.numpy(), values, 0.0)
        if record and played.going[0]:
            qpos.append(env.qpos(0))
            meters.append(_meters(env))
            actions.append(played.action[0].numpy().copy())
            rewards.append(float(played.step.reward[0]))
            if played.part == 0:
                seen.append(played.obs[0].numpy().copy())
    trace = None
    if record:
        places = None if qpos[0] is None else np.array(qpos)
        measured = {name: np.array([one[name] for one in meters]) for name in meters[0]}
        trace = Trace(places, np.stack(actions), np.array(rewards), np.stack(seen), env.own(0), measured)
    routes = env.task.routes if env.task else ()
    # an environment whose episode has ended is still in its final state
    route = np.array(env.task.route())[:most] if env.task and routes else None
    returns, steps = totals.numpy()[:most], lengths.numpy()[:most]
    ending = env.task.ending() if env.task else {}
    metrics = {name: total[:most] / steps for name, total in sums.items()}
    metrics |= {name: np.array(values, float)[:most] for name, values in ending.items()}
    return EpisodeResults(returns, steps, trace, len(routes), route, metrics)


def _meters(env: VecEnv) -> dict[str, np.ndarray]:
    """Target and measured value of each meter in the first environment, [2] by name."""
    return {name: np.array(values[0], float) for name, values in env.task.meters().items()} if env.task else {}


def policy_agent(policy: Policy, deterministic: bool, seed: int) -> Act:
    """An agent that plays a policy's mode, or samples from it with its own random stream."""
    rng = None if deterministic else torch.Generator().manual_seed(seed)
    return lambda obs: policy.act(obs, rng)[0]


def random_agent(env: VecEnv, seed: int) -> Act:
    """An agent with uniformly random actions within the bounds."""
    rng = torch.Generator().manual_seed(seed)
    low, span = env.action_low, env.action_high - env.action_low
    return lambda obs: low + span * torch.rand(len(obs), 1, low.numel(), generator=rng)


def demonstrator_agent(env: VecEnv, seed: int, noise: float = 1.0) -> Act:
    """The scripted demonstrator of a task with routes.

    Raises:
        ValueError: the task has none.
    """
    demonstrator = Demonstrator(env, seed, noise)
    return lambda obs: demonstrator.act().unsqueeze(1)


def zero_agent(env: VecEnv) -> Act:
    """An agent without any torque (the value nearest to 0 within the bounds)."""
    action = torch.zeros_like(env.action_low).clamp(env.action_low, env.action_high)
    return lambda obs: action.expand(len(obs), 1, -1)


def summary(results: EpisodeResults, name: str) -> dict[str, Any]:
    """Mean, standard deviation, interval and mean length by logged names; success and route entropy if it has routes.

    The interval of one episode has equal ends.
    """
    mean, low, high = mean_interval(results.returns)
    if len(results.returns) == 1:
        low = high = mean
    row = {"mean_reward": mean, "std_reward": float(results.returns.std()), "low_reward": low, "high_reward": high}
    row["mean_ep_length"] = float(results.lengths.mean())
    row |= {measure: float(values.mean()) for measure, values in results.metrics.items()}
    if results.route is not None:
        row["success"] = float((results.route >= 0).mean())
        row["route_entropy"] = route_entropy(results.route, results.routes)
    return {f"eval/{measure}{name}": value for measure, value in row.items()}
