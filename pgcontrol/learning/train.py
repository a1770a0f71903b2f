"""The loop: collect, estimate, update, log; and on a schedule evaluate and checkpoint."""

from __future__ import annotations

import collections
import pkgutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from pgcontrol import catalog
from pgcontrol.data.actions import chunks
from pgcontrol.diagnosis import modes, verdicts
from pgcontrol.diagnosis.watch import Watch
from pgcontrol.learning import compiling, threads
from pgcontrol.learning.rollout import Collector, Episode, Rollout
from pgcontrol.learning.signals import STOPPED, Interrupt
from pgcontrol.learning.updates import Diverged
from pgcontrol.options import InputError
from pgcontrol.policy import Policy
from pgcontrol.runs import checkpoint
from pgcontrol.runs.config import Config, configure, nested, write_yaml
from pgcontrol.runs.folder import RunFolder
from pgcontrol.runs.load import load, make_env, make_policy, policy_spec, restore, whole
from pgcontrol.runs.log import Display, MetricsLog, read_rows
from pgcontrol.view import evaluate
from pgcontrol.view.clips import Clips
from pgcontrol.view.doctor import usable_cpus

STREAMS = ("weights", "sampling", "minibatches", "environments", "evaluation", "adapting", "health")


class Run(NamedTuple):
    """A training that ended, or was stopped."""

    path: Path
    steps: int
    status: str
    """finished, or stopped (by a signal; `resume` goes on from there)."""

    @property
    def exit_code(self) -> int:
        """0, or that of what a signal stopped."""
        return 0 if self.status == "finished" else STOPPED

    def policy(self) -> Policy:
        """The policy of the newest checkpoint."""
        return load(self.path)

    def metrics(self) -> list[dict[str, Any]]:
        """The rows of metrics.jsonl."""
        return read_rows(self.path / "metrics.jsonl")


class Trainer:
    """One run: everything that changes while it trains, and how to save and restore it to the bit."""

    reproducible = True
    """Whether the same config gives the same weights to the bit."""

    def __init__(self, config: Config, compiled: bool | None = None, fresh: bool = True):
        """Build the parts.

        Args:
            config: every setting.
            compiled: whether the update runs compiled; None decides by `config.compile`.
            fresh: the run begins here; otherwise `load` follows, and nothing outside the checkpoint is read.

        Raises:
            InputError: the environment cannot be made, or the head lacks what it needs.
        """
        self.config = config
        self.seeds = stream_seeds(config.seed)
        self.threads = threads.choose(config.env, config.num_envs, config.threads, usable_cpus())
        self.env = make_env(config.env, config.num_envs, self.seeds["environments"], self.threads.physics)
        self.spec = policy_spec(config, self.env.obs_size, self.env.action_low, self.env.action_high)
        self.policy = make_policy(self.spec, self.seeds["weights"])
        self.remarks: list[str] = []
        """What the user is to be told after an update, a line each."""
        self.sampling = torch.Generator().manual_seed(self.seeds["sampling"])
        self.minibatches = torch.Generator().manual_seed(self.seeds["minibatches"])
        self.adapting = torch.Generator().manual_seed(self.seeds["adapting"])
        algorithm = catalog.algorithms()[config.algorithm.name]
        options = config.algorithm.options
        if algorithm.sampling.copies and not self.env.exact_resume:
            raise InputError(f"algorithm {algorithm.name!r} copies states between environments; {config.env} cannot")
        self.estimator = algorithm.estimator(options)
        samples = config.num_envs * config.rollout_steps
        updates = -(-config.total_steps // samples)
        if compiled is None:
            compiled = compiling.decide(config.compile, updates * algorithm.rule.gradient_steps(options, samples))
        self.rule = algorithm.rule(self.policy, options, compiled)
        self.rule.estimate = self.estimate
        self.collector = Collector(
            self.env,
            self.policy,
            config.rollout_steps,
            options.gamma,
            config.scale_reward,
            self.sampling,
            algorithm.sampling(options, config.num_envs),
            compiled,
        )
        self.watch = Watch(self.policy, updates, self.seeds["health"])
        self.episodes: collections.deque[Episode] = collections.deque(maxlen=100)
        self.steps = 0
        self.updates = 0
        self.seconds = 0.0
        """Wall time spent training, over all sessions of the run."""
        if fresh:
            self._begin()

    def _begin(self) -> None:
        """Before the first rollout of a new run."""
        self.policy.head.prepare(chunks, self.seeds["adapting"])

    def update(self) -> dict[str, float]:
        """One rollout and one update of the policy; returns their metrics."""
        began = time.perf_counter()
        rollout, episodes = self.collector.collect()
        self.episodes.extend(episodes)
        advantage, target = self.estimate(rollout)
        progress = min(self.steps / self.config.total_steps, 1.0)
        before = time.perf_counter()
        metrics = self._improve(rollout, advantage, target, progress)
        updating = time.perf_counter() - before
        metrics |= self._moved(rollout, advantage)
        # after the update: the rollout was collected under the old statistics
        self._take_in(rollout.raw_obs[~rollout.idle])
        self._adapt(rollout, target, progress)
        self.steps += rollout.steps
        self.updates += 1
        metrics |= self._describe(rollout)
        total = time.perf_counter() - began
        self.seconds += total
        split = self.collector.seconds | {"update": updating}
        split["rest"] = total - sum(split.values())
        return metrics | self._account() | {f"time/{name}": seconds for name, seconds in split.items()}

    def _improve(self, rollout: Rollout, advantage: Tensor, target: Tensor, progress: float) -> dict[str, float]:
        """The rule's update."""
        return self.rule.update(rollout, advantage, target, progress, self.minibatches)

    def estimate(self, rollout: Rollout) -> tuple[Tensor, Tensor]:
        """Advantages and the critic's targets, [T, N]."""
        advantage, target = self.estimator(rollout.trajectories())
        # what happened in a silent row is not known: no advantage, and a critic that is right as it is
        silent = rollout.silent
        return advantage.masked_fill(silent, 0.0), torch.where(silent, rollout.value, target)

    @torch.no_grad()
    def _moved(self, rollout: Rollout, advantage: Tensor) -> dict[str, float]:
        """How far the update took the policy, by any rule: mean KL(before || after), nats a choice; and its health."""
        after = self.policy.params(rollout.glance(rollout.obs))
        kl = self.policy.head.kl(rollout.glance(rollout.params), after).mean()
        last = self.steps + rollout.steps >= self.config.total_steps
        return {"train/kl": float(kl)} | self.watch(self.updates, rollout, advantage, last)

    @torch.no_grad()
    def _features(self, rollout: Rollout) -> Tensor:
        """What the head now sees of the rollout's observations, [T·N, F]."""
        return self.policy.actor_trunk(self.policy.normaliser(rollout.raw_obs.flatten(0, 1)))

    @torch.no_grad()
    def _describe(self, rollout: Rollout) -> dict[str, float]:
        described = self.policy.head.describe(rollout.glance(rollout.params))
        row = {f"head/{k}": float(v) for k, v in described.items()} | {"train/std": float(described["std"])}
        return row | {"rollout/quarantined": int(rollout.bad.sum())}

    def _account(self) -> dict[str, float]:
        row = {"time/iterations": self.updates, "time/time_elapsed": self.seconds}
        if self.episodes:
            returns, lengths, taken = (np.array(column) for column in zip(*self.episodes, strict=True))
            row |= {"rollout/ep_rew_mean": float(returns.mean()), "rollout/ep_len_mean": float(lengths.mean())}
            if self.env.task is not None and (routes := len(self.env.task.routes)):
                row["rollout/success"] = float((taken >= 0).mean())
                row |= {"health/route_entropy": modes.evenness(taken, routes)} if routes > 1 else {}
        return row

    def _take_in(self, obs: Tensor) -> None:
        """Raw observations [B, O] into the normaliser's moments."""
        self.policy.normaliser.update(obs)

    def _adapt(self, rollout: Rollout, target: Tensor, progress: float) -> None:
        """Let the head refit what it decodes by, and the critic the range of its values."""
        self.policy.head.adapt(rollout, lambda: self._features(rollout), progress, self.adapting)
        self.policy.critic.adapt(target.flatten())

    def close(self) -> None:
        """Release what the run holds."""
        self.env.close()

    def save(self, folder: Path) -> None:
        """A checkpoint of everything that the rest of the run depends on."""
        env_tensors, env_extra = self.collector.state()
        groups = self._state() | {"policy": self.policy.state_dict(), "collector": env_tensors}
        tensors = {f"{group}.{name}": tensor for group, state in groups.items() for name, tensor in state.items()}
        meta = {
            "policy": self.spec,
            "algorithm": self.config.algorithm.name,
            "collector": env_extra,
            "steps": self.steps,
            "updates": self.updates,
            "seconds": self.seconds,
            "episodes": list(self.episodes),
        }
        memory = {name: tensors.pop(name) for name in list(tensors) if name.startswith("rule.memory.")}
        checkpoint.save(folder, tensors, meta, memory)

    def _state(self) -> dict[str, dict[str, Tensor]]:
        """Tensors by group, of what this trainer holds beside the policy and the environments."""
        streams = {"sampling": self.sampling, "minibatches": self.minibatches, "adapting": self.adapting}
        rng = {name: stream.get_state() for name, stream in streams.items()}
        return {"rng": rng, "rule": self.rule.state(), "watch": self.watch.state()}

    def _load_state(self, of: Callable[[str], dict[str, Tensor]]) -> None:
        """Take them back; `of` gives a group's tensors."""
        rng = of("rng")
        self.rule.load_state(of("rule"))
        self.watch.load_state(of("watch"))
        self.sampling.set_state(rng["sampling"])
        self.minibatches.set_state(rng["minibatches"])
        self.adapting.set_state(rng["adapting"])

    def load(self, folder: Path) -> None:
        """Restore what `save` wrote.

        Raises:
            InputError: it is another run's, or damaged.
        """
        tensors, meta = checkpoint.load(folder)
        if whole(meta.get("policy", {})) != self.spec:
            raise InputError(f"{folder} belongs to another configuration than {folder.parent.parent}/config.yaml")
        restore(self.policy, tensors, folder)
        tensors |= checkpoint.load_memory(folder, meta)
        try:
            self._load_state(lambda group: _under(f"{group}.", tensors))
            self.collector.load_state(_under("collector.", tensors), meta["collector"])
            self.steps, self.updates, self.seconds = int(meta["steps"]), int(meta["updates"]), float(meta["seconds"])
            self.episodes.extend(Episode(*episode) for episode in meta["episodes"])
        except (KeyError, RuntimeError, TypeError, ValueError) as error:
            raise InputError(f"{folder} is damaged: {type(error).__name__}: {' '.join(str(error).split())}") from None


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def stream_seeds(seed: int) -> dict[str, int]:
    """Independent seeds for everything random in a run, so that no two streams share a beginning."""
    return dict(zip(STREAMS, np.random.SeedSequence(seed).generate_state(len(STREAMS)).tolist(), strict=True))


def trainer_for(config: Config, compiled: bool | None = None, fresh: bool = True) -> Trainer:
    """The trainer that the algorithm's row names, or the one for a prior, built; see `Trainer`."""
    row = catalog.algorithms()[config.algorithm.name]
    name = row.fine_tuner if config.prior else row.sampling.trainer
    if name is None:
        raise InputError(f"prior = {config.prior!r}: algorithm {row.name!r} cannot start from one")
    return pkgutil.resolve_name(name)(config, compiled, fresh)


def train(config: Config, quiet: bool = False) -> Run:
    """Train from scratch in a new run folder.

    Raises:
        InputError: bad settings, or a run folder that exists.
        Diverged, FloatingPointError: numbers stopped being finite; the last good checkpoint stays.
    """
    trainer = trainer_for(config)
    with RunFolder.create(config).alone() as folder:
        folder.write_manifest(
            seeds=trainer.seeds,
            threads=trainer.threads._asdict(),
            compiled=trainer.rule.compiled,
            reproducible=trainer.reproducible,
        )
        return _loop(trainer, folder, quiet)


def resume(path: Path, total_steps: int | None = None, quiet: bool = False) -> Run:
    """Go on from a run folder's newest checkpoint, as if it had never stopped.

    Args:
        path: the run folder.
        total_steps: a new budget; schedules follow it from here on.
        quiet: print nothing.

    Raises:
        InputError: no run there, a damaged checkpoint, a run that has finished already, or one that is in training.
    """
    with RunFolder.open(path).alone() as folder:
        config = folder.config()
        if total_steps is not None:
            config = configure(nested(config) | {"total_steps": total_steps})
        latest = folder.latest()
        done = checkpoint.steps_of(latest)
        # one that was killed behind its last checkpoint has still to be ended
        if done >= config.total_steps and (total_steps is not None or folder.manifest().get("status") == "finished"):
            more = f"pgcontrol resume {path} --total-steps {2 * done}"
            raise InputError(f"{path} has finished: {done:,} steps of {config.total_steps:,}; to train on: {more}")
        # as it was computed before, to the bit
        trainer = trainer_for(config, folder.manifest().get("compiled"), fresh=False)
        trainer.load(latest)
        write_yaml(config, folder.config_file)
        folder.forget("diagnosis")
        return _loop(trainer, folder, quiet)


def _loop(trainer: Trainer, folder: RunFolder, quiet: bool) -> Run:
    config = trainer.config
    threads_before = torch.get_num_threads()
    torch.set_num_threads(trainer.threads.torch)
    title = f"{config.env} {config.head.name} {config.algorithm.name} seed {config.seed} -> {folder.path}"
    status = "failed"
    try:
        with (
            Display(title, config.total_steps, trainer.steps, quiet) as display,
            MetricsLog(folder.metrics_file, trainer.steps) as log,
            Clips(folder.videos, config, display.say) as clips,
            Interrupt() as interrupt,
        ):
            if not trainer.reproducible:
                display.say(f"{config.algorithm.name} is asynchronous: this run cannot be repeated to the bit")
            _advance(trainer, folder, display, log, clips, interrupt)
            status = "finished" if trainer.steps >= config.total_steps else "stopped"
            if status == "stopped":
                trainer.save(folder.checkpoint(trainer.steps))
                display.say(f"stopped at step {trainer.steps:,}; to go on: pgcontrol resume {folder.path}")
            else:
                clips.finish(interrupt)
                display.say(_diagnosed(folder, config, status))
    except (Diverged, FloatingPointError) as error:
        status = "diverged"
        _diagnosed(folder, config, status)
        kept = checkpoint.find(folder.path)
        left = f"its last good checkpoint is {kept[-1]}" if kept else "it had no checkpoint yet"
        raise type(error)(f"{error}; {left}") from None
    finally:
        trainer.close()
        torch.set_num_threads(threads_before)
        folder.write_manifest(status=status, steps=trainer.steps, seconds=round(trainer.seconds, 1))
    return Run(folder.path, trainer.steps, status)


def _diagnosed(folder: RunFolder, config: Config, status: str) -> str:
    """One line of what the log says, noted in the manifest too; playing and branching are `pgcontrol diagnose`."""
    told = verdicts.judge(read_rows(folder.metrics_file), config.total_steps, status)
    folder.write_manifest(verdict=verdicts.words(told), diagnosis=verdicts.summary(told))
    return f"diagnosis: {verdicts.summary(told)}{verdicts.to_prove(folder.path, told)}"


def _advance(
    trainer: Trainer, folder: RunFolder, display: Display, log: MetricsLog, clips: Clips, interrupt: Interrupt
) -> None:
    """Update after update, until the budget is used or a signal comes."""
    config, began, first = trainer.config, time.perf_counter(), trainer.steps
    while trainer.steps < config.total_steps and not interrupt:
        before = trainer.steps
        row = trainer.update()
        elapsed = time.perf_counter() - began
        row["time/fps"] = (trainer.steps - first) / elapsed
        finished = trainer.steps >= config.total_steps
        if config.eval_every and (finished or _due(config.eval_every, before, trainer.steps)):
            row |= _evaluate(trainer, clips)
        log.write(trainer.steps, row)
        while trainer.remarks:
            display.say(trainer.remarks.pop(0))
        display.update(trainer.steps, row, left=(config.total_steps - trainer.steps) / row["time/fps"])
        if finished or _due(config.checkpoint_every, before, trainer.steps):
            trainer.save(folder.checkpoint(trainer.steps))
        clips.poll()


def _due(every: int, before: int, now: int) -> bool:
    return now // every > before // every


def _evaluate(trainer: Trainer, clips: Clips) -> dict[str, float]:
    """Both returns, mode and sampled, from the same start states; a recording of the first episode."""
    config, seed = trainer.config, trainer.seeds["evaluation"]
    env = make_env(config.env, config.eval_episodes, seed, trainer.threads.physics)
    mode = evaluate.episodes(env, evaluate.policy_agent(trainer.policy, True, seed), seed, record=config.video)
    sampled = evaluate.episodes(env, evaluate.policy_agent(trainer.policy, False, seed), seed)
    env.close()
    if mode.trace:
        clips.add(mode.trace, env, seed, trainer.steps, trainer.policy)
    return evaluate.summary(mode, "") | evaluate.summary(sampled, "_sampled")
