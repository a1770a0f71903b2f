"""The collector for environments on a device: it never waits for the device within a rollout."""

import time
import warnings
from typing import Any

import torch
from torch import Tensor

from pgcontrol.learning.collector import Collector, Sampled
from pgcontrol.learning.merging import Finals, FinishedEpisode


class DeviceCollector(Collector):
    """Collects rollouts from environments with `renew` and `check`: see WarpVecEnv.

    What `Collector` decides by looking at values, this one computes for all environments with masks. It looks once, at
    the end of the rollout. Every environment starts a new episode as soon as one ends.
    """

    env: Any

    def _sample(self) -> Sampled:
        T, N, spec, env = self.length, self.env.num_envs, self.policy.head.choice_spec, self.env
        began, on = time.perf_counter(), {"device": env.device}
        raw_obs = torch.empty(T + 1, *self.obs.shape, dtype=torch.float64, **on)
        raw_next = torch.empty_like(raw_obs[1:])
        choice = torch.empty(T, N, *spec.shape, dtype=spec.dtype, **on)
        reward = torch.zeros(T, N, dtype=torch.float64, **on)
        played = torch.zeros(T, N, dtype=torch.int64, **on)
        terminated, truncated, idle, bad = torch.zeros(4, T, N, dtype=torch.bool, **on)
        totals, lengths, routes = torch.empty_like(reward), torch.empty_like(played), torch.full_like(played, -1)
        measured: list[dict[str, Tensor]] = []  # sums over the environments, or over those whose episode ended

        noise = self._noise()
        raw_obs[0] = env.renew(self.over)
        for t in range(T):
            action, choice[t] = self.respond(raw_obs[t], next(noise))
            obs, going = raw_obs[t], torch.ones(N, dtype=torch.bool, **on)
            for k, part in enumerate(action.unbind(1)):
                step = env.step(part, going if k else None)
                broken = step.unstable | ~(step.obs.isfinite().all(1) & step.reward.isfinite())
                good = going & ~broken
                obs = torch.where(good.unsqueeze(1), step.obs, obs)
                gain = torch.where(good, step.reward, 0.0)
                reward[t] += self.gamma**k * gain
                self.totals += gain
                played[t] += going
                bad[t] |= broken & going
                terminated[t] |= step.terminated & good
                truncated[t] |= (step.truncated & going) | bad[t]
                going = going & ~(terminated[t] | truncated[t])
            self.lengths += played[t]
            raw_next[t], done = obs, ~going
            totals[t], lengths[t] = self.totals, self.lengths
            if env.task.routes:
                routes[t] = env.task.route()
            sums = {name: values.mean() for name, values in env.task.metrics().items()}
            measured.append(sums | {name: (values * done).sum() for name, values in env.task.ending().items()})
            self.totals.masked_fill_(done, 0.0)
            self.lengths.masked_fill_(done, 0)
            raw_obs[t + 1] = env.renew(done)
        self.obs = raw_obs[T].clone()
        self.over.fill_(False)
        env.check()

        self.seconds = {"physics": time.perf_counter() - began, "policy": 0.0}  # a device does both at the same time
        done = terminated | truncated
        self._warn(bad)
        ended = done.nonzero().tolist()
        parts = (x[done].tolist() for x in (totals, lengths, routes))
        episodes = [(t, FinishedEpisode(*row)) for (t, _), row in zip(ended, zip(*parts, strict=True), strict=True)]
        finals: Finals = []
        for t in sorted({t for t, _ in ended}):
            ids = done[t].nonzero().squeeze(1)
            finals.append((t, ids, raw_next[t, ids]))
        means = self._means(measured, len(ended))
        return Sampled(
            raw_obs, raw_next, choice, reward, played, terminated, truncated, idle, bad, finals, episodes, means
        )

    def _means(self, measured: list[dict[str, Tensor]], ended: int) -> dict[str, list[float]]:
        """The task's metrics, as means over steps, or over the `ended` episodes."""
        task, means = self.env.task, dict[str, list[float]]()
        ending = set(task.ending())
        for name in measured[0]:
            values = torch.stack([one[name] for one in measured])
            if name not in ending:
                means[name] = [float(values.mean())]
            elif ended:
                means[name] = [float(values.sum()) / ended]
        return means

    def _warn(self, bad: Tensor) -> None:
        found = bad.any(0).nonzero().flatten().tolist()
        if found:
            names = ", ".join(map(str, found[:5])) + (", ..." if len(found) > 5 else "")
            what = "infinite or NaN, or its simulation became unstable"
            warnings.warn(f"observation or reward of environment {names} is {what}: reset", stacklevel=2)
