"""Rollouts: T choices in each of N environments, and the collector that makes them."""

import itertools
import math
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from pgcontrol_envs import Step, VecEnv
from torch import Generator, Tensor

from pgcontrol.learning.advantages import Estimate, Estimator, Trajectories, estimated
from pgcontrol.learning.breakdowns import Breakdowns
from pgcontrol.learning.merging import Events, Finals, FinishedEpisode, merged
from pgcontrol.learning.noise import ColouredNoise
from pgcontrol.learning.sampling import Sampling
from pgcontrol.machine.compiler import EAGER, Compilation
from pgcontrol.machine.ranks import ALONE, Ranks
from pgcontrol.machine.tensors import named, under
from pgcontrol.moments import RewardScale
from pgcontrol.options import NoOptions
from pgcontrol.policy import Policy


@dataclass
class Rollout:
    """T x N choices of one policy and what came of them. All tensors start with [T, N].

    O counts the numbers of an observation with what only the critic sees.

    Attributes:
        raw_obs: [T, N, O] float64, as the environment gave it.
        raw_next: [T, N, O] float64: the state each transition truly ended in.
        obs: [T, N, O] float32, as the policy saw it.
        choice: what the head sampled, [T, N, *choice_spec.shape].
        params: the head's distribution, [T, N, ...].
        log_prob: of the choice, [T, N].
        value: V(obs), in units of the scaled reward.
        next_value: V of the state the transition truly ended in.
        reward: scaled; discounted sum over the steps a choice lasted.
        reward_scale: what the rewards were divided by.
        discount: γ^(steps the choice lasted) x (not terminated); 0 in idle rows.
        idle: rows in which the environment stood still, its episode over, waiting for its group: nobody learns from
            them.
        bad: transitions to something infinite or NaN, or of a simulation that broke down: those environments were
            reset, and nobody learns from the rows.
        steps: environment steps played.
        seen: [T + 1, N, O] float32: `obs`, and what the policy sees next.
        finals: the true final observations, in float32, of the episodes that ended.
        prior: a prior's params in these states, [T, N, ...], for a policy that is to stay near one.
        prior_weight: what a nat of KL(policy || prior) costs, in units of the objective.
    """

    raw_obs: Tensor
    raw_next: Tensor
    obs: Tensor
    choice: Tensor
    params: Tensor
    log_prob: Tensor
    value: Tensor
    next_value: Tensor
    reward: Tensor
    reward_scale: float
    discount: Tensor
    terminated: Tensor
    truncated: Tensor
    idle: Tensor
    bad: Tensor
    steps: int
    seen: Tensor
    finals: Finals
    prior: Tensor | None = None
    prior_weight: float = 0.0

    def values(self, value: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
        """`value` and `next_value` [T, N] under another value function of normalised observations [B, O] -> [B]."""
        return _values(value, self.seen, self.finals)

    def subsample(self, x: Tensor) -> Tensor:
        """Every few of the T rows of x [T, N, ...], as one batch of 256 to 511 samples (all, if there are fewer).

        Enough for what is only logged; heads without closed forms would spend more time on the log than on learning.
        """
        return x[:: max(1, self.bad.numel() // 256)].flatten(0, 1)

    @property
    def masked(self) -> Tensor:
        """Rows that teach nothing: bad or idle."""
        return self.bad | self.idle

    def trajectories(self) -> Trajectories:
        """What an advantage estimator reads."""
        return Trajectories(self.reward, self.value, self.next_value, self.discount, self.terminated, self.truncated)

    def estimate(self, estimator: Estimator) -> Estimate:
        """Advantages and the critic's targets, [T, N]; nothing is learned from masked rows."""
        return estimated(estimator, self.trajectories()).without(self.masked, self.value)


RESETS = 10  # an environment may begin badly so many times in a row
NOISE = 2**20  # numbers of noise that are drawn at a time, 4 MB


class Collector:
    """Plays a policy in a VecEnv, T choices at a time, without losing a step between rollouts.

    Reset is explicit: the observation a step returns is the state the transition ended in, so a time limit bootstraps
    on V of exactly that, and only then is the environment reset.

    With W ranks each plays its part of the environments, with its part of the noise, and all get the whole rollout, as
    one process with all environments would make it.
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
        """`noise_beta`: β of the choices' noise, see `ColouredNoise`; 0: white, as a head draws it."""
        self.env, self.policy, self.length, self.gamma, self.rng = env, policy, length, gamma, rng
        self.sampling = sampling or Sampling(NoOptions(), env.num_envs)
        self.ranks, self.total_envs = ranks, ranks.size * env.num_envs
        self.reward_scale = RewardScale(self.total_envs, scale_reward)
        # which of all environments are here, and their discounted sums of rewards
        self._mine = ranks.rows(self.total_envs)
        self._carry = self.reward_scale.carry[self._mine]
        self.totals = torch.zeros(env.num_envs, dtype=torch.float64)
        self.lengths = torch.zeros(env.num_envs, dtype=torch.int64)
        self._counted = self.sampling.counted()
        # where the time of the last `collect` went: physics (the environments' step), policy, buffer (the rest)
        self.seconds: dict[str, float] = {}
        self.breakdowns, self._played = Breakdowns(), 0  # and environment steps so far
        # what the task measured in the last `collect`, by name: the mean over its steps, or over episodes that ended
        self.metrics: dict[str, float] = {}
        # what the policy will see next, [N, O]
        self.obs = torch.zeros(env.num_envs, env.obs_size + env.privileged, dtype=torch.float64)
        # [N]: whose episode is over, or not begun; they stand still until the sampling scheme has them start anew
        self.over = torch.ones(env.num_envs, dtype=torch.bool)
        self.coloured = ColouredNoise(policy.head, noise_beta, self.total_envs, rng) if noise_beta else None
        # (raw observations [N, O], noise [N, ...]) -> (action, choice)
        self.respond = compilation(policy.respond, [*policy.parameters(), *policy.buffers()])

    @torch.no_grad()
    def collect(self) -> tuple[Rollout, list[FinishedEpisode]]:
        """T choices in every environment, and the episodes that ended meanwhile.

        A transition to an infinite or NaN observation or reward, or one in which the simulation broke down, is put in
        quarantine: that environment alone is reset, the row is marked `bad`, and a warning names both.

        Raises:
            FloatingPointError: every environment has gone bad at once, or every transition is in quarantine.
        """
        T, N, policy, spec = self.length, self.env.num_envs, self.policy, self.policy.head.choice_spec
        task = self.env.task
        began = time.perf_counter()
        raw_obs = torch.empty(T + 1, *self.obs.shape, dtype=torch.float64)
        choice = torch.empty(T, N, *spec.shape, dtype=spec.dtype)
        reward, played = torch.empty(T, N, dtype=torch.float64), torch.empty(T, N, dtype=torch.int64)
        terminated, truncated, idle, self._bad = torch.zeros(4, T, N, dtype=torch.bool)
        acting = physics = 0.0
        measured: dict[str, list[float]] = {}
        episodes: list[tuple[int, FinishedEpisode]] = []  # and the choice that each ended with
        finals: Finals = []

        raw_obs[0] = self.obs
        self._renew(raw_obs[0], start=True)
        noise = self._noise()
        for t in range(T):
            idle[t] = self.over
            before = time.perf_counter()
            action, choice[t] = self.respond(raw_obs[t], next(noise))
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

        # one pass over all T x N states costs less than T small ones while the physics waits
        before = time.perf_counter()
        obs = policy.normaliser(raw_obs)
        params = policy.params(obs[:T].flatten(0, 1))
        log_prob = policy.head.log_prob(params, choice.flatten(0, 1)).unflatten(0, (T, N))
        value, next_value = _values(policy.value, obs, [(t, i, policy.normaliser(final)) for t, i, final in finals])
        params = params.unflatten(0, (T, N))
        acting += time.perf_counter() - before

        # from here on all environments of all ranks
        parts = (raw_obs, obs, choice, params, log_prob, value, next_value, reward, played)
        raw_obs, obs, choice, params, log_prob, value, next_value, reward, played = self._joined(*parts)
        terminated, truncated, idle, bad = self._joined(terminated, truncated, idle, self._bad)
        own = Events(finals, episodes, measured, self.breakdowns.take())
        finals, episodes, measured, broken = merged(self.ranks, own, self._mine.start)
        self.breakdowns.keep(broken)
        self.reward_scale.carry.copy_(self.ranks.join(self._carry))
        if (bad | idle).all():
            raise FloatingPointError("the simulation broke down in every transition: there is nothing to learn from")
        self._played += int(played.sum())
        self.metrics = {name: sum(values) / len(values) for name, values in measured.items()}
        raw_next = raw_obs[1:].clone()
        for t, ids, final in finals:
            raw_next[t, ids] = final
        decay = self.gamma ** played.double()
        rollout = Rollout(
            raw_obs=raw_obs[:T],
            raw_next=raw_next,
            obs=obs[:T],
            choice=choice,
            params=params,
            log_prob=log_prob,
            value=value,
            next_value=next_value,
            reward=self.reward_scale(reward, decay, terminated | truncated),
            reward_scale=self.reward_scale.divisor,
            discount=(decay * ~(terminated | idle)).float(),
            terminated=terminated,
            truncated=truncated,
            idle=idle,
            bad=bad,
            steps=int(played.sum()),
            seen=obs,
            finals=[(t, ids, policy.normaliser(final)) for t, ids, final in finals],
        )
        total = time.perf_counter() - began
        self.seconds = {"physics": physics, "policy": acting, "buffer": total - physics - acting}
        return rollout, [episode for _, episode in episodes]

    def _joined(self, *parts: Tensor) -> Iterator[Tensor]:
        """Tensors [T, N, ...] of all ranks' environments, from those of this rank's."""
        return (self.ranks.join(part, 1) for part in parts)

    def _noise(self) -> Iterator[Tensor]:
        """The head's noise for each of the T choices: drawn for many at a time, which costs less than one by one."""
        N, head = self.total_envs, self.policy.head
        block = max(1, min(self.length, NOISE // (N * head.noise(1, Generator()).numel())))
        for start in range(0, self.length, block):
            count = min(block, self.length - start)
            if self.coloured:
                noise = itertools.chain.from_iterable(self.coloured.take(count))
            else:
                noise = head.noise(count * N, self.rng).unflatten(0, (count, N))
            yield from (choice[self._mine] for choice in noise)

    def _play(self, t: int, action: Tensor, obs: Tensor) -> tuple[Step, Tensor, Tensor]:
        """Choice t's actions [N, H, A], from `obs` on -> (last Step, discounted reward [N], steps played [N])."""
        chunk = action.unbind(1)
        playing = ~self.over
        step = self._finite(t, self.env.step(chunk[0], playing if self.over.any() else None), obs, chunk[0])
        reward, played = step.reward, playing.long()
        raw = reward
        for k, action in enumerate(chunk[1:], start=1):
            going = playing & ~(step.terminated | step.truncated)
            if not going.any():
                break
            after = self._finite(t, self.env.step(action, active=going), step.obs, action)
            gain = torch.where(going, after.reward, 0.0)
            reward, raw, played = reward + self.gamma**k * gain, raw + gain, played + going
            obs = torch.where(going.unsqueeze(1), after.obs, step.obs)
            others = (torch.where(going, new, old) for new, old in zip(after[1:4], step[1:4], strict=True))
            step = Step(obs, *others, terms=after.terms)
        self.totals += raw
        self.lengths += played
        return step, reward, played

    def _renew(self, obs: Tensor, start: bool = False) -> None:
        """Carry out the sampling scheme's plan, and put into `obs` [N, O] what the policy sees from here on."""
        reset, source, target = self.sampling.plan(self.over, start)
        if len(reset):
            obs[reset] = self._reset(reset)
        if len(target):  # whoever takes over a state takes over its history
            self.env.copy(source, target)
            for account in (obs, self.totals, self.lengths, self._carry):
                account[target] = account[source]
        self.over[reset] = False
        self.over[target] = False

    def _reset(self, ids: Tensor) -> Tensor:
        """Observations [n, O] of new episodes; one that begins with an infinite or NaN observation is begun again.

        Raises:
            FloatingPointError: an environment begins so every time.
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

    def _finite(self, t: int, step: Step, obs: Tensor, action: Tensor) -> Step:
        """The step under `action`, its bad environments cut off at the state before, `obs`, without reward."""
        if step.unstable is None and math.isfinite(float(step.obs.sum() + step.reward.sum())):
            return step
        broken = ~(step.obs.isfinite().all(1) & step.reward.isfinite())
        if broken.all():
            raise FloatingPointError(f"observations or rewards of every environment are infinite or NaN at choice {t}")
        if (broken & ~self.over).any():
            names = self._names((broken & ~self.over).nonzero().squeeze(1))
            warnings.warn(f"observation or reward of environment {names} is infinite or NaN: reset", stacklevel=2)
        if step.unstable is not None:  # the simulator has warned of it
            broken = broken | step.unstable
        bad = broken & ~self.over  # of those that stand still it is known
        self._bad[t] |= bad
        for i in bad.nonzero().flatten().tolist():
            played = self._played + t * self.total_envs
            self.breakdowns.note(self.env, i, self._mine.start, played, step, obs[i], action[i])
        obs, reward = torch.where(broken.unsqueeze(1), obs, step.obs), torch.where(broken, 0.0, step.reward)
        return Step(obs, reward, step.terminated & ~bad, step.truncated | bad, step.terms)

    def _names(self, ids: Tensor) -> str:
        """Numbers of environments for a message; of all environments, not of this rank's."""
        return ", ".join(str(self._mine.start + i) for i in ids.tolist())

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """(tensors, JSON-able rest) for an exact continuation: environments included, those of all ranks."""
        tensors, extra = self.env.state()
        own = {"obs": self.obs, "over": self.over, "totals": self.totals, "lengths": self.lengths}
        rows = {name: self.ranks.join(part) for name, part in (named("env.", tensors) | own).items()}
        if "streams" in extra:
            extra["streams"] = [stream for part in self.ranks.objects(extra["streams"]) for stream in part]
        rows |= named("noise.", self.coloured.state() if self.coloured else {})
        return rows | named("scale.", self.reward_scale.state_dict()), extra

    def restart(self) -> None:
        """Begin new episodes, and new noise, with the next rollout."""
        if self.coloured:
            self.coloured.end()
        self.over.fill_(True)
        self.totals.zero_()
        self.lengths.zero_()

    def load_state(self, tensors: dict[str, Tensor], extra: dict[str, Any]) -> None:
        """Continue where `state` left, with this rank's part of the environments."""
        self.reward_scale.load_state_dict(under("scale.", tensors))
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
            self.obs = tensors["obs"].clone()
            self.over.copy_(tensors["over"])
        else:  # the episodes begin anew, so their accounts do too
            self.restart()


def _values(value: Callable[[Tensor], Tensor], seen: Tensor, finals: Finals) -> tuple[Tensor, Tensor]:
    every = value(seen.flatten(0, 1)).unflatten(0, seen.shape[:2])
    after = every[1:].clone()
    for t, ids, final in finals:
        after[t, ids] = value(final)
    return every[:-1], after
