"""The only loop that plays episodes to their end: evaluation, recording, diagnosis and the viewer use it."""

import warnings
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from pgcontrol_envs import Step, VecEnv
from torch import Tensor

from pgcontrol.text import count

LONGEST = 10_000  # steps after which an episode is truncated in an environment without a time limit

# raw observations [N, O] -> actions [N, H, A], played one after the other before the next call
Act = Callable[[Tensor], Tensor]


class Played(NamedTuple):
    """One step of N environments, with its inputs.

    Attributes:
        obs: [N, O] before the step.
        action: [N, A].
        part: index of the action within its choice; 0: the choice was made from `obs`.
        going: which environments took the step, bool [N]; the others did not move.
    """

    obs: Tensor
    action: Tensor
    part: int
    step: Step
    going: Tensor


class Episodes:
    """Episodes of N environments, played in parallel step by step, each to its own end.

    A choice of H actions is played completely before the next one is made. Iteration plays all remaining steps; between
    two steps, the caller may inspect the task or stop environments. An episode whose simulation becomes unstable is
    truncated there.

    Attributes:
        going: whose episode has not ended, bool [N].
    """

    def __init__(self, env: VecEnv, act: Act, obs: Tensor, going: Tensor | None = None):
        """Begin, or continue, in the environments' current states.

        Args:
            env: N environments.
            act: the agent.
            obs: [N, O], their current observations.
            going: which ones play, bool [N]; None: all. The others do not move.
        """
        self.env, self.act, self.obs = env, act, obs
        self.going = torch.ones(env.num_envs, dtype=torch.bool) if going is None else going
        self._left = env.time_limit or LONGEST
        self._chunk: Tensor | None = None
        self._part = 0

    @torch.no_grad()
    def step(self) -> Played:
        """Play one step in the environments that are going, with a new choice if the last one is used up."""
        if self._chunk is None or self._part == self._chunk.shape[1]:
            self._chunk, self._part = self.act(self.obs), 0
        action = self._chunk[:, self._part]
        step = self.env.step(action, active=self.going)
        if (broken := step.unstable) is not None:  # truncate at the state before, without reward
            obs, reward = torch.where(broken.unsqueeze(1), self.obs, step.obs), step.reward.masked_fill(broken, 0.0)
            step = Step(obs, reward, step.terminated & ~broken, step.truncated | broken, step.terms)
        played = Played(self.obs, action, self._part, step, self.going)
        self.obs, self._part, self._left = played.step.obs, self._part + 1, self._left - 1
        over = played.step.terminated | played.step.truncated
        self.going = self.going & ~over
        if self._left == 0 and (cut := int(self.going.sum())):
            what = f"{count(cut, 'episode')} truncated after {LONGEST:,} steps; returns contain only these steps"
            warnings.warn(f"{self.env.env_id} has no time limit; {what}", stacklevel=2)
            self.going = torch.zeros_like(self.going)
        return played

    def __iter__(self) -> Iterator[Played]:
        while self.going.any():
            yield self.step()

    def stop(self, who: Tensor) -> None:
        """Stop the environments `who`, bool [N]."""
        self.going = self.going & ~who

    def moved(self, obs: Tensor) -> None:
        """Call it after changing the states: the next step begins with a choice from `obs` [N, O]."""
        self.obs, self._chunk = obs, None
