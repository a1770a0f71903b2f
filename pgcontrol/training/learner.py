"""One run in memory: collect, estimate, update; and how to save and restore it to the bit."""

import collections
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pgcontrol.data.actions import chunks
from pgcontrol.learning.advantages import Estimate
from pgcontrol.learning.rollout import Collector, FinishedEpisode, Rollout
from pgcontrol.machine import compiler, threads
from pgcontrol.machine.cores import usable_cpus
from pgcontrol.machine.ranks import ALONE, Ranks
from pgcontrol.machine.tensors import named, under
from pgcontrol.measures.routes import route_entropy
from pgcontrol.moments import CLIP
from pgcontrol.options import InputError
from pgcontrol.play.episodes import LONGEST
from pgcontrol.runs import catalog, checkpoint, memory
from pgcontrol.runs.config import Config, plugins_of
from pgcontrol.runs.load import make_env, make_policy, policy_spec, restore, whole
from pgcontrol.text import one_line
from pgcontrol.training.average import Average
from pgcontrol.training.prior import Prior
from pgcontrol.training.watch import HealthWatch

STREAMS = ("weights", "sampling", "minibatches", "environments", "evaluation", "adapting", "health")
# streams that a checkpoint keeps; the others begin where they are needed
KEPT = ("sampling", "minibatches", "adapting")


class Learner:
    """One run: everything that changes while it trains, and how to save and restore it to the bit."""

    def __init__(self, config: Config, compiled: bool | None = None, fresh: bool = True, ranks: Ranks = ALONE):
        """Build the parts.

        Args:
            config: every setting.
            compiled: whether acting and gradient steps run compiled; None decides by `config.compile`.
            fresh: the run begins here; otherwise `load` follows, and nothing outside the checkpoint is read.
            ranks: processes that make the run together, each with its part of the environments. All make the same
                calls. They hold the same policy and learn from the same rollouts, those of all environments.

        Raises:
            InputError: the environment cannot be made, the head lacks what it needs, or the prior does not fit.
        """
        self.config, self.ranks = config, ranks
        algorithm, options = catalog.algorithms()[config.algorithm.name], config.algorithm.options
        if config.peer != "none":
            alone = "only `pgcontrol train` and `compare` make such runs, in one process, and cannot resume them"
            raise InputError(f"peer = {config.peer!r}: {alone}")
        if config.prior and not algorithm.rule.heeds_prior:
            raise InputError(f"prior = {config.prior!r}: algorithm {algorithm.name!r} cannot start from a prior")
        if config.average_from is not None and algorithm.sampling.asynchronous:
            many = f"algorithm {algorithm.name!r} updates the weights in several processes"
            raise InputError(f"average_from = {config.average_from}: cannot average: {many}")
        if algorithm.sampling.asynchronous and algorithm.rule.memory(options, 1, 1, 1):
            raise InputError(f"algorithm {algorithm.name!r}: its workers cannot share a memory of past rollouts")
        num_envs = part_of(config, ranks)
        memory.require_training(config)  # as far as it can be known before an environment is made
        # whether workers make the updates (`asynchronous.py`); then a run cannot be repeated to the bit
        self.asynchronous = algorithm.sampling.asynchronous
        self.seeds = stream_seeds(config.seed)
        wanted = config.threads or int(self.asynchronous)  # a thread for each worker; these are for evaluations
        try:
            self.threads = threads.choose(config.env, num_envs, wanted, max(1, usable_cpus() // ranks.size))
        except ValueError as error:  # as in `make_env`: the first environment of the run is made here
            raise InputError(str(error)) from None
        if self.asynchronous and config.on_collapse == "widen":  # they have copies of the policy
            others = f"the policies in the workers of {config.algorithm.name!r} cannot be widened; use warn or stop"
            raise InputError(f"on_collapse = 'widen': {others}")
        workers = 0 if self.asynchronous else config.env_workers  # those of an asynchronous run step their own
        seed = self.seeds["environments"] + ranks.rows(config.num_envs).start
        self.env = make_env(config.env, num_envs, seed, self.threads.physics, workers)
        if algorithm.sampling.copies and not self.env.exact_resume:
            raise InputError(f"algorithm {algorithm.name!r} copies states between environments; {config.env} cannot")
        try:
            memory.require_training(config, self.env)
        except InputError:
            self.env.close()
            raise
        self.plugins = plugins_of(config, algorithm=False)  # of the policy, as they were loaded
        self.spec = policy_spec(config, self.env)
        self.policy = make_policy(self.spec, self.seeds["weights"])
        self.remarks: list[str] = []  # lines for the user after an update
        self._remarked: set[str] = set()  # the kinds of outliers that there was a line on
        kept = (torch.Generator().manual_seed(self.seeds[name]) for name in KEPT)
        self.sampling, self.minibatches, self.adapting = kept
        samples = config.num_envs * config.rollout_steps
        updates = -(-config.total_steps // samples)
        if compiled is None:
            compiled = compiler.decide(config.compile, updates * algorithm.rule.gradient_steps(options, samples))
        self.compilation = compiler.Compilation(compiled)
        self.estimator = algorithm.estimator(options)
        self.rule = algorithm.rule(self.policy, options, self.compilation, self.estimator, ranks)
        settings = config.rollout_steps, options.gamma, config.scale_reward
        scheme = algorithm.sampling(options, num_envs)
        drawn = self.sampling, scheme, self.compilation, config.noise_beta, ranks
        self.collector = Collector(self.env, self.policy, *settings, *drawn)
        self.watch = HealthWatch(self.policy, updates, self.seeds["health"])
        self.prior = Prior(self.policy, config) if config.prior else None
        self.average = Average(self.policy, config.average_from)
        self.episodes: collections.deque[FinishedEpisode] = collections.deque(maxlen=100)
        self.rollout: Rollout | None = None  # what the last update learned from
        if fresh and self.env.time_limit is None:
            cut = f"no time limit: evaluations cut its episodes at {LONGEST:,} steps"
            self.remarks.append(f"{config.env} has {cut}; --env.max_episode_steps N sets one")
        self.steps = self.updates = 0
        self.seconds = 0.0  # wall time spent training, over all sessions of the run
        if fresh and self.prior:
            self.remarks.append(self.prior.begin(self.spec, self.seeds["evaluation"], self.threads.physics))
        elif fresh:
            self.policy.head.prepare(chunks, self.seeds["adapting"])

    @property
    def settled(self) -> int:
        """How many columns of observations, the first ones, have moments that stay: under a prior, what it sees."""
        return self.policy.obs_size if self.prior else 0

    @property
    def progress(self) -> float:
        """Share of the budget used."""
        return min(self.steps / self.config.total_steps, 1.0)

    def update(self) -> dict[str, float]:
        """One rollout and one update of the policy; returns their metrics."""
        began = time.perf_counter()
        self.rollout = rollout = self.collect()
        estimate = rollout.estimate(self.estimator)
        row = self.learn(rollout, estimate)
        # after the update: the rollout was collected under the old statistics
        row |= self.outliers(rollout, self.adapt(rollout, estimate.target))
        self.ranks.agree([self.policy.theta, *self.policy.buffers()])  # ranks on unlike machines round differently
        return self.report(rollout, row, began)

    def collect(self) -> Rollout:
        """A rollout of the policy as it is."""
        rollout, episodes = self.collector.collect()
        self.episodes.extend(episodes)
        return rollout

    def learn(self, rollout: Rollout, estimate: Estimate) -> dict[str, float]:
        """The rule's update, or the critic's warm-up under a prior; returns its metrics and the policy's health."""
        before = time.perf_counter()
        if self.prior:
            rollout = self.prior.beside(rollout, self.progress)
        if self.prior and self.prior.warming_up(self.steps):
            row = self.prior.warm_up(rollout, estimate.target, self.minibatches)
        else:
            row = self.rule.update(rollout, estimate, self.progress, self.minibatches)
        if self.prior:
            row |= self.prior.metrics(rollout)
        row["time/update"] = time.perf_counter() - before
        with torch.no_grad():  # how far the update took the policy, by any rule, in nats a choice
            after = self.policy.params(rollout.subsample(rollout.obs))
            row["train/kl"] = float(self.policy.head.kl(rollout.subsample(rollout.params), after).mean())
        last = self.steps + rollout.steps >= self.config.total_steps
        return row | self.watch(self.updates, rollout, estimate.advantage, last)

    def adapt(self, rollout: Rollout, target: Tensor) -> Tensor:
        """The normaliser's moments, what the head decodes by and the range of the critic's values.

        Under a prior, the critic's alone: with other moments, or another decoding, the prior would be another policy.

        Returns:
            What `Normaliser.update` returns.
        """
        bounded = self.policy.normaliser.update(rollout.raw_obs[~rollout.idle], self.settled)
        if not self.prior:
            seen = rollout.raw_obs.flatten(0, 1)
            features = torch.no_grad()(lambda: self.policy.features(self.policy.normaliser(seen)))
            self.policy.head.adapt(rollout, features, self.progress, self.adapting)
        self.policy.critic.adapt(target.flatten())
        return bounded

    def outliers(self, rollout: Rollout, bounded: Tensor) -> dict[str, float]:
        """How many running moments took less of a rollout than there was; the first time, a remark names one of each.

        Args:
            rollout: whose observations and rewards they took.
            bounded: bool [O], which inputs of the observation.
        """
        inputs = bounded.nonzero().flatten().tolist()
        found = {}
        if inputs:
            column = rollout.raw_obs[..., inputs[0]]
            t, env = divmod(int((column - column.median()).abs().argmax()), column.shape[1])
            found["obs"] = f"input {inputs[0]} of the observation was {column[t, env]:.3g} in environment {env}"
        if outlier := self.collector.reward_scale.outlier:
            found["reward"] = f"a reward was {outlier[1]:.3g} in environment {outlier[0]}"
        for kind, words in found.items():
            if kind not in self._remarked:
                bound = f"the running moments clip it at {CLIP:.0f} standard deviations of the rollout"
                self.remarks.append(f"step {self.steps:,}: {words}; {bound}. rollout/outliers counts such moments")
        self._remarked |= found.keys()
        return {"rollout/outliers": len(inputs) + ("reward" in found)}

    @torch.no_grad()
    def report(self, rollout: Rollout, row: dict[str, float], began: float) -> dict[str, float]:
        """Count the update that began at that time; its row, with what the head says of itself and where time went."""
        described = self.policy.head.describe(rollout.subsample(rollout.params))
        row |= {f"head/{k}": float(v) for k, v in described.items()} | {"train/std": float(described["std"])}
        row |= {"rollout/quarantined": int(rollout.bad.sum())}
        row |= {f"rollout/{name}": value for name, value in self.collector.metrics.items()}
        row |= {f"time/{name}": seconds for name, seconds in self.collector.seconds.items()}
        seconds = time.perf_counter() - began
        row["time/rest"] = seconds - row["time/update"] - sum(self.collector.seconds.values())
        return self.count(row, rollout.steps, 1, seconds)

    def count(self, row: dict[str, float], steps: int, updates: int, seconds: float) -> dict[str, float]:
        """Take updates into the account; their row, with what is known of episodes and of time in all."""
        before, self.steps = self.steps, self.steps + steps
        self.updates += updates
        self.seconds += seconds
        self.average.take(self.progress)
        row |= {"time/iterations": self.updates, "time/time_elapsed": self.seconds}
        if self.episodes:
            returns, lengths, taken = (np.array(column) for column in zip(*self.episodes, strict=True))
            row |= {"rollout/ep_rew_mean": float(returns.mean()), "rollout/ep_len_mean": float(lengths.mean())}
            if self.env.task is not None and (routes := len(self.env.task.routes)):
                row["rollout/success"] = float((taken >= 0).mean())
                row |= {"health/route_entropy": route_entropy(taken, routes)} if routes > 1 else {}
        if self.prior:
            metrics, remarks = self.prior.watch(row, before, self.steps, self.episodes)
            row |= metrics
            self.remarks += remarks
        return row

    @torch.no_grad()
    def widen(self, std: float) -> None:
        """Make the policy so wide, in half-ranges, at its probe states, or where its environments are."""
        obs = self.ranks.join(self.collector.obs) if self.watch.probes is None else self.watch.probes
        self.policy.head.widen(std, self.policy.features(self.policy.normaliser(obs)))

    def close(self) -> None:
        """Release what the run holds."""
        self.env.close()

    def save(self, folder: Path) -> None:
        """A checkpoint of everything that the rest of the run depends on.

        Raises:
            FloatingPointError: weights or moments are not finite; nothing is saved.
        """
        env_tensors, env_extra = self.collector.state()
        moments = named("moments of observations: ", self.policy.normaliser.state_dict())
        moments |= named("moments of rewards: ", self.collector.reward_scale.state_dict())
        for name, tensor in {"weights": self.policy.theta, **moments}.items():
            if not tensor.isfinite().all():
                raise FloatingPointError(f"{name} became infinite or NaN; the checkpoint is not saved")
        groups = {"policy": self.policy.state_dict(), "collector": env_tensors, "rule": self.rule.state()}
        groups |= {"watch": self.watch.state(), "prior": self.prior.state() if self.prior else {}}
        groups["rng"] = {name: getattr(self, name).get_state() for name in KEPT}
        tensors = {f"{group}.{name}": tensor for group, state in groups.items() for name, tensor in state.items()}
        meta = {"policy": self.spec, "algorithm": self.config.algorithm.name, "collector": env_extra}
        meta["plugins"] = self.plugins
        meta |= {"steps": self.steps, "updates": self.updates, "seconds": self.seconds, "episodes": list(self.episodes)}
        tensors |= self.average.state()
        memory = {name: tensors.pop(name) for name in list(tensors) if name.startswith("rule.memory.")}
        if self.ranks.rank == 0:
            checkpoint.save(folder, tensors, meta, memory)

    def load(self, folder: Path) -> None:
        """Restore what `save` wrote.

        Raises:
            InputError: it is another run's, or damaged.
        """
        tensors, meta = checkpoint.load(folder)
        if not self._made_of(meta.get("policy")):
            raise InputError(f"{folder} does not belong to the configuration in {folder.parent.parent}/config.yaml")
        restore(self.policy, tensors, folder)
        tensors |= checkpoint.load_memory(folder)
        try:
            self.rule.load_state(under("rule.", tensors))
            self.average.load_state(tensors)
            self.watch.load_state(under("watch.", tensors))
            if self.prior:
                self.prior.load_state(under("prior.", tensors))
            for name in KEPT:
                getattr(self, name).set_state(tensors[f"rng.{name}"])
            self.collector.load_state(under("collector.", tensors), meta["collector"])
            self.steps, self.updates, self.seconds = int(meta["steps"]), int(meta["updates"]), float(meta["seconds"])
            self.episodes.extend(FinishedEpisode(*episode) for episode in meta["episodes"])
        except Exception as error:  # values of a wrong type end in whatever the parts raise
            raise InputError(f"{folder} is damaged: {type(error).__name__}: {one_line(error)}") from None

    def _made_of(self, spec: Any) -> bool:
        try:
            return self.spec | whole(spec) == self.spec  # older ones say nothing of shapes
        except Exception:  # it is no spec at all
            return False


def part_of(config: Config, ranks: Ranks) -> int:
    """How many environments each rank has.

    Raises:
        InputError: ranks cannot share the environments evenly.
    """
    sampling, count = catalog.algorithms()[config.algorithm.name].sampling, config.num_envs
    if ranks.size == 1:
        return count
    if sampling.asynchronous:
        raise InputError(f"algorithm {config.algorithm.name!r} starts processes of its own: run it without torchrun")
    ranks.require_even("num_envs", count)
    sampling.check(config.algorithm.options, count // ranks.size)
    return count // ranks.size


def stream_seeds(seed: int) -> dict[str, int]:
    """Independent seeds for everything random in a run, so that no two streams share a beginning."""
    return dict(zip(STREAMS, np.random.SeedSequence(seed).generate_state(len(STREAMS)).tolist(), strict=True))
