"""A replay: n-step transitions of past rollouts, kept to be drawn from again and again."""

from typing import NamedTuple

import torch
from torch import Generator, Tensor

from pgcontrol.heads.base import ChoiceSpec
from pgcontrol.learning.rollout import Rollout
from pgcontrol.machine import trees


class Transitions(NamedTuple):
    """M choices and what came of them within n steps.

    Attributes:
        obs: [M, O] float32, as the environment gave it: the normaliser's moments still move.
        choice: [M, *choice_spec.shape].
        reward: [M] unscaled: r_1 + γ r_2 + … over the steps that were taken.
        discount: [M] γ^(steps taken) x (not terminated): what the value of `after` counts.
        after: [M, O] float32: where those steps led.
    """

    obs: Tensor
    choice: Tensor
    reward: Tensor
    discount: Tensor
    after: Tensor


def windows(reward: Tensor, discount: Tensor, over: Tensor, n: int) -> tuple[Tensor, Tensor, Tensor]:
    """n-step returns without their bootstrap (Sutton & Barto 2018, eq. 7.1), from every step of a rollout.

    A window ends after n steps, with its episode, or with the rollout, whichever is first. The last of these only makes
    it shorter: a return of fewer steps, which bootstraps earlier, is as valid a target.

    Args:
        reward, discount: [T, N], as in `Trajectories`; discount is 0 at a termination.
        over: [T, N] bool: the episode ended with this step, by termination or by its time limit.
        n: most steps of a window.

    Returns:
        r_1 + γ r_2 + …, the product of the discounts, and the row of the last step, each [T, N].
    """
    total, weight = reward.clone(), discount.clone()
    last = torch.arange(len(reward)).unsqueeze(1).repeat(1, reward.shape[1])
    going = ~over  # whether the window that begins here is still open after k steps
    for k in range(1, min(n, len(reward))):
        going = going[:-1]
        total[:-k] += torch.where(going, weight[:-k] * reward[k:], 0.0)
        weight[:-k] *= torch.where(going, discount[k:], 1.0)
        last[:-k] += going
        going = going & ~over[k:]
    return total, weight, last


def transitions(rollout: Rollout, n: int) -> Transitions:
    """A rollout's n-step transitions, without those in which something was not finite."""
    over = rollout.terminated | rollout.truncated
    reward, discount, last = windows(rollout.reward * rollout.reward_scale, rollout.discount, over, n)
    # a bad row ends its episode, so it can only be the last of a window
    good = ~rollout.bad.gather(0, last)
    after = rollout.raw_next.gather(0, last.unsqueeze(-1).expand_as(rollout.raw_next))
    return trees.rows(Transitions(rollout.raw_obs.float(), rollout.choice, reward, discount, after.float()), good)


class ReplayBuffer:
    """The newest `capacity` transitions; the oldest make room."""

    def __init__(self, capacity: int, obs_size: int, choice: ChoiceSpec):
        self.capacity, self.added = capacity, 0
        # not written yet, and so not yet memory that the machine must have
        obs, after = (torch.empty(capacity, obs_size) for _ in range(2))
        reward, discount = (torch.empty(capacity) for _ in range(2))
        self.rows = Transitions(obs, torch.empty(capacity, *choice.shape, dtype=choice.dtype), reward, discount, after)

    def __len__(self) -> int:
        return min(self.added, self.capacity)

    def add(self, new: Transitions) -> None:
        """Take in M transitions, in their order."""
        places = (self.added + torch.arange(len(new.reward))) % self.capacity
        for rows, values in zip(self.rows, new, strict=True):
            rows[places] = values
        self.added += len(places)

    def sample(self, count: int, rng: Generator) -> Transitions:
        """`count` transitions, each drawn evenly from all there are."""
        return trees.rows(self.rows, torch.randint(len(self), (count,), generator=rng))

    def state(self) -> dict[str, Tensor]:
        """Tensors to checkpoint: what has been written of the memory, as views."""
        return trees.each(lambda rows: rows[: len(self)], self.rows)._asdict() | {"added": torch.tensor(self.added)}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Continue where `state` left; ValueError when it does not fit."""
        self.added = int(state["added"])
        for name, rows in self.rows._asdict().items():
            if state[name].shape != rows[: len(self)].shape:
                raise ValueError(f"replay.{name} has shape {tuple(state[name].shape)}")
            rows[: len(self)] = state[name]
