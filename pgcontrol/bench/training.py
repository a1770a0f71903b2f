"""How fast does it learn? Acting, updating and whole trainings, each beside its limit and beside Stable-Baselines3.

All rows of one call are measured in one run, in turns, so that ratios hold on a machine that others use too.
"""

import multiprocessing
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from pgcontrol.bench import peer
from pgcontrol.bench.turns import cells, in_turns, spans, write
from pgcontrol.runs.config import Config, configure, nested
from pgcontrol.training.trainer import Trainer

REPEATS = 5


def run(env_id: str, heads: list[str], settings: dict[str, Any], seconds: float, out: Path | None) -> dict[str, Any]:
    """Measure, print a table, write JSON.

    Args:
        env_id: a task.
        heads: heads to train.
        settings: dotted settings beside the task's recommended ones.
        seconds: time for one turn of one row.
        out: the JSON file to write, or None.

    Returns:
        What is written: {"settings": ..., "gflops": ..., "rows": {row: {"rate": median, "low": min, "high": max,
        "limit": the rate that nothing but arithmetic and physics would allow}}, "split": {head: {part: share of wall
        time}}}. Rates are environment steps/s, for `update` rows samples/s.
    """
    asked = {head: {"env": env_id, "compile": "on", **settings, "head": head} for head in heads}
    configs = {head: configure(of_head) for head, of_head in asked.items()}
    trainers = {head: warm(config) for head, config in configs.items()}
    first = configs[heads[0]]
    physics = partial(timed, seconds, _physics(trainers[heads[0]]))
    rows: dict[str, Callable[[], float]] = {"physics alone": physics}
    splits: dict[str, list[dict[str, float]]] = {head: [] for head in heads}
    for head, trainer in trainers.items():
        small = warm(configure(asked[head] | {"algorithm.minibatch": 64}))
        rows[f"act {head}"] = partial(timed, seconds, _act(trainer))
        rows[f"update {head}, compiled, samples"] = partial(_update, seconds, trainer)
        rows[f"update {head}, eager, samples"] = partial(_update, seconds, Trainer(configs[head], compiled=False))
        rows[f"update {head}, minibatch 64, samples"] = partial(_update, seconds, small)
        rows[f"train {head}"] = partial(timed, seconds, train(trainer, splits[head]))
    if peer.installed():
        for name, like_ours in (("same settings", True), ("defaults", False)):
            learn = _learning(peer.ppo(first, like_ours))
            rows[f"train Stable-Baselines3, {name}"] = partial(timed, seconds, learn, multiprocessing.cpu_count())
    gflops = median(_gflops() for _ in range(REPEATS))
    rates = in_turns(rows, REPEATS)
    rates[f"train {heads[0]} x 2 processes, sum"] = [_side_by_side(configs[heads[0]], 3 * seconds)]
    result: dict[str, Any] = {
        "settings": {"env": env_id, "seconds": seconds, "repeats": REPEATS, **settings},
        "gflops": gflops,
        "rows": {name: span | {"limit": None} for name, span in spans(rates).items()},
        "split": {head: _shares(split) for head, split in splits.items()},
    }
    for head, trainer in trainers.items():
        _limits(result["rows"], head, trainer, gflops)
    _print(result)
    return write(result, out)


def _print(result: dict[str, Any]) -> None:
    """Rates with their range over turns, ratios to the first head and to Stable-Baselines3, where the time goes."""
    console, rows = Console(highlight=False, width=None if Console().is_terminal else 120), result["rows"]
    first = next(iter(result["split"]))
    peers = {first: rows[f"train {first}"]["rate"]}
    peers |= {n.removeprefix("train Stable-Baselines3, "): r["rate"] for n, r in rows.items() if "Stable" in n}
    table = Table(title=" ".join(f"{k} {v}" for k, v in result["settings"].items()))
    table.add_column("row", no_wrap=True)
    for column in ("per second", "lowest to highest", "of limit", f"x {first}", *(f"x SB3, {p}" for p in [*peers][1:])):
        table.add_column(column, justify="right", no_wrap=column == "lowest to highest")
    for name, row in rows.items():
        share = f"{row['rate'] / row['limit']:.0%}" if row["limit"] else ""
        ratios = [f"{row['rate'] / rate:.1f}" if name.startswith("train") else "" for rate in peers.values()]
        table.add_row(name, *cells(row), share, *ratios)
    console.print(table)
    for head, split in result["split"].items():
        console.print(f"{head}: " + "  ".join(f"{part} {share:.0%}" for part, share in split.items()))


def _gflops() -> float:
    """What one thread makes of a matrix product large enough to hide everything else, 10⁹ operations/s."""
    n, a = 512, torch.randn(512, 512)
    began = time.perf_counter()
    for _ in range(10):
        torch.mm(a, a)
    return 10 * 2 * n**3 / (time.perf_counter() - began) / 1e9


def _limits(rows: dict[str, Any], head: str, trainer: Trainer, gflops: float) -> None:
    """Fill in what the networks' products (2 operations a weight, 3 times that with the gradient) and physics allow."""
    actor = sum(p.numel() for part in (trainer.policy.actor_trunk, trainer.policy.head) for p in part.parameters())
    update = gflops * 1e9 / (6 * trainer.policy.theta.numel())
    step = 1 / rows["physics alone"]["rate"] + trainer.config.algorithm.options.epochs / update
    for row, limit in {"act": gflops * 1e9 / (2 * actor), "update": update, "train": 1 / step}.items():
        for name in rows:
            if name.partition(",")[0] == f"{row} {head}":
                rows[name]["limit"] = limit


def warm(config: Config) -> Trainer:
    """A trainer after two updates: what is compiled is compiled."""
    torch.set_num_threads(1)
    trainer = Trainer(config)
    for _ in range(2):
        trainer.update()
    return trainer


def timed(seconds: float, once: Callable[[], int], threads: int = 1) -> float:
    """Units a second of `once`, which does some and says how many, on so many of torch's threads."""
    torch.set_num_threads(threads)
    began, done = time.perf_counter(), 0
    while (elapsed := time.perf_counter() - began) < seconds:
        done += once()
    return done / elapsed


def _physics(trainer: Trainer) -> Callable[[], int]:
    env, task = trainer.env, trainer.env.task
    if task is None:
        raise ValueError(f"{env.env_id}: the bench needs a task of ours")
    physics: Any = env.physics  # pyright: ignore[reportAttributeAccessIssue]

    low, span = env.action_low, env.action_high - env.action_low
    controls = low + span * torch.rand(env.num_envs, len(low))

    def once() -> int:
        physics.ctrl[:] = controls
        physics.step(task.frame_skip)
        return env.num_envs

    return once


def _act(trainer: Trainer) -> Callable[[], int]:
    obs = torch.zeros(trainer.env.num_envs, trainer.env.obs_size, dtype=torch.float64)
    noise = trainer.policy.head.noise(len(obs), trainer.sampling)

    def once() -> int:
        with torch.no_grad():
            trainer.collector.respond(obs, noise)
        return len(obs)

    return once


def _update(seconds: float, trainer: Trainer) -> float:
    """Samples a second through whole updates on rollouts collected outside the clock."""
    torch.set_num_threads(1)
    spent, samples = 0.0, 0
    while spent < seconds:
        rollout, _ = trainer.collector.collect()
        estimate = rollout.estimate(trainer.estimator)
        began = time.perf_counter()
        trainer.rule.update(rollout, estimate, 0.0, trainer.minibatches)
        spent += time.perf_counter() - began
        samples += estimate.advantage.numel() * trainer.config.algorithm.options.epochs
    return samples / spent


def train(trainer: Trainer, splits: list[dict[str, float]]) -> Callable[[], int]:
    """An update, which takes so many environment steps; where the time went is appended to `splits`."""

    def once() -> int:
        row = trainer.update()
        splits.append({k: row[f"time/{k}"] for k in ("physics", "policy", "buffer", "update", "rest")})
        return trainer.config.num_envs * trainer.config.rollout_steps

    return once


def _shares(split: list[dict[str, float]]) -> dict[str, float]:
    total = sum(sum(row.values()) for row in split)
    return {part: sum(row[part] for row in split) / total for part in split[0]}


def _learning(model: Any) -> Callable[[], int]:
    """A rollout and an update of Stable-Baselines3's PPO."""

    def once() -> int:
        before = model.num_timesteps
        model.learn(1, reset_num_timesteps=False)
        return model.num_timesteps - before

    return once


def _side_by_side(config: Config, seconds: float) -> float:
    """Two trainings at once, a process and a thread each: the sum of their rates."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(2) as pool:
        alone = [nested(config) | {"seed": seed, "threads": 1} for seed in (0, 1)]
        return sum(pool.starmap(_solo, [(settings, seconds) for settings in alone], chunksize=1))


def _solo(settings: dict[str, Any], seconds: float) -> float:
    return timed(seconds, train(warm(configure(settings)), []))
