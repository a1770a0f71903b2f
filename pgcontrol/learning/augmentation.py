"""Symmetry by augmentation: a rollout with the mirror image of every environment beside it.

For bodies that are symmetric, and heads that cannot be symmetric by construction (Abdolhosseini et al. 2019, "On
learning symmetric locomotion"; Mittal et al. 2024, "Symmetry considerations for learning task symmetric robot
policies").
"""

import dataclasses

import torch
from pgcontrol_envs.task import Mirror
from torch import Tensor

from pgcontrol.learning.rollout import Rollout, values_of
from pgcontrol.policy import Policy


class Augmentation:
    """Adds to a rollout of N environments N images: mirrored observations and actions, with the same rewards.

    The policy would take an image's action with another probability than it took the action itself. So the image's
    advantage is weighted with min(1, π(image) / π(original)), as V-trace does (Espeholt et al. 2018, eq. 1).
    """

    def __init__(self, policy: Policy, mirror: Mirror):
        """`mirror`: of a task; if the critic observes more than the policy, with the image of these numbers."""
        self.policy = policy
        where, (order, sign), (more, signs) = policy.theta.device, mirror.obs, mirror.privileged
        self.order = torch.tensor([*order, *(len(order) + i for i in more)], device=where)
        self.sign = torch.tensor([*sign, *signs], device=where)
        self.joints, self.signs = (torch.tensor(part, device=where) for part in mirror.action)

    @torch.no_grad()
    def __call__(self, rollout: Rollout) -> Rollout:
        """A rollout of 2 N environments: the N that were played, and their images."""
        policy, head = self.policy, self.policy.head
        seen = self.normalised(rollout.seen)
        finals = [(t, ids, self.normalised(final)) for t, ids, final in rollout.finals]
        obs, count = seen[:-1], rollout.bad.shape[1]
        action = head.decode(rollout.choice.flatten(0, 1))
        choice = head.encode(action[..., self.joints] * self.signs)
        params = policy.params(obs.flatten(0, 1))
        log_prob = head.log_prob(params, choice).unflatten(0, rollout.log_prob.shape)
        value, next_value = values_of(policy.value, seen, finals)
        images = dataclasses.replace(
            rollout,
            raw_obs=self.of(rollout.raw_obs),
            raw_next=self.of(rollout.raw_next),
            obs=obs,
            choice=choice.unflatten(0, rollout.log_prob.shape),
            params=params.unflatten(0, rollout.log_prob.shape),
            log_prob=log_prob,
            value=value,
            next_value=next_value,
            seen=seen,
        )
        both = {}
        for field in dataclasses.fields(Rollout):
            one, other = getattr(rollout, field.name), getattr(images, field.name)
            if isinstance(one, Tensor):
                both[field.name] = torch.cat((one, other), 1)
        weight = (log_prob - rollout.log_prob).exp().clamp_max(1.0)
        both["weight"] = torch.cat((torch.ones_like(weight), weight), 1)
        pairs = zip(rollout.finals, finals, strict=True)
        both["finals"] = [(t, torch.cat((i, i + count)), torch.cat((a, b))) for (t, i, a), (_, _, b) in pairs]
        return dataclasses.replace(rollout, **both)

    def of(self, obs: Tensor) -> Tensor:
        """The images of observations [..., O] from the environment."""
        return obs[..., self.order] * self.sign

    def normalised(self, obs: Tensor) -> Tensor:
        """The images of normalised observations [..., O]: normalised as well, with the same moments."""
        mean, scale = self.policy.normaliser.mean, self.policy.normaliser.scale
        factor, shift = scale / scale[self.order], (self.of(mean) - mean) * scale
        return self.of(obs) * factor.float() + shift.float()
