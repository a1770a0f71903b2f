"""Relative entropy pathwise policy optimisation (REPPO, Voelcker et al. 2025, arXiv 2507.11019).

The gradient does not come from the score function, but through a Q-function that is learned from the policy's own
rollouts: ∇J = E[∇_a Q(s, a) ∇_θ a(θ, noise)]. Two constraints keep the step small enough for that Q: the entropy stays
near a target, and KL(old || new) stays below a limit. Their multipliers α and β adapt.

The Q-function has residual blocks with layer normalisation and is trained with HL-Gauss. Left out here: the authors'
auxiliary loss, which predicts the features of the next state.
"""

import math
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Generator, Tensor, nn

from pgcontrol.critics.hl_gauss import HLGauss
from pgcontrol.flat import Flat
from pgcontrol.heads.base import Head
from pgcontrol.learning.advantages import Estimate, gae
from pgcontrol.learning.optimiser import GradientStep, Metrics, decayed, fresh_adam
from pgcontrol.learning.rollout import Rollout
from pgcontrol.learning.rule import Rule, means, move, require_minibatch
from pgcontrol.machine import trees
from pgcontrol.machine.tensors import named
from pgcontrol.machine.threads import seeded
from pgcontrol.measures.metric import Metric
from pgcontrol.options import option
from pgcontrol.policy import Policy
from pgcontrol.trunks.residual_layernorm import ResidualLayerNorm

BLOCKS = 2
MULTIPLIERS = 1e-4, 1e4  # range of α and β


class QFunction(Flat):
    """Q(s, a) of normalised observations [B, O] and actions in half-ranges [B, H·A]: logits [B, K]."""

    def __init__(self, obs: int, actions: int, width: int):
        super().__init__()
        self.trunk = ResidualLayerNorm(obs + actions, (width,) * BLOCKS, ResidualLayerNorm.Options())
        self.critic = HLGauss(width, HLGauss.Options())
        self.flatten_weights()

    def forward(self, obs: Tensor, action: Tensor) -> Tensor:
        return self.critic(self.trunk(torch.cat((obs, action), -1)))


class PolicyAndQ(nn.Module):
    """A policy and its Q-function, as one set of weights [P + Q] for one optimiser."""

    def __init__(self, policy: Policy, q: QFunction):
        super().__init__()
        self.policy, self.q = policy, q

    @property
    def theta(self) -> Tensor:
        """A copy of the weights, [P + Q]."""
        return torch.cat((self.policy.theta, self.q.theta))

    @property
    def rates(self) -> Tensor | None:
        """See `Policy.rates`."""
        own = self.policy.rates
        return None if own is None else torch.cat((own, torch.ones_like(self.q.theta)))

    def split(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        """The policy's part [P] and the Q-function's part [Q]."""
        return theta.tensor_split((self.policy.theta.numel(),))  # pyright: ignore[reportReturnType]


class ActionSamples(NamedTuple):
    """B samples.

    Attributes:
        obs: [B, O], normalised.
        action: [B, H·A], the executed actions in half-ranges.
        target: [B], the soft return from this action on.
        params: [B, ...], params of the policy that acted.
        noise: [B, ...], the head's noise for a new action.
    """

    obs: Tensor
    action: Tensor
    target: Tensor
    params: Tensor
    noise: Tensor


class Pathwise(Rule):
    """Each gradient step fits Q to the soft λ-returns, and moves the policy along the gradient of Q."""

    heeds_prior = False
    metrics: ClassVar = {"kl_coef": Metric("", "reppo: weight of KL(old || new) in states where it exceeds the limit")}

    @dataclass(frozen=True)
    class Options:
        learning_rate: float = option(3e-4, "initial step size of Adam, for the policy and Q", above=0)
        decay: str = option("linear", "decay of the step size to 0 over the run", choices=("linear", "none"))
        epochs: int = option(8, "passes over a rollout", least=1, most=1000)
        minibatch: int = option(256, "samples per gradient step", least=1, most=10**6)
        max_grad_norm: float = option(0.5, "largest norm of the gradient; a longer one is scaled down", above=0)
        q_width: int = option(128, "width of the two residual blocks of Q (the paper: 512)", least=1, most=10**4)
        q_lambda: float = option(0.95, "λ of the Q-function's targets: 0 one step, 1 Monte Carlo", least=0, most=1)
        entropy_target: float = option(-0.5, "target entropy, in nats per joint; adapts the multiplier α")
        entropy_coef: float = option(0.01, "initial α, weight of the entropy", above=0)
        target_kl: float = option(0.1, "limit of KL(old || new) in a state, in nats; adapts the multiplier β", above=0)
        kl_coef: float = option(0.01, "initial β, weight of the KL in states beyond the limit", above=0)
        multiplier_rate: float = option(3e-4, "largest change of log α and log β in a gradient step", least=0)

    def set_up(self) -> None:
        policy, options, head = self.policy, self.options, self.policy.head
        # the policy's initial weights depend only on the run's seed, so these do, too
        with seeded(int(policy.theta.view(torch.int32).sum())):
            self.q = QFunction(policy.normaliser.mean.numel(), head.horizon * head.joints, options.q_width)
        self.both = PolicyAndQ(policy, self.q)
        self.adam = fresh_adam(self.both)
        # log α and log β
        self.multipliers = torch.tensor([options.entropy_coef, options.kl_coef], dtype=torch.float64).log()
        self.step = GradientStep(
            self.both, self.loss, options.max_grad_norm, compilation=self.compilation, rows=options.minibatch
        )

    @classmethod
    def check(cls, options: Any, samples: int) -> None:
        require_minibatch(options, samples)

    @classmethod
    def trains(cls, head: type[Head]) -> bool:
        """Heads whose actions are differentiable."""
        return head.pathwise

    @classmethod
    def gradient_steps(cls, options: Any, samples: int) -> int:
        """Epochs x whole minibatches."""
        return options.epochs * (samples // options.minibatch)

    def loss(self, theta: Tensor, batch: ActionSamples, weights: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The policy's loss, where Q is fixed, plus the cross-entropy of Q.

        −(Q(s, a) + α H(s)) where KL(old || new) is below the limit, and β KL elsewhere (section 3.3, in the form with a
        clipped objective). `theta` [P + Q]: weights. `weights` [2]: α and β.
        """
        own, q_weights = self.both.split(theta)
        head, critic = self.policy.head, self.q.critic
        params = self.policy.distribution(own, batch.obs)
        q = critic.value(self.q.at(q_weights.detach(), batch.obs, self.played(head.draw(params, batch.noise))))
        entropy, kl = head.entropy(params), head.kl(batch.params, params)
        alpha, beta = weights.float()
        gain = torch.where(kl < self.options.target_kl, q + alpha * entropy, -beta * kl).mean()
        error = critic.loss(self.q.at(q_weights, batch.obs, batch.action), batch.target).mean()
        measured = {"policy_gradient_loss": -gain, "value_loss": error, "q_value": q.mean()}
        return error - gain, measured | {"entropy_loss": -entropy.mean(), "approx_kl": kl.mean()}

    def played(self, choice: Tensor) -> Tensor:
        """The actions of choices [B, ...] in half-ranges, [B, H·A]."""
        return self.policy.head.to_unit(self.policy.head.decode(choice)).flatten(1)

    @torch.no_grad()
    def targets(self, rollout: Rollout, alpha: float, rng: Generator) -> Tensor:
        """Soft λ-returns of the actions, [T, N] (section 3.1: SAC's soft Q in the form of TD(λ)).

        G_t = r_t + discount_t [(1 − λ) V(s_{t+1}) + λ (G_{t+1} − α log π(a_{t+1}))], with V(s) = Q(s, a) − α log π(a)
        for a new sample a. This is GAE with V for the rewards r_t − α log π(a_t).
        """
        policy, head = self.policy, self.policy.head

        def soft_value(obs: Tensor) -> Tensor:
            params = policy.params(obs)
            choice = head.draw(params, head.noise(len(obs), rng))
            q = self.q.critic.value(self.q(obs, self.played(choice)))
            return q - alpha * head.log_prob(params, choice)

        value, after = rollout.values(soft_value)
        own = alpha * rollout.log_prob
        seen = rollout.trajectories()._replace(reward=rollout.reward - own, value=value, next_value=after)
        return gae(seen, self.options.q_lambda) + value + own

    def update(self, rollout: Rollout, estimate: Estimate, progress: float, rng: Generator) -> dict[str, float]:
        """Run epochs of shuffled minibatches; see `Rule.update`. The estimate is not used."""
        options, head, rate = self.options, self.policy.head, decayed(self.options, progress)
        made = self.targets(rollout, float(self.multipliers[0].exp()), rng)
        played, unused = self.played(rollout.choice.flatten(0, 1)), torch.zeros_like(rollout.log_prob)
        samples = ActionSamples(rollout.obs, played.unflatten(0, made.shape), made, rollout.params, unused)
        samples = trees.rows(samples, ~rollout.masked)
        self.q.critic.adapt(samples.target)
        theta, adam, multipliers, history = self.both.theta, self.adam, self.multipliers, list[Metrics]()
        for _ in range(options.epochs):
            order = torch.randperm(len(samples.obs), generator=rng)
            for batch in trees.split(trees.rows(samples, order), options.minibatch):
                batch = batch._replace(noise=head.noise(len(batch.obs), rng))
                theta, adam, metrics = self.step(theta, adam, rate, batch, multipliers.exp())
                multipliers = self.adjusted(multipliers, metrics)
                history.append(metrics)
        row = means(history)
        own, q_weights = self.both.split(theta)
        move(self.policy, own)
        self.q.theta.copy_(q_weights)
        self.adam, self.multipliers = adam, multipliers
        row |= dict(zip(("entropy_coef", "kl_coef"), multipliers.exp().tolist(), strict=True))
        row |= {"learning_rate": float(rate), "n_updates": int(adam.steps)}
        return {f"train/{name}": value for name, value in row.items()}

    def adjusted(self, multipliers: Tensor, metrics: Metrics) -> Tensor:
        """log α and log β after a step: α grows below the target entropy, β beyond the limit of the KL."""
        options = self.options
        short = options.entropy_target + metrics.of("entropy_loss") / self.policy.head.joints
        beyond = metrics.of("approx_kl") / options.target_kl - 1
        change = options.multiplier_rate * torch.tensor([short, beyond], dtype=torch.float64).clamp(-1, 1)
        low, high = MULTIPLIERS
        return (multipliers + change).clamp(math.log(low), math.log(high))

    def state(self) -> dict[str, Tensor]:
        """States of Adam and the multipliers, the weights of Q and its support."""
        return super().state() | {"multipliers": self.multipliers} | named("q.", self.q.state_dict())

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Restore from a checkpoint. Raises ValueError if the shapes of the weights differ."""
        super().load_state(state)
        self.multipliers = state["multipliers"].clone()
        for name, tensor in self.q.state_dict().items():
            tensor.copy_(state[f"q.{name}"])
