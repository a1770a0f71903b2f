"""`pgcontrol record`: episodes of a trained policy, or of a task's scripted demonstrator, as a Minari dataset.

Episodes are played in waves, and a wave depends on the seed and its own number alone. So a dataset that was stopped
goes on as if it had not been, one that grows keeps its episodes, and none is there because it was short.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pgcontrol_envs
import torch
from pgcontrol_envs import Step, VecEnv
from pgcontrol_envs.demonstrators import route_entropy
from torch import Tensor

from pgcontrol.data import dataset
from pgcontrol.data.dataset import Episode, Writer
from pgcontrol.machine.signals import Interrupt
from pgcontrol.options import InputError, suggest
from pgcontrol.play import evaluate
from pgcontrol.runs import checkpoint
from pgcontrol.runs.folder import PACKAGES
from pgcontrol.runs.load import load_with_meta, make_env
from pgcontrol.runs.log import Display

WAVE = 16
"""Episodes played side by side, or the next multiple of the task's routes."""


class Player(NamedTuple):
    """Who is recorded."""

    env: str
    wave: int
    """Episodes of a wave."""
    begin: Callable[[VecEnv, int], evaluate.Act]
    """Environments and a seed -> the agent of one wave."""
    notes: dict[str, Any]
    """What the dataset says of it: equal notes, equal episodes."""


class Recorded(NamedTuple):
    """What is in the dataset now."""

    path: Path
    episodes: int
    stopped: bool


class _Stopped(Exception):
    """A signal came in the middle of a wave."""


def policy_player(where: Path, mode: bool) -> Player:
    """A trained policy, its samples or its mode.

    Raises:
        InputError: no policy there.
    """
    folder = checkpoint.latest(where)
    policy, meta = load_with_meta(folder)
    notes = {
        "env": meta["policy"]["env"],
        "source": str(folder.resolve()),
        "weights": hashlib.sha256(policy.theta.numpy().tobytes()).hexdigest()[:16],
        "steps": meta["steps"],
        "algorithm": meta["algorithm"],
        "head": meta["policy"]["head"],
        "actions": "mode" if mode else "sampled",
    }
    return Player(notes["env"], WAVE, lambda _, seed: evaluate.policy_agent(policy, mode, seed), notes)


def demonstrator_player(env_id: str, noise: float) -> Player:
    """A task's own demonstrator, all routes equally often.

    Raises:
        InputError: the task has none.
    """
    tasks = pgcontrol_envs.catalog()
    if not tasks[env_id].routes:
        able = ", ".join(name for name, task in tasks.items() if task.routes)
        raise InputError(f"{env_id} has no scripted demonstrator: record a run of it, or one of {able}")
    routes = len(tasks[env_id].routes)
    notes = {"env": env_id, "source": "demonstrator", "algorithm": "demonstrator", "noise": noise}
    wave = routes * -(-WAVE // routes)
    return Player(env_id, wave, lambda env, seed: evaluate.demonstrator_agent(env, seed, noise), notes)


def player(source: str, mode: bool, noise: float) -> Player:
    """Whoever `source` names: a run folder, a checkpoint, or a task with a demonstrator."""
    if not Path(source).exists():
        if source in (tasks := pgcontrol_envs.catalog()):
            return demonstrator_player(source, noise)
        raise InputError(f"{source}: no such run or checkpoint folder, nor a task{suggest(source, tasks)}")
    return policy_player(Path(source), mode)


def record(
    source: str, out: Path, episodes: int, seed: int, mode: bool = False, noise: float = 1.0, quiet: bool = False
) -> Recorded:
    """Record until the dataset at `out` has so many episodes; one begun by the same words goes on.

    Args:
        source: a run folder or checkpoint, or the id of a task with a scripted demonstrator.
        out: the dataset's folder.
        episodes: how many it is to have.
        seed: of start states and of what the player draws.
        mode: play the policy's mode, not its samples.
        noise: scale of the demonstrator's noise.
        quiet: print nothing.

    Raises:
        InputError: nobody to record, or a folder with something else in it.
    """
    dataset.require()
    who = player(source, mode, noise)
    env = make_env(who.env, who.wave, seed)
    notes = who.notes | {"seed": seed, "wave": who.wave}
    writer = _writer(out, env, notes, episodes)
    starts, draws = np.random.SeedSequence(seed).generate_state(2)  # apart from the seeds of evaluations
    first, began, played, totals, routes = len(writer), time.perf_counter(), 0, list[float](), list[np.ndarray]()
    title = f"{who.env} by {who.notes['source']} -> {out}"
    with Interrupt() as interrupt, Display(title, episodes, first, quiet) as display:
        while len(writer) < episodes and not interrupt:
            number, done = divmod(len(writer), who.wave)
            wave_seed = int(np.random.SeedSequence([int(draws), number]).generate_state(1)[0])
            try:
                start = int(starts) + number * who.wave
                wave, outcome = _play(env, who.begin(env, wave_seed), start, interrupt)
            except _Stopped:
                break
            fresh = slice(done, min(who.wave, episodes - number * who.wave))
            writer.add(wave[fresh], _about(env, outcome, start)[fresh])
            played += sum(len(episode.reward) for episode in wave[fresh])
            totals += outcome.returns[fresh].tolist()
            if outcome.route is not None:
                routes.append(outcome.route[fresh])
            elapsed = time.perf_counter() - began
            rate = (len(writer) - first) / elapsed
            row = {"rollout/ep_rew_mean": float(np.mean(totals)), "time/fps": played / elapsed}
            display.update(len(writer), row, left=(episodes - len(writer)) / rate)
        env.close()
        if routes and env.task is not None:
            taken = np.concatenate(routes)
            entropy = route_entropy(taken, len(env.task.routes))
            display.say(f"success {np.mean(taken >= 0):.3f}, route entropy {entropy:.3f}")
        if len(writer) < episodes:
            display.say(f"stopped with {len(writer)} of {episodes} episodes; the same command goes on")
        else:
            display.say(f"{len(writer)} episodes; to fit a policy to them: pgcontrol clone {out} --head gaussian")
    return Recorded(out, len(writer), len(writer) < episodes)


def _writer(out: Path, env: VecEnv, notes: dict[str, Any], episodes: int) -> Writer:
    if not out.exists():
        versions = {name: importlib.metadata.version(name) for name in PACKAGES}
        low, high = env.action_low.numpy(), env.action_high.numpy()
        return Writer.create(out, env.env_id, low, high, env.obs_size, notes | {"versions": versions})
    writer = Writer.reopen(out)
    before = {key: value for key, value in writer.notes.items() if key != "versions"}
    for key in before | notes:
        if before.get(key) != notes.get(key):
            raise InputError(
                f"--out {out} holds other episodes: {key} = {before.get(key)!r}, not {notes.get(key)!r}; name another"
            )
    if len(writer) >= episodes:
        raise InputError(f"--out {out} has {len(writer)} episodes already; ask for more, or name another")
    return writer


def _play(env: VecEnv, act: evaluate.Act, seed: int, interrupt: Interrupt) -> tuple[list[Episode], evaluate.Outcome]:
    """One episode in each environment."""
    obs, action, steps = list[Tensor](), list[Tensor](), list[Step]()

    def watch(before: Tensor, taken: Tensor, step: Step, going: Tensor) -> None:
        if interrupt:
            raise _Stopped
        obs.append(before)
        action.append(taken)
        steps.append(step)

    outcome = evaluate.episodes(env, act, seed, watch=watch)
    # environments that stand still repeat their last observation
    seen = torch.stack([*obs, steps[-1].obs]).numpy()
    taken = torch.stack(action).float().numpy()
    reward = torch.stack([step.reward for step in steps]).numpy()
    terminated = torch.stack([step.terminated for step in steps]).any(0).tolist()
    wave = [
        Episode(seen[: n + 1, i], taken[:n, i], reward[:n, i], terminated[i], not terminated[i])
        for i, n in enumerate(outcome.lengths.tolist())
    ]
    return wave, outcome


def _about(env: VecEnv, outcome: evaluate.Outcome, seed: int) -> list[dict[str, Any]]:
    """What each episode of a wave says of itself: the seed of its start, its return, and its route."""
    said: list[dict[str, Any]] = [{"seed": seed + i, "return": total} for i, total in enumerate(outcome.returns)]
    if outcome.route is not None and env.task is not None:
        for one, route in zip(said, outcome.route, strict=True):
            one["route"] = env.task.routes[route] if route >= 0 else ""
    return said
