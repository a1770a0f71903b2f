"""One run in memory: collect, estimate, update; and how to save and restore it to the bit."""

from __future__ import annotations

import collections
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pgcontrol.data.actions import chunks
from pgcontrol.learning.rollout import Collector, Episode, Rollout
from pgcontrol.machine import compiler, threads
from pgcontrol.machine.cores import usable_cpus
from pgcontrol.measures import modes
from pgcontrol.options import InputError
from pgcontrol.runs import catalog, checkpoint
from pgcontrol.runs.config import Config
from pgcontrol.runs.load import make_env, new_policy, policy_spec, restore, whole
from pgcontrol.training.watch import Watch

STREAMS = ("weights", "sampling", "minibatches", "environments", "evaluation", "adapting", "health")


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
        sizes = self.env.obs_size, self.env.action_low, self.env.action_high
        self.spec = policy_spec(config, *sizes)
        self.policy = new_policy(config, *sizes, self.seeds["weights"])
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
            compiled = compiler.decide(config.compile, updates * algorithm.rule.gradient_steps(options, samples))
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
