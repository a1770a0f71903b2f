"""The collector that samples rollouts."""

import itertools
import math
import time
import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple, Self

import torch
from pgcontrol_envs import Step, VecEnv
from torch import Generator, Tensor

from pgcontrol.learning.breakdowns import Breakdowns
from pgcontrol.learning.merging import Events, Finals, FinishedEpisode, merged
from pgcontrol.learning.noise import ColouredNoise
from pgcontrol.learning.rollout import Rollout, values_of
from pgcontrol.learning.sampling import Sampling
from pgcontrol.machine import trees
from pgcontrol.machine.compiler import EAGER, Compilation
from pgcontrol.machine.ranks import ALONE, Ranks
from pgcontrol.machine.tensors import named, under
from pgcontrol.moments import RewardScale
from pgcontrol.options import NoOptions
from pgcontrol.policy import Policy

RESETS = 10  # resets in a row before infinite or NaN observations at a reset are an error
NOISE = 2**20  # random numbers that are drawn at once: 4 MB


class Sampled(NamedTuple):
    """T choices in N environments, as they were played.

    Attributes:
        raw_obs: [T + 1, N, O], observations before each choice, and after the last one.
        raw_next, choice, terminated, truncated, idle, bad: as in `Rollout`.
        reward: [T, N] float64, discounted sums over the steps of each choice.
        played: [T, N], steps of each choice.
        finals, episodes, measured: as in `Events`.
    """

    raw_obs: Tensor
    raw_next: Tensor
    choice: Tensor
    reward: Tensor
    played: Tensor
    terminated: Tensor
    truncated: Tensor
    idle: Tensor
    bad: Tensor
    finals: Finals
    episodes: list[tuple[int, FinishedEpisode]]
    measured: dict[str, list[float]]

    def to(self, device: torch.device) -> Self:
        """The same on a device."""
        moved = trees.each(lambda x: x.to(device), self)
        return moved._replace(finals=[(t, ids.to(device), final.to(device)) for t, ids, final in self.finals])


class Collector:
    """Collects rollouts of T choices in a VecEnv. Episodes continue from one rollout to the next.

    Resets are explicit: `step` returns the observation in which the transition ended, so a time limit bootstraps from V
    of that state. Only then is the environment reset.

    With several ranks, each plays its part of the environments with its part of the noise. All get the whole rollout,
    which is the same as that of one process with all environments.
    """

    def __init__(
        self,
        env: VecEnv,
        policy: Policy,
        length: int,
        gamma: float,
        scale_reward: bool,
        rng: Generator,
        sampling: Sampling | None = None,
        compilation: Compilation = EAGER,
        noise_beta: float = 0.0,
        ranks: Ranks = ALONE,
    ):
        """`noise_beta`: β of the exploration noise, see `ColouredNoise`; 0: the head's own white noise."""
        self.env, self.policy, self.length, self.gamma, self.rng = env, policy, length, gamma, rng
        self.sampling = sampling or Sampling(NoOptions(), env.num_envs)
        self.ranks, self.total_envs = ranks, ranks.size * env.num_envs
        self.device, where = policy.theta.device, env.device  # of the policy and its rollouts, and of the environments
        self.reward_scale = RewardScale(self.total_envs, scale_reward).to(self.device)
        # slice of this rank's environments among all, and their discounted sums of rewards
        self._mine = ranks.rows(self.total_envs)
        self._carry = self.reward_scale.carry[self._mine]
        self.totals = torch.zeros(env.num_envs, dtype=torch.float64, device=where)
        self.lengths = torch.zeros(env.num_envs, dtype=torch.int64, device=where)
        self._counted = self.sampling.counted()
        # seconds of the last `collect` by purpose: physics (the environments' steps), policy, buffer (the rest)
        self.seconds: dict[str, float] = {}
        self.breakdowns, self._played = Breakdowns(), 0  # `_played`: environment steps so far
        # the task's metrics in the last `collect`, by name: means over its steps, or over the episodes that ended
        self.metrics: dict[str, float] = {}
        # the next observations, [N, O]
        self.obs = torch.zeros(env.num_envs, env.obs_size + env.privileged, dtype=torch.float64, device=where)
        # [N]: environments whose episode is over or has not begun; they wait until the sampling scheme resets them
        self.over = torch.ones(env.num_envs, dtype=torch.bool, device=where)
        self.coloured = ColouredNoise(policy.head, noise_beta, self.total_envs, rng) if noise_beta else None
        # (raw observations [N, O], noise [N, ...]) -> (action, choice)
        self.respond = compilation(policy.respond, [*policy.parameters(), *policy.buffers()])

    @torch.no_grad()
    def collect(self) -> tuple[Rollout, list[FinishedEpisode]]:
        """Play T choices in every environment. Returns the rollout and the episodes that ended.

        A transition with an infinite or NaN observation or reward, or in which the simulation became unstable, is
        quarantined: only that environment is reset, the row is marked `bad`, and a warning names the environment.

        Raises:
            FloatingPointError: all environments are infinite or NaN at once, or all transitions are quarantined.
            BrokenEnv: on a device, contacts or constraints did not fit.
        """
        T, N, policy = self.length, self.env.num_envs, self.policy
        began = time.perf_counter()
        self.seconds = {"physics": 0.0, "policy": 0.0}
        sampled = self._sample().to(self.device)
        raw_obs, raw_next, choice, reward, played, terminated, truncated, idle, bad, *_ = sampled
        finals, episodes, measured = sampled.finals, sampled.episodes, sampled.measured

        # one pass over all T x N states is faster than T small ones
        before = time.perf_counter()
        obs = policy.normaliser(raw_obs)
        params = policy.params(obs[:T].flatten(0, 1))
        log_prob = policy.head.log_prob(params, choice.flatten(0, 1)).unflatten(0, (T, N))
        finals = [(t, ids, policy.normaliser(final)) for t, ids, final in finals]
        value, next_value = values_of(policy.value, obs, finals)
        params = params.unflatten(0, (T, N))
        self.seconds["policy"] += time.perf_counter() - before

        # from here on, the tensors hold the environments of all ranks
        parts = (raw_obs, raw_next, obs, choice, params, log_prob, value, next_value, reward, played)
        raw_obs, raw_next, obs, choice, params, log_prob, value, next_value, reward, played = self._joined(*parts)
        terminated, truncated, idle, bad = self._joined(terminated, truncated, idle, bad)
        own = Events(finals, episodes, measured, self.breakdowns.take())
        finals, episodes, measured, broken = merged(self.ranks, own, self._mine.start, self.device)
        self.breakdowns.keep(broken)
        self.reward_scale.carry.copy_(self.ranks.join(self._carry))
        if (bad | idle).all():
            raise FloatingPointError("the simulation broke down in every transition: there is nothing to learn from")
        self._played += int(played.sum())
        self.metrics = {name: sum(values) / len(values) for name, values in measured.items()}
        # a broken step does not count: with reward 0 and V of the state before it, its TD error is then 0, so that the
        # advantages of earlier steps are not biased
        decay = self.gamma ** (played - bad.long()).double()
        rollout = Rollout(
            raw_obs=raw_obs[:T],
            raw_next=raw_next,
            obs=obs[:T],
            choice=choice,
            params=params,
            log_prob=log_prob,
            value=value,
            next_value=next_value,
            reward=self.reward_scale(reward, decay, terminated | truncated, ~idle),
            reward_scale=self.reward_scale.divisor,
            discount=(decay * ~(terminated | idle)).float(),
            terminated=terminated,
            truncated=truncated,
            idle=idle,
            bad=bad,
            steps=int(played.sum()),
            seen=obs,
            finals=finals,
        )
        self.seconds["buffer"] = time.perf_counter() - began - sum(self.seconds.values())
        return rollout, [episode for _, episode in episodes]

    def _sample(self) -> Sampled:
        """Play T choices in every environment; the tensors are on the environments' device."""
        T, N, spec, where = self.length, self.env.num_envs, self.policy.head.choice_spec, self.env.device
        task = self.env.task
        raw_obs = torch.empty(T + 1, *self.obs.shape, dtype=torch.float64, device=where)
        choice = torch.empty(T, N, *spec.shape, dtype=spec.dtype, device=self.device)
        reward = torch.empty(T, N, dtype=torch.float64, device=where)
        played = torch.empty(T, N, dtype=torch.int64, device=where)
        terminated, truncated, idle, self._bad = torch.zeros(4, T, N, dtype=torch.bool, device=where)
        acting = physics = 0.0
        measured: dict[str, list[float]] = {}
        episodes: list[tuple[int, FinishedEpisode]] = []  # with the index of the last choice
        finals: Finals = []

        raw_obs[0] = self.obs
        self._renew(raw_obs[0], start=True)
        noise = self._noise()
        for t in range(T):
            idle[t] = self.over
            before = time.perf_counter()
            action, choice[t] = self.respond(raw_obs[t].to(self.device), next(noise))
            acted = time.perf_counter()
            step, reward[t], played[t] = self._play(t, action, raw_obs[t])
            acting, physics = acting + acted - before, physics + time.perf_counter() - acted
            raw_obs[t + 1], terminated[t], truncated[t] = step.obs, step.terminated, step.truncated
            if task and (metrics := task.metrics()):
                for name, values in metrics.items():
                    measured.setdefault(name, []).append(float(values[~self.over.numpy()].mean()))
            done = step.terminated | step.truncated
            if done.any():
                for name, values in (task.ending() if task else {}).items():
                    measured.setdefault(name, []).extend(values[done.numpy()].tolist())
                ids = done.nonzero().squeeze(1)
                finals.append((t, ids, raw_obs[t + 1, ids]))
                episodes += ((t, episode) for episode in self._close(ids))
                self.over |= done
                self._renew(raw_obs[t + 1])
        self.obs = raw_obs[T].clone()
        raw_next = raw_obs[1:].clone()
        for t, ids, final in finals:
            raw_next[t, ids] = final
        self.seconds = {"physics": physics, "policy": acting}
        events = finals, episodes, measured
        return Sampled(raw_obs, raw_next, choice, reward, played, terminated, truncated, idle, self._bad, *events)

    def _joined(self, *parts: Tensor) -> Iterator[Tensor]:
        """Join tensors [T, N, ...] of this rank's environments with those of the other ranks."""
        return (self.ranks.join(part, 1) for part in parts)

    def _noise(self) -> Iterator[Tensor]:
        """Yield the head's noise for each of the T choices. It is drawn in blocks, which is faster."""
        N, head = self.total_envs, self.policy.head
        block = max(1, min(self.length, NOISE // (N * head.noise(1, Generator(self.device)).numel())))
        for start in range(0, self.length, block):
            count = min(block, self.length - start)
            if self.coloured:
                noise = itertools.chain.from_iterable(self.coloured.take(count))
            else:
                noise = head.noise(count * N, self.rng).unflatten(0, (count, N))
            yield from (choice[self._mine] for choice in noise)

    def _play(self, t: int, action: Tensor, obs: Tensor) -> tuple[Step, Tensor, Tensor]:
        """Play the actions [N, H, A] of choice t; `obs` [N, O] are the observations before them.

        Returns:
            (the last Step, discounted rewards [N], steps played [N]).
        """
        chunk = action.to(self.env.device).unbind(1)
        playing = ~self.over
        step = self.env.step(chunk[0], playing if self.over.any() else None)
        step = self._finite(t, step, obs, chunk[0], playing)
        reward, played = step.reward, playing.long()
        raw = reward
        for k, action in enumerate(chunk[1:], start=1):
            going = playing & ~(step.terminated | step.truncated)
            if not going.any():
                break
            after = self._finite(t, self.env.step(action, active=going), step.obs, action, going)
            gain = torch.where(going, after.reward, 0.0)
            reward, raw, played = reward + self.gamma**k * gain, raw + gain, played + going
            obs = torch.where(going.unsqueeze(1), after.obs, step.obs)
            others = (torch.where(going, new, old) for new, old in zip(after[1:4], step[1:4], strict=True))
            step = Step(obs, *others, terms=after.terms)
        self.totals += raw
        self.lengths += played
        return step, reward, played

    def _renew(self, obs: Tensor, start: bool = False) -> None:
        """Apply the sampling scheme's plan, and update the observations `obs` [N, O]."""
        reset, source, target = self.sampling.plan(self.over, start)
        if len(reset):
            obs[reset] = self._reset(reset)
        if len(target):  # the history is copied together with the state
            self.env.copy(source, target)
            for account in (obs, self.totals, self.lengths, self._carry):
                account[target] = account[source]
        self.over[reset] = False
        self.over[target] = False

    def _reset(self, ids: Tensor) -> Tensor:
        """Reset environments and return their observations [n, O]. Repeats resets that give infinite or NaN values.

        Raises:
            FloatingPointError: there are such values after `RESETS` resets.
        """
        obs = self.env.reset(ids)
        for _ in range(RESETS):
            if math.isfinite(float(obs.sum())) or not (bad := ~obs.isfinite().all(1)).any():
                return obs
            names = self._names(ids[bad])
            warnings.warn(f"observation of environment {names} is infinite or NaN at reset: reset again", stacklevel=2)
            obs[bad] = self.env.reset(ids[bad])
        raise FloatingPointError(f"observations are infinite or NaN at {RESETS} resets in a row")

    def _close(self, ids: Tensor) -> Iterator[FinishedEpisode]:
        routes = self.env.task.route() if self.env.task is not None and self.env.task.routes else None
        for i in ids[self._counted[ids]].tolist():
            yield FinishedEpisode(float(self.totals[i]), int(self.lengths[i]), -1 if routes is None else int(routes[i]))
        self.totals[ids] = 0.0
        self.lengths[ids] = 0

    def _finite(self, t: int, step: Step, obs: Tensor, action: Tensor, active: Tensor) -> Step:
        """The step, in which bad environments are truncated at the observation before it, `obs`, with reward 0.

        Environments that are not `active` [N] have been reported before.
        """
        if step.unstable is None and math.isfinite(float(step.obs.sum() + step.reward.sum())):
            return step
        broken = ~(step.obs.isfinite().all(1) & step.reward.isfinite())
        if (broken & active).all():
            raise FloatingPointError(f"observations or rewards of every environment are infinite or NaN at choice {t}")
        if (broken & active).any():
            names = self._names((broken & active).nonzero().squeeze(1))
            warnings.warn(f"observation or reward of environment {names} is infinite or NaN: reset", stacklevel=2)
        if step.unstable is not None:  # the simulator has given a warning
            broken = broken | step.unstable
        bad = broken & active
        self._bad[t] |= bad
        for i in bad.nonzero().flatten().tolist():
            played = self._played + t * self.total_envs
            self.breakdowns.note(self.env, i, self._mine.start, played, step, obs[i], action[i])
        obs, reward = torch.where(broken.unsqueeze(1), obs, step.obs), torch.where(broken, 0.0, step.reward)
        return Step(obs, reward, step.terminated & ~bad, step.truncated | bad, step.terms)

    def _names(self, ids: Tensor) -> str:
        """Indices of environments for a message, counted over all ranks."""
        return ", ".join(str(self._mine.start + i) for i in ids.tolist())

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """(tensors, JSON values) for an exact continuation, including the environments of all ranks."""
        tensors, extra = self.env.state()
        own = {"obs": self.obs, "over": self.over, "totals": self.totals, "lengths": self.lengths}
        rows = {name: self.ranks.join(part) for name, part in (named("env.", tensors) | own).items()}
        if "streams" in extra:
            extra["streams"] = [stream for part in self.ranks.objects(extra["streams"]) for stream in part]
        rows |= named("noise.", self.coloured.state() if self.coloured else {})
        return rows | named("scale.", self.reward_scale.state_dict()), extra

    def restart(self) -> None:
        """Start new episodes and a new noise sequence with the next rollout."""
        if self.coloured:
            self.coloured.end()
        self.over.fill_(True)
        self.totals.zero_()
        self.lengths.zero_()

    def load_state(self, tensors: dict[str, Tensor], extra: dict[str, Any] | None) -> None:
        """Continue from `state` with this rank's part of the environments. `extra` None: only the scale of rewards."""
        self.reward_scale.load_state_dict(under("scale.", tensors))
        if extra is None:  # other environments
            self.restart()
            return
        if self.coloured:
            self.coloured.load_state(under("noise.", tensors))
        if self.ranks.size > 1:
            own = {name: x for name, x in tensors.items() if not name.startswith(("scale.", "noise."))}
            tensors, extra = {name: x[self._mine] for name, x in own.items()}, dict(extra)
            extra["streams"] = extra["streams"][self._mine]
        self.env.load_state(under("env.", tensors), extra)
        self.totals.copy_(tensors["totals"])
        self.lengths.copy_(tensors["lengths"])
        if self.env.exact_resume:
            self.obs = tensors["obs"].to(self.env.device, copy=True)
            self.over.copy_(tensors["over"])
        else:  # the environments start new episodes, so returns and lengths start at 0
            self.restart()
