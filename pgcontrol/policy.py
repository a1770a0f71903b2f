"""A policy: observation normaliser, trunk and head, together with the critic."""

import copy
from collections.abc import Callable
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from pgcontrol_envs.task import Mirror
from pgcontrol_envs.vector import Shapes
from torch import Generator, Tensor, nn

from pgcontrol.critics.base import Critic
from pgcontrol.flat import Flat
from pgcontrol.heads.base import Chunks, Head
from pgcontrol.machine.tensors import named, under
from pgcontrol.moments import Normaliser
from pgcontrol.trunks.base import Trunk

WIDENINGS = 4  # fits of the width of a symmetric policy


class Evaluation(NamedTuple):
    """What an update needs for B samples under the current weights.

    Attributes:
        params: [B, ...] the head's distribution parameters.
        log_prob: [B] log-probabilities of the stored choices.
        critic: [B, ...] the critic's output.
    """

    params: Tensor
    log_prob: Tensor
    critic: Tensor


class Policy(Flat):
    """Normaliser, actor trunk and head; and a critic with its own trunk, which may differ in kind and size.

    An observation [.., O] may be followed by P more columns for the critic only; acting does not need them.

    Attributes:
        shapes: the environment's own shapes of observations and actions, for `predict`; here they are flat.
        rates: [P], factors of each weight's steps, from the head; None if all are 1.
    """

    def __init__(
        self,
        obs_size: int,
        trunk: Callable[[], Trunk],
        head: Head,
        critic_trunk: Callable[[], Trunk],
        critic: Critic,
        privileged: int = 0,
        mirror: Mirror | None = None,
    ):
        """`trunk` makes a trunk from [B, obs_size] to the head's input; `critic_trunk` one for the critic, from
        [B, obs_size + privileged]. With a `mirror` the policy is symmetric: see `params`."""
        super().__init__()
        self.obs_size, self.privileged = obs_size, privileged
        self.shapes = Shapes((obs_size,), (head.joints,), False)
        self.mirror: tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]] | None = None
        if mirror:
            obs, action = ((torch.tensor(order), torch.tensor(sign)) for order, sign in mirror)
            self.mirror = obs, action
            head.symmetrise(*action)
        self.normaliser = Normaliser(obs_size + privileged, self.mirror and self.mirror[0])
        self.actor_trunk = trunk()
        self.head = head
        # a critic without weights reads no features
        self.critic_trunk = critic_trunk() if any(True for _ in critic.parameters()) else nn.Identity()
        self.critic = critic
        self.flatten_weights()
        multiples = named("head.", head.rates())
        named_rates = ((multiples.get(name, torch.ones(())), shape) for name, shape in self._shapes.items())
        rates = torch.cat([rate.expand(shape).reshape(-1) for rate, shape in named_rates])
        self.register_buffer("rates", None if bool((rates == 1).all()) else rates, persistent=False)
        self._rng = torch.Generator()

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        super()._apply(fn, recurse)
        if self.mirror:
            (order, sign), (joints, signs) = self.mirror
            self.mirror = (fn(order), fn(sign)), (fn(joints), fn(signs))
            self.normaliser.mirror = self.mirror[0]
        return self

    def prepare(self, chunks: Chunks, seed: int) -> None:
        """Let the head read what it needs when a run begins; see `Head.prepare`."""
        self.head.prepare(chunks, seed)
        if self.mirror:
            self.head.symmetrise(*self.mirror[1])

    def here(self) -> Self:
        """The policy itself if it is on the CPU, else a copy on the CPU."""
        return self if self.theta.device.type == "cpu" else copy.deepcopy(self).to("cpu")

    def features(self, obs: Tensor) -> Tensor:
        """Normalised observations [B, O] -> the head's input [B, F]."""
        return self.actor_trunk(self.seen(obs))

    def seen(self, obs: Tensor) -> Tensor:
        """The columns of observations that the actor observes."""
        return obs[..., : self.obs_size] if self.privileged else obs

    def params(self, obs: Tensor) -> Tensor:
        """Normalised observations [B, O] -> the head's params [B, ...].

        For a symmetric policy: the mean of the params and of the mirrored params for the mirrored observation. So a
        mirrored observation has exactly the mirrored params (Abdolhosseini et al. 2019, "On learning symmetric
        locomotion", section 3.4).
        """
        return self._symmetric(lambda seen: self.head(self.actor_trunk(seen)), obs)

    def _symmetric(self, answer: Callable[[Tensor], Tensor], obs: Tensor) -> Tensor:
        seen = self.seen(obs)
        if self.mirror is None:
            return answer(seen)
        (order, sign), (joints, signs) = self.mirror
        return 0.5 * (answer(seen) + self.head.mirror(answer(seen[..., order] * sign), joints, signs))

    def value(self, obs: Tensor) -> Tensor:
        """Normalised observations [B, O] -> V(s) [B], in units of the scaled reward."""
        return self.critic.value(self.critic(self.critic_trunk(obs)))

    def forward(self, obs: Tensor, choice: Tensor) -> Evaluation:
        """Normalised observations [B, O] and stored choices -> their Evaluation."""
        params = self.params(obs)
        return Evaluation(params, self.head.log_prob(params, choice), self.critic(self.critic_trunk(obs)))

    def evaluate(self, theta: Tensor, obs: Tensor, choice: Tensor) -> Evaluation:
        """`forward` with the weights `theta` [P], differentiable in them."""
        return self.at(theta, obs, choice)

    def distribution(self, theta: Tensor, obs: Tensor) -> Tensor:
        """`params` with the weights `theta` [P], differentiable in them: the actor's part of `evaluate`."""
        weights = self.unflatten(theta)

        def answer(seen: Tensor) -> Tensor:
            return _call(self.head, "head.", weights, _call(self.actor_trunk, "actor_trunk.", weights, seen))

        return self._symmetric(answer, obs)

    def criticise(self, theta: Tensor, obs: Tensor) -> Tensor:
        """The critic's output with the weights `theta` [P], differentiable in them: its part of `evaluate`."""
        weights = self.unflatten(theta)
        return _call(self.critic, "critic.", weights, _call(self.critic_trunk, "critic_trunk.", weights, obs))

    def respond(self, obs: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Raw observations [N, O] and the head's noise -> (actions [N, H, A], choice): a pure function of tensors."""
        choice = self.head.draw(self.params(self.normaliser(obs)), noise)
        return self.head.decode(choice), choice

    def act(self, obs: Tensor, rng: Generator | None) -> tuple[Tensor, Tensor]:
        """Raw observations [N, O] -> (actions [N, H, A], choice); the mode if `rng` is None."""
        if rng is not None:
            return self.respond(obs, self.head.noise(obs.shape[0], rng))
        choice = self.head.mode(self.params(self.normaliser(obs)))
        return self.head.decode(choice), choice

    @torch.no_grad()
    def widen(self, std: float, obs: Tensor) -> None:
        """Change the head's weights so that the policy has standard deviation `std`; see `Head.widen`.

        Args:
            std: in half-ranges, averaged over the states.
            obs: [B, O], raw observations of the states in which the width is measured.
        """
        obs = self.normaliser(obs)
        features, asked = self.features(obs), std
        for _ in range(WIDENINGS if self.mirror else 1):  # the mean with the mirrored params has another width
            self.head.widen(asked, features)
            asked *= std / max(float(self.head.width(self.params(obs))), 1e-6)

    @torch.no_grad()
    def draws(self, obs: Tensor, count: int, rng: Generator) -> Tensor:
        """Samples of the policy's action: raw observations [B, O] -> [count, B, A].

        For heads that emit chunks, the first action of each chunk.
        """
        params = self.params(self.normaliser(obs)).repeat_interleave(count, 0)
        first = self.head.decode(self.head.sample(params, rng))[:, 0]
        return first.unflatten(0, (len(obs), count)).transpose(0, 1)

    @torch.no_grad()
    def predict(self, obs: Any, deterministic: bool = True, seed: int | None = None) -> np.ndarray:
        """Actions for observations, as NumPy arrays within the task's bounds.

        Args:
            obs: one or N, not normalised, as the environment returns them: [*shapes.obs] or [N, *shapes.obs]; or flat.
            deterministic: the distribution's mode instead of a sample.
            seed: restart the sampling stream from this seed.

        Returns:
            float32 [*shapes.action] or [N, *shapes.action], as the environment takes them; for heads that emit chunks
            [..., horizon, *shapes.action]. Rounded to integers if the environment takes integers.

        Raises:
            ValueError: the observations have another shape.
        """
        if seed is not None:
            self._rng.manual_seed(seed)
        obs = torch.as_tensor(np.asarray(obs))
        shape, own, one = tuple(obs.shape), self.shapes, (self.shapes.obs, (self.obs_size,))
        if shape not in one and (not shape or shape[1:] not in one):
            raise ValueError(f"obs has shape {shape}: must be {own.obs} or (N, {', '.join(map(str, own.obs))})")
        action, _ = self.here().act(obs.reshape(-1, self.obs_size), None if deterministic else self._rng)
        action = action.round() if own.whole else action
        many = () if shape in one else shape[:1]
        return action.reshape(*many, *self.head.answer_shape[:-1], *own.action).numpy()


def _call(module: nn.Module, prefix: str, weights: dict[str, Tensor], inputs: Tensor) -> Tensor:
    return torch.func.functional_call(module, under(prefix, weights), (inputs,))
