"""A replay buffer of n-step transitions from past rollouts."""

from typing import NamedTuple

import torch
from torch import Generator, Tensor

from pgcontrol.heads.base import ChoiceSpec
from pgcontrol.learning.rollout import Rollout
from pgcontrol.machine import trees


class Transitions(NamedTuple):
    """M transitions of at most n steps.

    Attributes:
        obs: [M, O] float32, not normalised, because the normaliser's moments still change.
        choice: [M, *choice_spec.shape].
        reward: [M], unscaled: r_1 + γ r_2 + … over the steps taken.
        discount: [M], γ^(steps taken) x (not terminated): the factor for the value of `after`.
        after: [M, O] float32, not normalised: the observation after these steps.
    """

    obs: Tensor
    choice: Tensor
    reward: Tensor
    discount: Tensor
    after: Tensor


def windows(reward: Tensor, discount: Tensor, over: Tensor, n: int) -> tuple[Tensor, Tensor, Tensor]:
    """n-step returns without the bootstrap term (Sutton & Barto 2018, eq. 7.1), from every step of a rollout.

    A window ends after n steps, at the end of the episode, or at the end of the rollout, whichever comes first. At the
    end of the rollout it is just shorter: a return with fewer steps, which bootstraps earlier, is also a valid target.

    Args:
        reward, discount: [T, N], as in `Trajectories`; discount is 0 at a termination.
        over: [T, N] bool: the episode ended with this step, by termination or time limit.
        n: largest number of steps in a window.

    Returns:
        (r_1 + γ r_2 + …, product of the discounts, row of the last step), each [T, N].
    """
    total, weight = reward.clone(), discount.clone()
    last = torch.arange(len(reward)).unsqueeze(1).repeat(1, reward.shape[1])
    going = ~over  # whether the window that starts in this row still continues after k steps
    for k in range(1, min(n, len(reward))):
        going = going[:-1]
        total[:-k] += torch.where(going, weight[:-k] * reward[k:], 0.0)
        weight[:-k] *= torch.where(going, discount[k:], 1.0)
        last[:-k] += going
        going = going & ~over[k:]
    return total, weight, last


def transitions(rollout: Rollout, n: int) -> Transitions:
    """The n-step transitions of a rollout, without those that contain a bad step."""
    over = rollout.terminated | rollout.truncated
    reward, discount, last = windows(rollout.reward * rollout.reward_scale, rollout.discount, over, n)
    # a bad step ends its episode, so it can only be the last one of a window
    good = ~rollout.bad.gather(0, last)
    after = rollout.raw_next.gather(0, last.unsqueeze(-1).expand_as(rollout.raw_next))
    return trees.rows(Transitions(rollout.raw_obs.float(), rollout.choice, reward, discount, after.float()), good)


class ReplayBuffer:
    """Holds the newest `capacity` transitions."""

    def __init__(self, capacity: int, obs_size: int, choice: ChoiceSpec):
        self.capacity, self.added = capacity, 0
        # torch.empty: the operating system provides the memory only when it is written
        obs, after = (torch.empty(capacity, obs_size) for _ in range(2))
        reward, discount = (torch.empty(capacity) for _ in range(2))
        self.rows = Transitions(obs, torch.empty(capacity, *choice.shape, dtype=choice.dtype), reward, discount, after)

    def __len__(self) -> int:
        return min(self.added, self.capacity)

    def add(self, new: Transitions) -> None:
        """Add M transitions in order; the oldest ones are overwritten."""
        places = (self.added + torch.arange(len(new.reward))) % self.capacity
        for rows, values in zip(self.rows, new, strict=True):
            rows[places] = values
        self.added += len(places)

    def sample(self, count: int, rng: Generator) -> Transitions:
        """Draw `count` transitions uniformly, with replacement."""
        return trees.rows(self.rows, torch.randint(len(self), (count,), generator=rng))

    def state(self) -> dict[str, Tensor]:
        """Tensors for a checkpoint: views of the part that has been filled."""
        return trees.each(lambda rows: rows[: len(self)], self.rows)._asdict() | {"added": torch.tensor(self.added)}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Continue from `state`. Raises ValueError if its shapes do not fit."""
        self.added = int(state["added"])
        for name, rows in self.rows._asdict().items():
            if state[name].shape != rows[: len(self)].shape:
                raise ValueError(f"replay.{name} has shape {tuple(state[name].shape)}")
            rows[: len(self)] = state[name]
