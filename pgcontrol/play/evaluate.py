"""Evaluation: returns of a frozen policy, by its mode and by its samples, and a recording of what it did."""

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from pgcontrol_envs import VecEnv
from pgcontrol_envs.demonstrators import Demonstrator

from pgcontrol.machine.threads import one_thread
from pgcontrol.measures.routes import route_entropy
from pgcontrol.play.episodes import Act, Episodes, Played
from pgcontrol.policy import Policy

# what a summary has of every task; the rest is what the task measures
COMMON = ("mean_reward", "std_reward", "low_reward", "high_reward", "mean_ep_length", "success", "route_entropy")
OnStep = Callable[[Played], None]  # gets every step once it has been played


class Trace(NamedTuple):
    """What happened in the first environment, for a video.

    Attributes:
        qpos: [T + 1, nq] positions, the start among them; None where the environment does not show them.
        actions: [T, A].
        rewards: [T].
        obs: [C, O] what was observed before each choice: C = T, or of a head that emits chunks T / H, rounded up.
        own: the model fields that the environment had of its own, by name.
        meters: [T + 1, 2] by name: what the task wanted and what it measured.
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
        routes: how many the task has.
        route: by which of them each episode succeeded, int [N], −1 for none; None where the task has no routes.
        metrics: what the task measured, [N] by name: the mean over an episode's steps, or of its end.
    """

    returns: np.ndarray
    lengths: np.ndarray
    trace: Trace | None
    routes: int = 0
    route: np.ndarray | None = None
    metrics: Mapping[str, np.ndarray] = {}

    def before(self, other: "EpisodeResults") -> "EpisodeResults":
        """These episodes, and behind them others; the trace is of these."""
        joined = {name: np.concatenate([getattr(self, name), getattr(other, name)]) for name in ("returns", "lengths")}
        route = None if self.route is None or other.route is None else np.concatenate([self.route, other.route])
        metrics = {name: np.concatenate([mine, other.metrics[name]]) for name, mine in self.metrics.items()}
        return self._replace(**joined, route=route, metrics=metrics)


def episodes(
    env: VecEnv, act: Act, seed: int, record: bool = False, on_step: OnStep | None = None, count: int | None = None
) -> EpisodeResults:
    """Play one episode in every environment of `env`, from `seed`, without touching anything else.

    Args:
        env: N environments.
        act: the agent.
        seed: environment i starts from seed + i.
        record: keep a Trace of environment 0.
        on_step: sees every step.
        count: play so many episodes, N after N; None: N.

    Returns:
        EpisodeResults of N or `count` episodes.
    """
    count = count or env.num_envs
    firsts = range(0, count, env.num_envs)
    waves = (_wave(env, act, seed + first, record and first == 0, on_step, count - first) for first in firsts)
    with one_thread():
        return functools.reduce(EpisodeResults.before, waves)


def _wave(env: VecEnv, act: Act, seed: int, record: bool, on_step: OnStep | None, most: int) -> EpisodeResults:
    """One episode in every environment, or in the first `most`; the others stand still."""
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
        told = {name: np.array([one[name] for one in meters]) for name in meters[0]}
        trace = Trace(places, np.stack(actions), np.array(rewards), np.stack(seen), env.own(0), told)
    routes = env.task.routes if env.task else ()
    # environments whose episode is over stand where it ended
    route = np.array(env.task.route())[:most] if env.task and routes else None
    returns, steps = totals.numpy()[:most], lengths.numpy()[:most]
    ending = env.task.ending() if env.task else {}
    metrics = {name: total[:most] / steps for name, total in sums.items()}
    metrics |= {name: np.array(values, float)[:most] for name, values in ending.items()}
    return EpisodeResults(returns, steps, trace, len(routes), route, metrics)


def _meters(env: VecEnv) -> dict[str, np.ndarray]:
    """What the task wants and measures in the first environment, [2] by name."""
    return {name: np.array(values[0], float) for name, values in env.task.meters().items()} if env.task else {}


def policy_agent(policy: Policy, deterministic: bool, seed: int) -> Act:
    """An agent that plays a policy's mode, or samples from it with a stream of its own."""
    rng = None if deterministic else torch.Generator().manual_seed(seed)
    return lambda obs: policy.act(obs, rng)[0]


def random_agent(env: VecEnv, seed: int) -> Act:
    """Uniform over the action bounds."""
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
    """No torque at all (the nearest the bounds allow)."""
    action = torch.zeros_like(env.action_low).clamp(env.action_low, env.action_high)
    return lambda obs: action.expand(len(obs), 1, -1)


def summary(results: EpisodeResults, name: str) -> dict[str, Any]:
    """Mean, deviation, interval and mean length, by logged names; for a task with routes, success and their entropy.

    The interval of one episode has equal ends.
    """
    from pgcontrol.measures.statistics import mean_interval  # SciPy takes long to import

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
