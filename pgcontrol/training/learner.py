"""A run in memory: collect, estimate, update, and save and restore the exact state."""

import collections
import copy
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pgcontrol_envs.warp_physics import Warp
from torch import Tensor

from pgcontrol.data.actions import chunks
from pgcontrol.heads.base import Head
from pgcontrol.learning.advantages import Estimate
from pgcontrol.learning.collector import Collector
from pgcontrol.learning.device_collector import DeviceCollector
from pgcontrol.learning.merging import FinishedEpisode
from pgcontrol.learning.rollout import Rollout
from pgcontrol.machine import compiler, devices, threads
from pgcontrol.machine.cores import usable_cpus
from pgcontrol.machine.ranks import ALONE, Ranks
from pgcontrol.machine.tensors import named, under
from pgcontrol.measures.routes import route_entropy
from pgcontrol.moments import CLIP
from pgcontrol.options import InputError
from pgcontrol.play.episodes import LONGEST
from pgcontrol.policy import Policy
from pgcontrol.runs import catalog, checkpoint, memory
from pgcontrol.runs.config import Config, plugins_of
from pgcontrol.runs.load import make_env, make_policy, policy_spec, restore, whole
from pgcontrol.text import one_line
from pgcontrol.training import requirements
from pgcontrol.training.average import Average
from pgcontrol.training.prior import Prior
from pgcontrol.training.watch import HealthWatch

RESTARTED = "episodes and random streams start again"
STREAMS = ("weights", "sampling", "minibatches", "environments", "evaluation", "adapting", "health")
# random streams that a checkpoint saves; the others are created from their seeds when they are needed
KEPT = ("sampling", "minibatches", "adapting")


def compiles(config: Config) -> bool:
    """Whether a run on a CPU compiles its steps. Asynchronous workers do not."""
    algorithm, samples = catalog.algorithms()[config.algorithm.name], config.num_envs * config.rollout_steps
    if algorithm.sampling.asynchronous:
        return False
    steps = algorithm.rule.gradient_steps(config.algorithm.options, samples)
    return compiler.decide(config.compile, -(-config.total_steps // samples) * steps)


class Learner:
    """Everything that changes during a run, with exact saving and restoring."""

    def __init__(self, config: Config, compiled: bool | None = None, fresh: bool = True, ranks: Ranks = ALONE):
        """Create the parts.

        Args:
            config: all settings.
            compiled: whether acting and gradient steps are compiled; None: `config.compile` decides.
            fresh: the run begins here. If False, `load` must follow, and no data outside the checkpoint is read.
            ranks: the processes of the run. Each has its part of the environments. All make the same calls, hold the
                same policy and learn from the same rollouts of all environments.

        Raises:
            InputError: the environment cannot be created, data for the head is missing, or the prior does not fit.
        """
        self.config, self.ranks = config, ranks
        algorithm, options = catalog.algorithms()[config.algorithm.name], config.algorithm.options
        self.device = devices.named(config.device, ranks)
        num_envs = requirements.require(config, ranks)
        memory.require_training(config, ranks=ranks)  # a first estimate, before an environment is created
        # whether workers compute the updates (`asynchronous.py`); then runs are not reproducible bit for bit
        self.asynchronous = algorithm.sampling.asynchronous
        self.processes = algorithm.sampling.processes(options)
        self.seeds = stream_seeds(config.seed)
        # asynchronous workers have one thread each, and a device needs none; then these are for evaluations
        wanted = config.threads or int(self.asynchronous) or (usable_cpus() if config.physics == "warp" else 0)
        try:
            self.threads = threads.choose(config.env, num_envs, wanted, max(1, usable_cpus() // ranks.size))
        except ValueError as error:  # as in `make_env`: the measurement creates an environment
            raise InputError(str(error)) from None
        workers = 0 if self.asynchronous else config.env_workers  # asynchronous workers step their own environments
        seed = self.seeds["environments"] + ranks.rows(config.num_envs).start
        warp = Warp(str(self.device), config.nconmax, config.njmax) if config.physics == "warp" else None
        self.env = make_env(config.env, num_envs, seed, self.threads.physics, workers, warp)
        if algorithm.sampling.copies and not self.env.exact_resume:
            raise InputError(f"algorithm {algorithm.name!r} copies states between environments; {config.env} cannot")
        try:
            memory.require_training(config, self.env, ranks)
        except InputError:
            self.env.close()
            raise
        self.plugins = plugins_of(config, algorithm=False)  # the policy's plug-ins, as they were loaded
        self.spec = policy_spec(config, self.env)
        self.policy = make_policy(self.spec, self.seeds["weights"])
        if config.on_collapse == "widen" and not self.policy.head.widens:
            what = f"head {self.policy.head.name!r} cannot be widened; use warn or stop"
            raise InputError(f"on_collapse = 'widen': {what}")
        if fresh and not config.prior:
            self.policy.prepare(chunks, self.seeds["adapting"])
        self.policy.to(self.device)
        self.remarks: list[str] = []  # lines for the user, shown after the update
        self._remarked: set[str] = set()  # kinds of outliers that were reported
        self.sampling, self.minibatches, self.adapting = (self._stream(name) for name in KEPT)
        updates = -(-config.total_steps // (config.num_envs * config.rollout_steps))
        compiled = compiles(config) if compiled is None else compiled
        self.compilation = compiler.Compilation(compiled and self.device.type == "cpu")
        self.estimator = algorithm.estimator(options)
        settings = config.rollout_steps, options.gamma, config.scale_reward
        scheme = algorithm.sampling(options, num_envs)
        drawn = self.sampling, scheme, self.compilation, config.noise_beta, ranks
        kind = DeviceCollector if config.physics == "warp" else Collector
        with devices.on(self.device):
            self.rule = algorithm.rule(self.policy, options, self.compilation, self.estimator, ranks)
            self.collector = kind(self.env, self.policy, *settings, *drawn)
            self.watch = HealthWatch(self.policy, updates, self.seeds["health"])
            self.prior = Prior(self.policy, config) if config.prior else None
            self.average = Average(self.policy, config.average_from)
        self.episodes: collections.deque[FinishedEpisode] = collections.deque(maxlen=100)
        self.rollout: Rollout | None = None  # the rollout of the last update
        if fresh and self.asynchronous and type(self.policy.head).adapt is not Head.adapt:
            what = f"the decoding of head {self.policy.head.name!r} stays as it is"
            self.remarks.append(f"{what}: the workers of {config.algorithm.name!r} do not refit it")
        if fresh and self.env.time_limit is None:
            cut = f"no time limit: evaluations cut episodes after {LONGEST:,} steps"
            self.remarks.append(f"{config.env} has {cut}; --env.max_episode_steps N sets one")
        self.steps = self.updates = 0
        self.seconds = 0.0  # training time over all sessions of the run
        if fresh and self.prior:
            self.remarks.append(self.prior.begin(self.spec, self.seeds["evaluation"], self.threads.physics))

    def _stream(self, name: str) -> torch.Generator:
        """A random stream on the device. Refits of the head happen on the CPU."""
        return torch.Generator("cpu" if name == "adapting" else self.device).manual_seed(self.seeds[name])

    @property
    def settled(self) -> int:
        """Number of leading observation entries with fixed moments: with a prior, those that the policy sees."""
        return self.policy.obs_size if self.prior else 0

    @property
    def progress(self) -> float:
        """Fraction of the budget that is used, in [0, 1]."""
        return min(self.steps / self.config.total_steps, 1.0)

    def update(self) -> dict[str, float]:
        """Collect a rollout and update the policy. Returns the metrics."""
        with devices.on(self.device):
            return self._update()

    def _update(self) -> dict[str, float]:
        began = time.perf_counter()
        self.rollout = rollout = self.collect()
        estimate = rollout.estimate(self.estimator)
        row = self.learn(rollout, estimate)
        # after the update, because the rollout was collected with the old statistics
        row |= self.outliers(rollout, self.adapt(rollout, estimate.target))
        self.ranks.agree([self.policy.theta, *self.policy.buffers()])  # ranks on different machines round differently
        return self.report(rollout, row, began)

    def collect(self) -> Rollout:
        """Collect a rollout with the current policy."""
        rollout, episodes = self.collector.collect()
        self.episodes.extend(episodes)
        return rollout

    def played(self) -> Policy:
        """The policy for an evaluation: with the mean weights, if there are any.

        It is a copy if workers change the weights at the same time.
        """
        return copy.deepcopy(self.policy) if self.asynchronous else self.average.played()

    def learn(self, rollout: Rollout, estimate: Estimate) -> dict[str, float]:
        """Run the rule's update, or the critic's warm-up with a prior. Returns its metrics and the health metrics."""
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
        with torch.no_grad():  # change of the policy in this update, in nats per choice, for every rule
            after = self.policy.params(rollout.subsample(rollout.obs))
            sampled = rollout.subsample(rollout.params)
            row["train/kl"] = float(self.policy.head.kl(sampled, after).mean())
            described = self.policy.head.describe(sampled)  # now: a refit would give the params another meaning
            row |= {f"head/{k}": float(v) for k, v in described.items()} | {"train/std": float(described["std"])}
        last = self.steps + rollout.steps >= self.config.total_steps
        return row | self.watch(self.updates, rollout, estimate.advantage, last)

    def adapt(self, rollout: Rollout, target: Tensor) -> Tensor:
        """Update the normaliser's moments, the head's decoding and the range of the critic's values.

        With a prior, only the critic's: with other moments, or another decoding, the prior would be another policy.

        Returns:
            The result of `Normaliser.update`.
        """
        bounded = self.policy.normaliser.update(rollout.raw_obs[~rollout.idle], self.settled)
        if not self.prior:
            self.refit(rollout)
        self.policy.critic.adapt(target.flatten())
        return bounded

    def refit(self, rollout: Rollout) -> None:
        """Let the head refit its decoding. This happens on the CPU, because fits use libraries that only know it."""
        head, policy = self.policy.head, self.policy
        if type(head).adapt is Head.adapt:
            return
        elsewhere = self.device.type != "cpu"
        with torch.device("cpu") if elsewhere else nullcontext():
            if elsewhere:
                policy.to("cpu")
                rollout = rollout.to(policy.theta.device)
            seen = rollout.raw_obs.flatten(0, 1)
            features = torch.no_grad()(lambda: policy.features(policy.normaliser(seen)))
            head.adapt(rollout, features, self.progress, self.adapting)
            if elsewhere:
                policy.to(self.device)

    def outliers(self, rollout: Rollout, bounded: Tensor) -> dict[str, float]:
        """Count the running moments that clipped an outlier. A remark reports the first outlier of each kind.

        In the first update there is no remark: an input that hardly varies then is usually no outlier.

        Args:
            rollout: the rollout that updated the moments.
            bounded: bool [O], observation entries with a clipped outlier.
        """
        inputs = bounded.nonzero().flatten().tolist()
        found = {}
        if inputs:
            column = rollout.raw_obs[..., inputs[0]]
            t, env = divmod(int((column - column.median()).abs().argmax()), column.shape[1])
            found["obs"] = f"input {inputs[0]} of the observation was {column[t, env]:.3g} in environment {env}"
        if outlier := self.collector.reward_scale.outlier:
            found["reward"] = f"a reward was {outlier[1]:.3g} in environment {outlier[0]}"
        for kind, words in found.items() if self.updates else ():
            if kind not in self._remarked:
                bound = f"the running moments clip it at {CLIP:.0f} standard deviations of the rollout"
                self.remarks.append(f"step {self.steps:,}: {words}; {bound}. rollout/outliers counts such moments")
        self._remarked |= found.keys() if self.updates else set()
        return {"rollout/outliers": len(inputs) + ("reward" in found)}

    @torch.no_grad()
    def report(self, rollout: Rollout, row: dict[str, float], began: float) -> dict[str, float]:
        """Count an update that started at time `began`. Returns its row with further metrics and the times."""
        row |= {"rollout/quarantined": int(rollout.bad.sum())}
        row |= {f"rollout/{name}": value for name, value in self.collector.metrics.items()}
        row |= {f"time/{name}": seconds for name, seconds in self.collector.seconds.items()}
        seconds = time.perf_counter() - began
        row["time/rest"] = seconds - row["time/update"] - sum(self.collector.seconds.values())
        return self.count(row, rollout.steps, 1, seconds)

    def count(self, row: dict[str, float], steps: int, updates: int, seconds: float) -> dict[str, float]:
        """Count updates, and add the metrics of episodes and total time to their row."""
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
        """Set the policy's standard deviation, in half-ranges, in states of the last rollout.

        Where the policy no longer goes, it can have any width. Checkpoints of older versions only have states of the
        first one.

        Raises:
            InputError: the algorithm's workers have policies of their own.
        """
        if self.asynchronous:
            raise InputError(f"the policies in the workers of {self.config.algorithm.name!r} cannot be widened")
        obs = self.watch.probes if self.watch.visited is None else self.watch.visited
        obs = self.ranks.join(self.collector.obs) if obs is None else obs
        with devices.on(self.device):
            self.policy.widen(std, obs.to(self.device))
        self.average.restart()

    def close(self) -> None:
        """Release the resources of the run."""
        self.env.close()

    def save(self, folder: Path) -> None:
        """Save a checkpoint with everything that the rest of the run depends on.

        Raises:
            FloatingPointError: weights or moments are infinite or NaN; nothing is saved.
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
        meta |= {"plugins": self.plugins, "device": self.device.type, "physics": self.config.physics}
        meta |= {"steps": self.steps, "updates": self.updates, "seconds": self.seconds, "episodes": list(self.episodes)}
        tensors |= self.average.state()
        memory = {name: tensors.pop(name) for name in list(tensors) if name.startswith("rule.memory.")}
        if self.ranks.rank == 0:
            checkpoint.save(folder, tensors, meta, memory)

    def load(self, folder: Path) -> None:
        """Restore the state from a checkpoint.

        Raises:
            InputError: the checkpoint belongs to another configuration, or is damaged.
        """
        tensors, meta = checkpoint.load(folder)
        if not self._made_of(meta.get("policy")):
            raise InputError(f"{folder} does not belong to the configuration in {folder.parent.parent}/config.yaml")
        restore(self.policy, tensors, folder)
        tensors |= checkpoint.load_memory(folder)
        moved = (meta.get("device", "cpu"), meta.get("physics", "native")) != (self.device.type, self.config.physics)
        stays = ("rng.", "collector.")  # their states are read on the CPU
        tensors = {name: x if name.startswith(stays) else x.to(self.device) for name, x in tensors.items()}
        try:
            self.rule.load_state(under("rule.", tensors))
            self.watch.load_state(under("watch.", tensors))
            if self.prior:
                self.prior.load_state(under("prior.", tensors))
            self.steps, self.updates, self.seconds = int(meta["steps"]), int(meta["updates"]), float(meta["seconds"])
            self.average.load_state(tensors, self.progress)
            for name in KEPT:
                stream = getattr(self, name)
                if moved:  # another device's streams have other states
                    stream.manual_seed(self.seeds[name] + self.updates)
                else:
                    stream.set_state(tensors[f"rng.{name}"])
            self.collector.load_state(under("collector.", tensors), None if moved else meta["collector"])
            self.episodes.extend(FinishedEpisode(*episode) for episode in meta["episodes"])
        except Exception as error:  # values of a wrong type can raise any exception
            raise InputError(f"{folder} is damaged: {type(error).__name__}: {one_line(error)}") from None

        if moved:
            self.remarks.append(
                f"step {self.steps:,}: moved to {self.config.physics} physics and {self.device}; {RESTARTED}"
            )

    def _made_of(self, spec: Any) -> bool:
        try:
            return self.spec | whole(spec) == self.spec  # older specs have no shapes
        except Exception:  # `spec` is not a valid spec
            return False


def stream_seeds(seed: int) -> dict[str, int]:
    """Independent seeds for the random streams of a run."""
    return dict(zip(STREAMS, np.random.SeedSequence(seed).generate_state(len(STREAMS)).tolist(), strict=True))
