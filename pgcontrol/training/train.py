"""The training loop: collect, estimate, update and log, with scheduled evaluations and checkpoints."""

import time
from collections.abc import Generator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from pgcontrol_envs import BrokenEnv, VecEnv

from pgcontrol.learning.rollout import Rollout
from pgcontrol.learning.rule import Diverged
from pgcontrol.machine import devices, instructions
from pgcontrol.machine.ranks import RankLost, meet
from pgcontrol.options import InputError
from pgcontrol.play import evaluate
from pgcontrol.play.density import joint_names
from pgcontrol.policy import Policy
from pgcontrol.rendering.clip_format import ClipFormat
from pgcontrol.rendering.clips import distributions, recorded
from pgcontrol.rendering.queue import RenderQueue
from pgcontrol.runs import breakdown, checkpoint
from pgcontrol.runs.config import Config, configure
from pgcontrol.runs.folder import RunFolder
from pgcontrol.runs.load import env_to_play
from pgcontrol.training import peer
from pgcontrol.training.asynchronous import WorkerFailed, require_processes
from pgcontrol.training.driver import Driver, driver, follow
from pgcontrol.training.guard import CollapseGuard
from pgcontrol.training.learner import Learner
from pgcontrol.training.session import OnUpdate, Run, ended, session


def train(config: Config | Mapping[str, Any], *, quiet: bool = True, on_update: OnUpdate | None = None) -> Run:
    """Train a policy in a new run folder.

    Under torchrun, all processes train one run together. Only rank 0 writes to the folder, displays and logs.

    Args:
        config: a Config, or dotted settings such as `{"env": "Hopper-v5", "head": "binned", "head.bins": 41}`.
        quiet: show no progress.
        on_update: called after every update with its metrics. If it returns True, the run stops and can be resumed.

    Raises:
        InputError: a setting is invalid, or the run folder exists.
        Diverged, FloatingPointError: numbers became infinite or NaN; the last good checkpoint remains.
        RankLost: another process has ended.
    """
    config = config if isinstance(config, Config) else configure(config)
    if config.peer != "none":
        return peer.train(config, quiet, on_update)
    learner = Learner(config, ranks=meet())
    if learner.ranks.rank:
        return followed(learner)
    with begin(learner) as folder:
        return loop(learner, folder, quiet, on_update)


def followed(learner: Learner) -> Run:
    """The run on a rank other than 0."""
    status = follow(learner)
    return Run(Path(learner.config.run_dir or ""), learner.steps, status)


@contextmanager
def begin(learner: Learner) -> Generator[RunFolder]:
    """Create and lock the run folder of a learner. It is removed if invalid input makes the first update fail."""
    if learner.asynchronous:
        require_processes(learner.config.algorithm.name)
    with RunFolder.create(learner.config).alone() as folder:
        computed: dict[str, Any] = {"threads": learner.threads._asdict(), "compiled": learner.compilation.on}
        computed["instructions"] = instructions.used()
        computed |= {"ranks": learner.ranks.size} if learner.ranks.size > 1 else {}
        where, physics = learner.device, learner.config.physics
        computed |= {"device": devices.model(where), "determinism": devices.determinism(where, physics)}
        exact = where.type == "cpu" and not learner.asynchronous
        folder.write_manifest(seeds=learner.seeds, **computed, reproducible=exact)
        try:
            yield folder
        except (BrokenEnv, InputError, WorkerFailed):
            if not learner.updates:
                folder.discard()
            raise


def loop(learner: Learner, folder: RunFolder, quiet: bool = True, on_update: OnUpdate | None = None) -> Run:
    """Train until the budget is used, a signal arrives, or `on_update` returns True; see `train`."""
    with closing(updates(learner, folder, quiet)) as made:
        for row in made:
            if on_update and on_update(row) is True:
                break
    return Run(folder.path, learner.steps, folder.manifest()["status"])


def updates(learner: Learner, folder: RunFolder, quiet: bool = True) -> Generator[dict[str, float]]:
    """Train, and yield the metrics of every update, until the budget is used or a signal arrives.

    If the generator is closed earlier, the run can be resumed. At the end, the learner is closed.
    """
    config, driven = learner.config, driver(learner)
    title = f"{config.env} {config.head.name} {config.algorithm.name} seed {config.seed} -> {folder.path}"
    status, first, joints = "failed", learner.steps, joint_names(learner.env)
    several = learner.ranks.size > 1
    try:
        with (
            session(folder, config, title, config.total_steps, first, quiet, several) as (display, log, interrupt),
            RenderQueue(folder.videos, display.say, ClipFormat(seconds=config.video_seconds)) as clips,
        ):
            clips.take_up(until=learner.steps)
            if learner.asynchronous:
                display.say(f"{config.algorithm.name} is asynchronous: this run is not reproducible bit for bit")
            if learner.compilation.on:
                display.say("the first update also compiles the gradient step: up to a minute, less if it is cached")
            began, guard, stop = time.perf_counter(), CollapseGuard(learner, driven, folder), False
            with suppress(GeneratorExit):  # the caller closed the generator
                while learner.steps < config.total_steps and not interrupt and not stop:
                    before, row = learner.steps, driven.update()
                    row["time/fps"] = (learner.steps - first) / (time.perf_counter() - began)
                    finished = learner.steps >= config.total_steps
                    if config.eval_every and (finished or _due(config.eval_every, before, learner.steps)):
                        row |= _evaluate(learner, folder, clips)
                    stop = guard(row)
                    log.write(learner.steps, row)
                    while learner.remarks:
                        display.say(learner.remarks.pop(0))
                    for line in _breakdowns(learner, folder, first):
                        display.say(line)
                    display.update(learner.steps, row, left=(config.total_steps - learner.steps) / row["time/fps"])
                    if finished or _due(config.checkpoint_every, before, learner.steps):
                        log.sync()
                        _save(learner, driven, folder)
                    clips.poll()
                    yield {"time/total_timesteps": learner.steps, **row}
            status = "finished" if learner.steps >= config.total_steps else "stopped"
            if status == "stopped":
                _save(learner, driven, folder)
                display.say(f"stopped at step {learner.steps:,}; to resume: {folder.command('resume')}")
            else:
                clips.finish(learner.seconds, interrupt)
                driven.close()  # before the final policy is played: a process can hold some engines only once
                display.say(ended(folder, config, status, joints))
    except RankLost as error:
        raise RankLost(f"{error}{_left(folder) or ''}; to resume: {folder.command('resume')}") from None
    except (Diverged, FloatingPointError) as error:
        status = "diverged"
        ended(folder, config, status, joints)
        seen = _breakdowns(learner, folder, first)[:1]
        raise type(error)("; ".join([f"{error}{_left(folder) or '; there is no checkpoint yet'}", *seen])) from None
    except (BrokenEnv, InputError) as error:  # a plug-in violates its contract
        raise type(error)(f"{error}{_left(folder)}") from error
    except OSError as error:  # usually a full disk
        where = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        raise OSError(f"{where}{_left(folder)}; to resume: {folder.command('resume')}") from None
    finally:
        driven.close()
        folder.write_manifest(status=status, steps=learner.steps, seconds=round(learner.seconds, 1))


class Trainer:
    """A training from Python: an iterator over the metrics of its updates.

    >>> trainer = Trainer("Hopper-v5", head="binned", total_steps=100_000)
    >>> for metrics in trainer:
    ...     if metrics["train/kl"] > 0.1:
    ...         break  # leaves a run that can be resumed
    >>> policy = trainer.policy

    Attributes:
        path: the run folder; None before the first update.
    """

    def __init__(self, env: Any, *, quiet: bool = True, **settings: Any):
        """Check the settings and create the parts.

        Args:
            env: the id or the class of a task, or "gym:ID".
            quiet: show no progress.
            settings: as in config.yaml. A part is given by its name, its class, an algorithm's row, or a mapping with
                its options: `head={"name": "binned", "bins": 41}`.

        Raises:
            InputError: a setting is invalid.
        """
        self._learner, self._quiet = Learner(configure({"env": env, **settings})), quiet
        self.path: Path | None = None

    def __iter__(self) -> Generator[dict[str, float]]:
        """Train in a new run folder. Between updates, torch uses one thread.

        Raises:
            InputError: the run folder exists, or the training has started before.
            Diverged, FloatingPointError: numbers became infinite or NaN; the last good checkpoint remains.
        """
        if self.path:
            raise InputError(f"{self.path} has begun; to resume: pgcontrol.resume({str(self.path)!r})")
        with begin(self._learner) as folder:
            self.path = folder.path
            yield from updates(self._learner, folder, self._quiet)

    @property
    def env(self) -> VecEnv:
        """The environments of the training."""
        return self._learner.env

    @property
    def policy(self) -> Policy:
        """The current policy."""
        return self._learner.policy

    @property
    def rollout(self) -> Rollout | None:
        """The rollout of the last update; None before the first update, and with asynchronous workers."""
        return self._learner.rollout

    @property
    def steps(self) -> int:
        """Number of environment steps so far."""
        return self._learner.steps


def _left(folder: RunFolder) -> str:
    kept = checkpoint.find(folder.path)
    return f"; the last good checkpoint is {kept[-1]}" if kept else ""


def _breakdowns(learner: Learner, folder: RunFolder, first: int) -> list[str]:
    """Write the new breakdowns to files; one line for each. The session began at step `first`."""
    env, plugins, taken = learner.config.env, learner.plugins, learner.collector.breakdowns.take()
    return [breakdown.write(folder.path, env, plugins, found, first) for found in taken]


def _save(learner: Learner, driven: Driver, folder: RunFolder) -> None:
    """Save a checkpoint, and record in the manifest whether the run is compiled."""
    folder.write_manifest(compiled=learner.compilation.on)
    driven.save(folder.checkpoint(learner.steps))


def _due(every: int, before: int, now: int) -> bool:
    return now // every > before // every


def scored(
    env: VecEnv, policy: Policy, seed: int, record: bool, count: int | None = None
) -> tuple[dict[str, Any], evaluate.Trace | None]:
    """Metrics of a policy's mode and of its samples, from the same start states, and a recording of the mode.

    See `evaluate.episodes` for `count`.
    """
    mode = evaluate.episodes(env, evaluate.policy_agent(policy, True, seed), seed, record, count=count)
    sampled = evaluate.episodes(env, evaluate.policy_agent(policy, False, seed), seed, count=count)
    return evaluate.summary(mode, "") | evaluate.summary(sampled, "_sampled"), mode.trace


def _evaluate(learner: Learner, folder: RunFolder, clips: RenderQueue) -> dict[str, float]:
    """Evaluate the policy and make a clip of the first episode. Returns the metrics."""
    config, seed = learner.config, learner.seeds["evaluation"]
    setup = config.eval_episodes, seed, learner.threads.physics, config.env_workers
    env = env_to_play(config.env, *setup, spare=learner.env)
    policy = learner.played().here()
    row, trace = scored(env, policy, seed, record=config.video, count=config.eval_episodes)
    if env is learner.env:
        learner.collector.restart()
    else:
        env.close()
    if trace:
        episode = policy, env, trace, seed
        shown = distributions(*episode, config.video_seconds) if config.video_overlay else None
        labels = {"algorithm": config.algorithm.name, "step": learner.steps, "run": folder.path.name}
        clips.submit(recorded(*episode, distributions=shown, **labels))
    return row
