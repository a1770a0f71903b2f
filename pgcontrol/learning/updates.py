"""Update rules: how advantages become new weights. A rule owns its step and its optimiser's state."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Generator, Tensor

from pgcontrol.learning.optimiser import Adam, adam_step, clipped, decayed, fresh_adam, load_adam
from pgcontrol.learning.rollout import Rollout
from pgcontrol.machine.compiler import Graph
from pgcontrol.options import InputError, option
from pgcontrol.policy import Evaluation, Policy


class Minibatch(NamedTuple):
    """B samples of a rollout."""

    obs: Tensor
    choice: Tensor
    log_prob: Tensor
    advantage: Tensor
    target: Tensor
    value: Tensor
    """The critic's before the update."""
    prior: Tensor | None = None
    """The prior's params, where there is a prior."""
    pull: Tensor | None = None
    """What a nat of KL(policy || prior) costs there, [B]."""


class Diverged(RuntimeError):
    """A number stopped being finite; the message names the first one that did."""


class Rule:
    """`update(policy, rollout, advantage, target, progress, rng) -> metrics`, and a state to checkpoint.

    Subclasses say `Options` (a frozen dataclass: what the rule adds to `--algorithm.X`).
    """

    Options: ClassVar[type]
    heeds_prior: ClassVar[bool] = True
    """Whether what the rollout says of a prior counts in `update`."""
    estimate: Callable[[Rollout], tuple[Tensor, Tensor]] | None = None
    """How advantages and targets [T, N] come from a rollout: given by the trainer, for rules that ask again."""

    def __init__(self, policy: Policy, options: Any, compiled: bool = False):
        """`compiled`: run as a compiled graph what the rule can; otherwise, and by default, as it is."""
        self.policy = policy
        self.options = options
        self.compiled = compiled

    @classmethod
    def check(cls, options: Any, samples: int) -> None:
        """Refuse options that cannot work on rollouts of `samples` choices, before anything is made.

        Raises:
            InputError: one line that names the option.
        """

    @classmethod
    def gradient_steps(cls, options: Any, samples: int) -> int:
        """How often an update runs the step that can be compiled; 0 when there is none."""
        return 0

    def update(
        self, rollout: Rollout, advantage: Tensor, target: Tensor, progress: float, rng: Generator
    ) -> dict[str, float]:
        """Improve the policy in place.

        Args:
            rollout: T x N choices made by the policy as it is.
            advantage, target: [T, N], the estimator's.
            progress: share of the run's budget used, in [0, 1), for schedules.
            rng: for the order of minibatches.

        Returns:
            metrics by their logged names.

        Raises:
            Diverged: something became infinite or NaN; the policy is left as it was.
        """
        raise NotImplementedError

    def state(self) -> dict[str, Tensor]:
        """Tensors to checkpoint; those named `memory.…`, for a resume alone, only in a run's newest."""
        return {}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Continue from a checkpoint's tensors."""


@dataclass(frozen=True)
class FirstOrderOptions:
    """Epochs of minibatches with Adam."""

    learning_rate: float = option(3e-4, "Adam's step size at the start", above=0)
    decay: str = option("linear", "how the step size goes to 0 over the run", choices=("linear", "none"))
    epochs: int = option(10, "passes over a rollout", least=1)
    minibatch: int = option(256, "samples a gradient step", least=1)
    value_coef: float = option(0.5, "weight of the critic's loss", least=0)
    entropy_coef: float = option(0.0, "weight of the entropy bonus", least=0)
    entropy_target: float | None = option(
        None,
        "nats a joint; the weight of the bonus grows while entropy is below this and shrinks above; none: it stays",
    )
    max_grad_norm: float = option(0.5, "the whole gradient is scaled down to this norm", above=0)
    normalise_advantage: bool = option(True, "advantages of a minibatch get mean 0 and deviation 1")


ENTROPY_COEFS = 1e-3, 3.0
"""Between which the entropy's weight moves. At a peak of reward, A ∝ 1 − z² of deviation 1, the pull on a Gaussian's
log σ is E[A (z² − 1)] = −√2: what holds against it must be able to exceed that."""


class FirstOrder(Rule):
    """Epochs x minibatches of one functional step: forward, gradient, clip, Adam.

    The step is a pure function of tensors, the same for every head, and runs as it is or as one compiled graph.
    Subclasses give `surrogate`, the policy's loss.
    """

    Options = FirstOrderOptions

    def __init__(self, policy: Policy, options: Any, compiled: bool = False):
        super().__init__(policy, options, compiled)
        self.adam = fresh_adam(policy)
        self.entropy_coef = torch.tensor(options.entropy_coef, dtype=torch.float64)
        """Weight of the entropy bonus; moves where there is a target."""
        if options.entropy_target is not None:
            self.entropy_coef.clamp_(*ENTROPY_COEFS)
        self._metrics: list[str] = []
        self._whole = Graph(self._step, list(policy.buffers())) if compiled else self._step

    @classmethod
    def check(cls, options: Any, samples: int) -> None:
        """The minibatch must fit into the rollout."""
        if options.minibatch > samples:
            raise InputError(
                f"algorithm.minibatch = {options.minibatch}: must be at most the rollout's"
                f" num_envs x rollout_steps = {samples} samples"
            )

    @classmethod
    def gradient_steps(cls, options: Any, samples: int) -> int:
        """Epochs x whole minibatches."""
        return options.epochs * (samples // options.minibatch)

    def surrogate(self, new: Evaluation, batch: Minibatch, advantage: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The policy's loss (a scalar) and its metrics, among them `ratio_error`, the largest |ratio − 1|."""
        raise NotImplementedError

    def value_loss(self, new: Evaluation, batch: Minibatch) -> Tensor:
        """The critic's loss, [B]."""
        return self.policy.critic.loss(new.critic, batch.target)

    def rate(self, progress: float) -> float:
        """Adam's step size in this update."""
        return decayed(self.options, progress)

    def begin_epoch(self, epoch: int, theta: Tensor, rollout: Rollout, samples: list[Tensor]) -> list[Tensor]:
        """The rollout's samples [B, ...] in Minibatch's order, as this epoch is to see them."""
        return samples

    def enough(self, metric: Callable[[str], float]) -> bool:
        """Whether to end the update at weights that gave these metrics, before their step is taken."""
        return False

    def loss(
        self, theta: Tensor, batch: Minibatch, entropy_coef: Tensor | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Whole loss of a minibatch under weights `theta` [P], with its metrics."""
        entropy_coef = self.entropy_coef if entropy_coef is None else entropy_coef
        new = self.policy.evaluate(theta, batch.obs, batch.choice)
        advantage = batch.advantage
        if self.options.normalise_advantage and len(advantage) > 1:
            std, mean = torch.std_mean(advantage)
            advantage = (advantage - mean) / (std + 1e-8)
        policy_loss, metrics = self.surrogate(new, batch, advantage)
        value_loss = self.value_loss(new, batch).mean()
        loss = policy_loss + self.options.value_coef * value_loss
        named = {"policy_gradient_loss": policy_loss, "value_loss": value_loss}
        # else it is told of the rollout: heads without a closed form work hard for it
        if self.options.entropy_coef or self.options.entropy_target is not None:
            named["entropy_loss"] = -self.policy.head.entropy(new.params).mean()
            loss = loss + entropy_coef.float() * named["entropy_loss"]
        if batch.prior is not None and batch.pull is not None:
            kl = self.policy.head.kl(new.params, batch.prior)
            named["kl_prior"] = kl.mean()
            loss = loss + (batch.pull * kl).mean()
        metrics = {"loss": loss} | named | metrics
        return loss, {name: metric.detach() for name, metric in metrics.items()}

    def _step(self, theta: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
        """(theta, *Adam, (rate, entropy's weight), *Minibatch) -> (theta, *Adam, metrics): plain, to be compiled."""
        adam, (rate, entropy_coef), batch = Adam(*rest[:3]), rest[3].unbind(), Minibatch(*rest[4:])
        leaf = theta.detach().requires_grad_()
        with torch.enable_grad():
            loss, metrics = self.loss(leaf, batch, entropy_coef)
            (gradient,) = torch.autograd.grad(loss, leaf)
        gradient, norm = clipped(gradient, self.options.max_grad_norm)
        step, adam = adam_step(gradient, adam, rate)
        metrics = metrics | {"grad_norm": norm}
        self._metrics = list(metrics)
        return theta - self.policy.scaled(step), *adam, torch.stack([x.float() for x in metrics.values()])

    def update(
        self, rollout: Rollout, advantage: Tensor, target: Tensor, progress: float, rng: Generator
    ) -> dict[str, float]:
        """Epochs of shuffled minibatches; see `Rule.update`."""
        options, rate = self.options, self.rate(progress)
        knobs = torch.stack((torch.tensor(rate, dtype=torch.float64), self.entropy_coef))
        samples = [rollout.obs, rollout.choice, rollout.log_prob, advantage, target, rollout.value]
        if rollout.prior is not None:
            samples += [rollout.prior, torch.full_like(rollout.log_prob, rollout.pull)]
        samples = [x.flatten(0, 1) for x in samples]
        state, history, over = [self.policy.theta, *self.adam], list[Tensor](), False
        for epoch in range(options.epochs):
            if over:
                break
            samples = self.begin_epoch(epoch, state[0], rollout, samples)
            order = torch.randperm(len(samples[0]), generator=rng)
            for batch in zip(*(_split(x[order], options.minibatch) for x in samples), strict=True):
                # a last, smaller minibatch would have to be compiled for itself
                step = self._whole if len(batch[0]) == options.minibatch else self._step
                *after, metrics = step(*state, knobs, *batch)
                history.append(metrics)
                if over := self.enough(lambda name, row=metrics: float(row[self._metrics.index(name)])):
                    break
                state = after
        table, names = torch.stack(history), self._metrics
        theta, adam = state[0], Adam(*state[1:])
        require_finite_metrics(table, names)
        require_finite_weights(self.policy, theta)
        # before the first step the weights are those that chose
        require_ratio_one(float(table[0, names.index("ratio_error")]))
        self.policy.theta.copy_(theta)
        self.adam = adam
        means = dict(zip(names, table.mean(0).tolist(), strict=True))
        if "entropy_loss" not in means:
            means["entropy_loss"] = -float(self.policy.head.entropy(rollout.glance(rollout.params)).mean())
        if options.entropy_target is not None:
            means["entropy_coef"] = float(self.entropy_coef)
            short = options.entropy_target + means["entropy_loss"] / self.policy.head.joints
            # at most by a factor of e^±0.5 an update
            self.entropy_coef = (self.entropy_coef * math.exp(0.5 * max(-1, min(1, short)))).clamp(*ENTROPY_COEFS)
        return {f"train/{k}": v for k, v in means.items()} | {
            "train/learning_rate": rate,
            "train/n_updates": int(adam.steps),
            "train/explained_variance": explained_variance(rollout.value, target),
        }

    def state(self) -> dict[str, Tensor]:
        """Adam's moments and step count, and the entropy's weight."""
        return self.adam._asdict() | {"entropy_coef": self.entropy_coef}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Take Adam's state from a checkpoint; ValueError when it is that of other weights."""
        self.adam = load_adam(self.adam, state)
        self.entropy_coef = state.get("entropy_coef", self.entropy_coef).clone()  # older checkpoints had a fixed one


def _split(samples: Tensor, size: int) -> list[Tensor]:
    """Minibatches of samples [B, ...]; of indices with the samples innermost in memory.

    A compiled graph compares them with the numbers of bins or codes, many samples at a time; apart, it would collect
    them one by one for each of the numbers.
    """
    parts = samples.split(size)
    whole = samples.ndim == 1 or samples.is_floating_point()
    return list(parts) if whole else [part.movedim(0, -1).contiguous().movedim(-1, 0) for part in parts]


def require_ratio_one(error: float) -> None:
    """The weights that are about to move are those that chose; `error` is the largest |ratio − 1|.

    Raises:
        AssertionError: the head's `sample` and `log_prob` disagree.
    """
    if error > 1e-3:
        raise AssertionError(f"ratio off by {error} before the first step: log_prob and sample disagree")


def require_finite_metrics(table: Tensor, names: Sequence[str]) -> None:
    """The metrics [steps, names] of an update are numbers; Diverged names the first that is not."""
    if not table.isfinite().all():
        step, metric = (~table.isfinite()).nonzero()[0].tolist()
        raise Diverged(f"train/{names[metric]} became {table[step, metric]} in gradient step {step} of this update")


def require_finite_weights(policy: Policy, theta: Tensor) -> None:
    """New weights [P] are numbers; Diverged names the first that are not."""
    for name, weight in policy.unflatten(theta).items():
        if not weight.isfinite().all():
            raise Diverged(f"the weights {name} became infinite or NaN in this update")


class Clip(FirstOrder):
    """PPO's clipped surrogate (Schulman et al. 2017, arXiv 1707.06347, eq. 7)."""

    @dataclass(frozen=True)
    class Options(FirstOrderOptions):
        """Adds ε."""

        clip: float = option(0.2, "ε: the surrogate is flat once the ratio leaves [1 − ε, 1 + ε]", above=0)
        value_clip: float | None = option(
            None, "the critic stops once it has moved this far towards its target in an update; none: it may", above=0
        )
        target_kl: float | None = option(
            None, "an update ends once a minibatch's KL exceeds 1.5 times this; none: it does not", above=0
        )
        recompute_advantage: bool = option(False, "advantages and targets anew before each epoch, by the critic so far")
        adaptive_kl: float | None = option(
            None, "the step size is divided or multiplied by 1.5 when an update's KL is twice or half this", above=0
        )

    def __init__(self, policy: Policy, options: Any, compiled: bool = False):
        super().__init__(policy, options, compiled)
        self.scale = torch.ones((), dtype=torch.float64)
        """What the adaptive step size is of the one said, within 1/100 and 100."""

    def rate(self, progress: float) -> float:
        """As said, times the adaptive scale."""
        return super().rate(progress) * float(self.scale)

    def begin_epoch(self, epoch: int, theta: Tensor, rollout: Rollout, samples: list[Tensor]) -> list[Tensor]:
        """The advantages of the critic as it is by now (Andrychowicz et al. 2021, section 3.5), where wanted."""
        if not self.options.recompute_advantage or epoch == 0 or self.estimate is None:
            return samples
        with torch.no_grad():
            critic = self.policy.critic
            value, after = rollout.values(lambda obs: critic.value(self.policy.criticise(theta, obs)))
            advantage, target = self.estimate(dataclasses.replace(rollout, value=value, next_value=after))
        return [*samples[:3], advantage.flatten(), target.flatten(), *samples[5:]]

    def enough(self, metric: Callable[[str], float]) -> bool:
        """KL above 1.5 times the target."""
        return self.options.target_kl is not None and metric("approx_kl") > 1.5 * self.options.target_kl

    def value_loss(self, new: Evaluation, batch: Minibatch) -> Tensor:
        """The critic's loss; without gradient where its value has gone past the clip towards the target.

        The gradient is that of max(loss(V), loss(V_old + clip(V − V_old, ±ε))) of Schulman's PPO code, written so that
        it asks nothing of the critic's output but its value.
        """
        loss = super().value_loss(new, batch)
        if self.options.value_clip is None:
            return loss
        value = self.policy.critic.value(new.critic)
        moved = value - batch.value
        held = batch.value + moved.clamp(-self.options.value_clip, self.options.value_clip)
        return torch.where((held - batch.target).abs() > (value - batch.target).abs(), loss.detach(), loss)

    def update(
        self, rollout: Rollout, advantage: Tensor, target: Tensor, progress: float, rng: Generator
    ) -> dict[str, float]:
        """As `FirstOrder`, and then the next update's step size."""
        metrics = super().update(rollout, advantage, target, progress, rng)
        if self.options.adaptive_kl is not None:
            ratio = metrics["train/approx_kl"] / self.options.adaptive_kl
            self.scale = (self.scale * (1 / 1.5 if ratio > 2 else 1.5 if ratio < 0.5 else 1.0)).clamp(0.01, 100)
        return metrics

    def state(self) -> dict[str, Tensor]:
        """With the adaptive scale."""
        return super().state() | {"scale": self.scale}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """With the adaptive scale."""
        super().load_state(state)
        self.scale = state["scale"].clone()

    def surrogate(self, new: Evaluation, batch: Minibatch, advantage: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """−E[min(ratio·A, clip(ratio, 1−ε, 1+ε)·A)]."""
        clip = self.options.clip
        log_ratio = new.log_prob - batch.log_prob
        ratio = log_ratio.exp()
        gain = torch.minimum(ratio * advantage, ratio.clamp(1 - clip, 1 + clip) * advantage)
        with torch.no_grad():
            off = (ratio - 1).abs()
            metrics = {
                # k3 of Schulman 2020, "Approximating KL divergence": unbiased and never negative
                "approx_kl": (ratio - 1 - log_ratio).mean(),
                "clip_fraction": (off > clip).float().mean(),
                "ratio_error": off.max(),
            }
        return -gain.mean(), metrics


def explained_variance(value: Tensor, target: Tensor) -> float:
    """1 − Var(target − V) / Var(target): 1 is a perfect critic, 0 one no better than a constant."""
    spread = target.var()
    return float(1 - (target - value).var() / spread) if spread > 0 else float("nan")
