"""`pgcontrol record`: records episodes of a trained policy, or of a task's demonstrator, as a Minari dataset.

Episodes are played in waves. A wave depends only on the seed and its own number. So a dataset that was interrupted
continues as if it had not been, a dataset that grows keeps its episodes, and short episodes are not over-represented.
"""

import hashlib
import importlib.metadata
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from pgcontrol_envs import VecEnv

from pgcontrol.arguments import RecordOptions
from pgcontrol.data import dataset
from pgcontrol.data.writer import Episode, Writer
from pgcontrol.machine.locks import alone
from pgcontrol.machine.signals import Interrupt
from pgcontrol.options import InputError, suggest, takes
from pgcontrol.play import evaluate
from pgcontrol.play.episodes import Act, Played
from pgcontrol.runs import catalog, checkpoint
from pgcontrol.runs.folder import PACKAGES
from pgcontrol.runs.load import load_with_meta, make_env
from pgcontrol.runs.log import Display
from pgcontrol.text import one_line

WAVE = 16  # episodes played in parallel, or the next multiple of the number of routes


class Source(NamedTuple):
    """The player of the recorded episodes.

    Attributes:
        wave: episodes per wave.
        begin: environments and a seed -> the agent of one wave.
        notes: description in the dataset, including `env`: equal notes mean equal episodes.
    """

    wave: int
    begin: Callable[[VecEnv, int], Act]
    notes: dict[str, Any]


class RecordResult(NamedTuple):
    """The state of a dataset after recording.

    Attributes:
        path: the dataset's folder.
        episodes: number of its episodes.
        whole: whether it is complete; False if a signal stopped the recording. The same call continues it.
        recorded: returns, lengths and routes of the episodes that this call added.
    """

    path: Path
    episodes: int
    whole: bool
    recorded: evaluate.EpisodeResults


class _Stopped(Exception):
    """A signal arrived in the middle of a wave."""


def policy_source(where: Path, mode: bool) -> Source:
    """A trained policy, by samples or by its mode.

    Raises:
        InputError: there is no policy.
    """
    folder = checkpoint.latest(where)
    policy, meta = load_with_meta(folder)
    weights = hashlib.sha256(policy.theta.numpy().tobytes()).hexdigest()[:16]
    notes = {"env": meta["policy"]["env"], "source": str(folder.resolve()), "weights": weights}
    notes |= {name: meta[name] for name in ("steps", "algorithm")}
    notes |= {"head": meta["policy"]["head"], "actions": "mode" if mode else "sampled"}
    return Source(WAVE, lambda _, seed: evaluate.policy_agent(policy, mode, seed), notes)


def demonstrator_source(env_id: str, noise: float) -> Source:
    """A task's demonstrator, with all routes equally often.

    Raises:
        InputError: the task has no demonstrator.
    """
    routes = {name: len(task.routes) for name, task in catalog.tasks().items() if task.routes}
    if (task := env_id.partition("?")[0]) not in routes:
        raise InputError(f"{env_id} has no scripted demonstrator; record a run of it, or one of {', '.join(routes)}")
    notes = {"env": env_id, "source": "demonstrator", "algorithm": "demonstrator", "noise": noise}
    wave = routes[task] * math.ceil(WAVE / routes[task])
    return Source(wave, lambda env, seed: evaluate.demonstrator_agent(env, seed, noise), notes)


def find_source(name: str, mode: bool, noise: float) -> Source:
    """The source for the name of a run folder, a checkpoint, or a task with a demonstrator."""
    if Path(name).exists():
        if noise != RecordOptions.noise:
            raise InputError(f"--noise {noise:g}: only for a demonstrator; a policy's samples have their own noise")
        return policy_source(Path(name), mode)
    if catalog.is_env(name):
        found = demonstrator_source(name, noise)
        if mode:
            raise InputError(f"--mode: the demonstrator of {name} has no mode; leave it out")
        return found
    raise InputError(f"{name}: no such run or checkpoint folder, and no such task{suggest(name, catalog.tasks())}")


@takes(RecordOptions)
def record(options: RecordOptions) -> RecordResult:
    """Record until the dataset at `out` has `episodes` episodes. Continues a dataset that has the same settings.

    Raises:
        InputError: there is nothing to record, or the folder has other content.
        OSError: the disk is full; the episodes recorded so far are kept.
    """
    dataset.require()
    out, episodes, seed = options.out, options.episodes, options.seed
    who = find_source(options.source, options.mode, options.noise)
    env = make_env(who.notes["env"], who.wave, seed)
    writer = _writer(out, env, who.notes | {"seed": seed, "wave": who.wave}, episodes)
    starts, draws = np.random.SeedSequence(seed).generate_state(2)  # different from the seeds of evaluations
    first, began = len(writer), time.perf_counter()
    totals, lengths, route = list[float](), list[int](), list[int]()
    title = f"{env.env_id} by {who.notes['source']} -> {out}"
    busy = f"--out {out}: another process is recording into it"
    with alone(out, busy), Interrupt() as interrupt, Display(title, episodes, first, options.quiet) as display:
        while len(writer) < episodes:
            number, done = divmod(len(writer), who.wave)
            wave_seed = int(np.random.SeedSequence([int(draws), number]).generate_state(1)[0])
            start = int(starts) + number * who.wave
            try:
                wave, results = _play(env, who.begin(env, wave_seed), start, interrupt)
            except _Stopped:
                break
            fresh = slice(done, episodes - number * who.wave)
            try:
                writer.add(wave[fresh], _about(env, results, start)[fresh])
            except OSError as error:
                kept = f"{len(writer)} episodes are kept; free some space and run the same command to continue"
                raise OSError(f"{out}: {error.strerror or one_line(error)}; {kept}") from None
            totals += results.returns[fresh].tolist()
            lengths += results.lengths[fresh].tolist()
            route += [] if results.route is None else results.route[fresh].tolist()
            elapsed = time.perf_counter() - began
            row = {"rollout/ep_rew_mean": float(np.mean(totals)), "time/fps": sum(lengths) / elapsed}
            display.update(len(writer), row, left=elapsed * (episodes - len(writer)) / (len(writer) - first))
        env.close()
    routes = len(env.task.routes) if env.task else 0
    taken = np.array(route, int) if routes else None
    recorded = evaluate.EpisodeResults(np.array(totals), np.array(lengths, int), None, routes, taken)
    return RecordResult(out, len(writer), len(writer) >= episodes, recorded)


def _writer(out: Path, env: VecEnv, notes: dict[str, Any], episodes: int) -> Writer:
    if not out.exists():
        versions = {name: importlib.metadata.version(name) for name in PACKAGES}
        low, high = env.action_low.numpy(), env.action_high.numpy()
        return Writer.create(out, env.env_id, low, high, env.obs_size, notes | {"versions": versions})
    writer = Writer.reopen(out)
    before = {key: value for key, value in writer.notes.items() if key != "versions"}
    for key in before | notes:
        if before.get(key) != notes.get(key):
            differs = f"{key} = {before.get(key)!r}, not {notes.get(key)!r}"
            raise InputError(f"--out {out} holds other episodes: {differs}; choose another folder")
    if len(writer) >= episodes:
        raise InputError(f"--out {out} has {len(writer)} episodes already; ask for more, or choose another folder")
    return writer


def _play(env: VecEnv, act: Act, seed: int, interrupt: Interrupt) -> tuple[list[Episode], evaluate.EpisodeResults]:
    """Play one episode in each environment."""
    steps = list[Played]()

    def watch(played: Played) -> None:
        if interrupt:
            raise _Stopped
        steps.append(played)

    results = evaluate.episodes(env, act, seed, on_step=watch)
    # environments whose episode has ended repeat their last observation
    seen = torch.stack([*(played.obs for played in steps), steps[-1].step.obs]).numpy()[..., : env.obs_size]
    taken = torch.stack([played.action for played in steps]).float().numpy()
    reward = torch.stack([played.step.reward for played in steps]).numpy()
    terminated = torch.stack([played.step.terminated for played in steps]).any(0).tolist()
    wave = [
        Episode(seen[: n + 1, i], taken[:n, i], reward[:n, i], terminated[i], not terminated[i])
        for i, n in enumerate(results.lengths.tolist())
    ]
    return wave, results


def _about(env: VecEnv, results: evaluate.EpisodeResults, seed: int) -> list[dict[str, Any]]:
    """Metadata of each episode of a wave: the seed of its start, its return, and its route."""
    said: list[dict[str, Any]] = [{"seed": seed + i, "return": total} for i, total in enumerate(results.returns)]
    if results.route is None or env.task is None:
        return said
    names = [*env.task.routes, ""]  # the last is for −1, no route
    return [one | {"route": names[route]} for one, route in zip(said, results.route, strict=True)]
