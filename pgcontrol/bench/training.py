"""Training speed: acting, updating and whole trainings, compared with their limits and with Stable-Baselines3.

All rows of one call are measured in one run, in turns, so that ratios are valid on a machine with other load.
"""

import dataclasses
import multiprocessing
import time
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any

import torch
from torch import Tensor

from pgcontrol.bench.turns import in_turns, show, spans
from pgcontrol.runs.config import Config, configure, nested
from pgcontrol.training import peer
from pgcontrol.training.learner import Learner

REPEATS = 5
PARTS = ("physics", "policy", "buffer", "update", "rest")


def run(env_id: str, heads: list[str], settings: dict[str, Any], seconds: float) -> dict[str, Any]:
    """Measure, print a table.

    Args:
        env_id: a task.
        heads: heads to train.
        settings: dotted settings in addition to the task's recommended ones.
        seconds: time for one turn of one row.

    Returns:
        {"settings": ..., "gflops": ..., "rows": {row: {"rate": median, "low": min, "high": max,
        "limit": the rate if only arithmetic and physics cost time}}, "split": {head: {part: fraction of the wall
        time}}}. Rates are environment steps/s; for `update` rows samples/s.
    """
    asked = {head: {"env": env_id, "compile": "on", **settings, "head": head} for head in heads}
    learners = {head: warm(configure(of_head)) for head, of_head in asked.items()}
    first = learners[heads[0]]
    low, high = first.env.action_low, first.env.action_high
    controls = low + (high - low) * torch.rand(first.env.num_envs, len(low))
    rows: dict[str, Callable[[], float]] = {"physics alone": partial(timed, seconds, _physics, first.env, controls)}
    spent = {head: dict.fromkeys(PARTS, 0.0) for head in heads}
    for head, learner in learners.items():
        obs = torch.zeros(learner.env.num_envs, learner.env.obs_size, dtype=torch.float64)
        noise = learner.policy.head.noise(len(obs), learner.sampling)
        rows[f"act {head}"] = partial(timed, seconds, _act, learner, obs, noise)
        eager = Learner(learner.config, compiled=False)
        small = warm(configure(asked[head] | {"algorithm.minibatch": 64}))
        for name, updating in {"compiled": learner, "eager": eager, "minibatch 64": small}.items():
            rows[f"update {head}, {name}, samples"] = partial(_update, seconds, updating)
        rows[f"train {head}"] = partial(timed, seconds, train, learner, spent[head])
    if peer.installed() and peer.has(env_id):
        for name, which in (("same settings", "sb3"), ("defaults", "sb3-as-shipped")):
            model = peer.ppo(dataclasses.replace(first.config, peer=which))
            learn = partial(timed, seconds, peer.learn, model, threads=multiprocessing.cpu_count())
            rows[f"train Stable-Baselines3, {name}"] = learn
    gflops = median(_gflops() for _ in range(REPEATS))
    rates = in_turns(rows, REPEATS)
    rates[f"train {heads[0]} x 2 processes, sum"] = [_side_by_side(first.config, 3 * seconds)]
    measured = spans(rates)
    limits = _limits(learners, gflops, measured["physics alone"]["rate"])
    result: dict[str, Any] = {
        "settings": {"env": env_id, "seconds": seconds, "repeats": REPEATS, **settings},
        "gflops": gflops,
        "rows": {name: span | {"limit": limits.get(name.partition(",")[0])} for name, span in measured.items()},
        "split": {head: {k: s / sum(parts.values()) for k, s in parts.items()} for head, parts in spent.items()},
    }
    _print(result)
    return result


def _print(result: dict[str, Any]) -> None:
    """Print rates with their range over turns, ratios to the first head and Stable-Baselines3, and the time split."""
    rows, first = result["rows"], next(iter(result["split"]))
    peers = {f"x {first}": f"train {first}"}
    peers |= {name.replace("train Stable-Baselines3", "x SB3"): name for name in rows if "Stable" in name}
    more = {"of limit": [f"{row['rate'] / row['limit']:.0%}" if row["limit"] else "" for row in rows.values()]}
    for column, other in peers.items():
        times = {name: row["rate"] / rows[other]["rate"] for name, row in rows.items()}
        more[column] = [f"{ratio:.1f}" if name.startswith("train") else "" for name, ratio in times.items()]
    show(" ".join(f"{k} {v}" for k, v in result["settings"].items()), rows, more)
    for head, split in result["split"].items():
        print(f"{head}: " + "  ".join(f"{part} {share:.0%}" for part, share in split.items()))


def _gflops() -> float:
    """Speed of one thread in a matrix product that is large enough to hide overheads, 10⁹ operations/s."""
    n, a = 512, torch.randn(512, 512)
    began = time.perf_counter()
    for _ in range(10):
        torch.mm(a, a)
    return 10 * 2 * n**3 / (time.perf_counter() - began) / 1e9


def _limits(learners: dict[str, Learner], gflops: float, physics: float) -> dict[str, float]:
    """Limits of the rates from matrix products (2 operations per weight, 6 with gradient) and physics, by row."""
    limits = {}
    for head, learner in learners.items():
        actor = sum(p.numel() for part in (learner.policy.actor_trunk, learner.policy.head) for p in part.parameters())
        update = gflops * 1e9 / (6 * learner.policy.theta.numel())
        step = 1 / physics + learner.config.algorithm.options.epochs / update
        limits |= {f"act {head}": gflops * 1e9 / (2 * actor), f"update {head}": update, f"train {head}": 1 / step}
    return limits


def warm(config: Config) -> Learner:
    """A learner after two updates, so that compilation is done."""
    torch.set_num_threads(1)
    learner = Learner(config)
    for _ in range(2):
        learner.update()
    return learner


def timed(seconds: float, once: Callable[..., int], *args: Any, threads: int = 1) -> float:
    """Units per second of `once(*args)`, which returns the number of its units, with a number of torch threads."""
    torch.set_num_threads(threads)
    began, done = time.perf_counter(), 0
    while (elapsed := time.perf_counter() - began) < seconds:
        done += once(*args)
    return done / elapsed


def _physics(env: Any, controls: Tensor) -> int:
    env.physics.ctrl[:] = controls
    env.physics.step(env.task.frame_skip)
    return env.num_envs


@torch.no_grad()
def _act(learner: Learner, obs: Tensor, noise: Tensor) -> int:
    learner.collector.respond(obs, noise)
    return len(obs)


def _update(seconds: float, learner: Learner) -> float:
    """Samples per second of whole updates; the rollouts are collected outside the timing."""
    torch.set_num_threads(1)
    config, spent, samples = learner.config, 0.0, 0
    while spent < seconds:
        spent += learner.update()["time/update"]
        samples += config.num_envs * config.rollout_steps * config.algorithm.options.epochs
    return samples / spent


def train(learner: Learner, spent: dict[str, float]) -> int:
    """An update; returns its number of environment steps, and adds the time of each part to `spent`."""
    row = learner.update()
    for part in spent:
        spent[part] += row[f"time/{part}"]
    return learner.config.num_envs * learner.config.rollout_steps


def _side_by_side(config: Config, seconds: float) -> float:
    """Two trainings at the same time, with one process and one thread each: the sum of their rates."""
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        alone = [nested(config) | {"seed": seed, "threads": 1} for seed in (0, 1)]
        return sum(pool.map(partial(_solo, seconds), alone, chunksize=1))


def _solo(seconds: float, settings: dict[str, Any]) -> float:
    return timed(seconds, train, warm(configure(settings)), {})
