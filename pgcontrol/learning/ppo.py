"""Proximal policy optimisation: epochs of minibatches of the clipped surrogate (Schulman et al. 2017)."""

import dataclasses
import math
from typing import Any, ClassVar

import torch
from torch import Generator, Tensor

from pgcontrol.learning.advantages import Estimate
from pgcontrol.learning.fitting import CriticFit, CriticOptions, critic_steps
from pgcontrol.learning.optimiser import Adam, GradientStep, Metrics, decayed, schedule
from pgcontrol.learning.rollout import Rollout
from pgcontrol.learning.rule import Rule, explained_variance, means, move, require_minibatch, require_ratio_one
from pgcontrol.learning.samples import Minibatch, Past, likelihood_ratio, samples_of
from pgcontrol.machine import trees
from pgcontrol.machine.tensors import named, under
from pgcontrol.measures.metric import Metric
from pgcontrol.options import InputError, option
from pgcontrol.policy import Evaluation

# Range of the adapted entropy coefficient. At a peak of the reward, where A ∝ 1 − z² with standard deviation 1, the
# gradient with respect to a Gaussian's log σ is E[A (z² − 1)] = −√2. The entropy bonus must be able to exceed this.
ENTROPY_COEFS = 1e-3, 3.0
# Fraction of samples outside the clip from which on the KL hardly grows with the step. In the trial that set this, a
# clip of 0.07 held the KL at half of what was asked with half of the samples outside; the step grew until the policy
# was destroyed.
BINDS = 0.3


class ClippedSurrogate(Rule):
    """PPO's clipped surrogate (Schulman et al. 2017, arXiv 1707.06347, eq. 7), the critic's loss and an entropy bonus.

    An update has epochs x minibatches steps: forward pass, gradient, clipping, Adam. A subclass with another
    `surrogate` is another rule of this kind.
    """

    metrics: ClassVar = {
        "drift": Metric("", "with reuse: mean |π before the update / π that sampled − 1| over all samples")
    }

    @dataclasses.dataclass(frozen=True)
    class Options(CriticOptions):
        learning_rate: float = option(3e-4, "initial step size of Adam", above=0)
        decay: str = option("linear", "decay of the step size to 0 over the run", choices=("linear", "none"))
        epochs: int = option(10, "passes over a rollout", least=1, most=1000)
        minibatch: int = option(256, "samples per gradient step", least=1, most=10**6)
        value_coef: float = option(0.5, "weight of the critic's loss", least=0)
        entropy_coef: float = option(0.0, "weight of the entropy bonus", least=0)
        entropy_target: float | None = option(None, "target entropy, in nats per joint; adapts the bonus; none: off")
        entropy_end: float | None = option(
            None, "entropy_target at the end of the run, reached linearly; none: constant"
        )
        entropy_penalty: bool = option(False, "also lower the entropy while it is above entropy_target")
        max_grad_norm: float = option(0.5, "largest norm of the gradient; a longer one is scaled down", above=0)
        normalise_advantage: bool = option(True, "scale a minibatch's advantages to mean 0, standard deviation 1")
        clip: float = option(0.2, "ε: clipping range of the ratio, [1 − ε, 1 + ε]", above=0)
        value_clip: float | None = option(None, "value-function clipping range; none: off", above=0)
        target_kl: float | None = option(None, "stop an update when KL exceeds 1.5 times this; none: off", above=0)
        recompute_advantage: bool = option(False, "recompute advantages and targets before each epoch")
        reuse: int = option(1, "M: number of rollouts that an update uses; the last one is new", least=1, most=100)
        adaptive_kl: float | None = option(
            None, "adapt the step size to keep approx_kl near this, less as the step decays; none: off", above=0
        )
        critic_epochs: int = option(
            0,
            "extra passes for the critic only, after the policy's; the only ones if value_coef is 0",
            least=0,
            most=1000,
        )
        critic_reuse: bool = option(False, "with reuse: the critic's own passes use the older rollouts, too")

    def set_up(self) -> None:
        policy, options = self.policy, self.options
        self.ranks.require_even("algorithm.minibatch", options.minibatch)
        super().set_up()
        # weights of the entropy bonus and of the penalty; they change if there is a target
        self.entropy_coef = torch.tensor(options.entropy_coef, dtype=torch.float64)
        self.entropy_penalty = torch.zeros((), dtype=torch.float64)
        if options.entropy_target is not None:
            self.entropy_coef.clamp_(*ENTROPY_COEFS)
        if options.entropy_penalty:
            self.entropy_penalty.clamp_(*ENTROPY_COEFS)
        # factor of the adaptive step size, between 1/100 and 100
        self.scale = torch.ones((), dtype=torch.float64)
        self.step = GradientStep(
            policy,
            self.loss,
            options.max_grad_norm,
            compilation=self.compilation,
            rows=options.minibatch,
            ranks=self.ranks,
        )
        self.critic_fit = CriticFit(policy, options, self.compilation) if options.critic_epochs else None
        self.past: Past | None = None
        if options.reuse > 1:
            if self.estimator is None or not self.estimator.corrects():
                what = f"estimator {type(self.estimator).__name__} cannot correct for older policies"
                raise InputError(f"algorithm.reuse = {options.reuse}: {what}; set it to 1")
            self.past = Past(policy, self.estimator, options.reuse - 1)

    @classmethod
    def stored(cls, options: Any) -> tuple[str, ...]:
        """Older rollouts hold discounts."""
        return ("gamma",) if options.reuse > 1 else ()

    @classmethod
    def check(cls, options: Any, samples: int) -> None:
        """The minibatch must fit into the rollout. Recomputed advantages exist only for the newest rollout."""
        require_minibatch(options, samples)
        if options.entropy_end is not None and options.entropy_target is None:
            raise InputError(f"algorithm.entropy_end = {options.entropy_end}: set entropy_target, from which it begins")
        if options.entropy_penalty and options.entropy_target is None:
            raise InputError("algorithm.entropy_penalty = True: set entropy_target, above which the entropy is lowered")
        if options.reuse > 1 and options.recompute_advantage:
            raise InputError(f"algorithm.reuse = {options.reuse}: cannot be combined with recompute_advantage")

    @classmethod
    def gradient_steps(cls, options: Any, samples: int) -> int:
        """Epochs x whole minibatches, and those of the critic's own passes."""
        fitted = samples * (options.reuse if options.critic_reuse else 1)
        return options.epochs * (options.reuse * samples // options.minibatch) + critic_steps(options, fitted)

    @classmethod
    def memory(cls, options: Any, samples: int, total_steps: int, obs_size: int) -> int:
        """Bytes of the older rollouts: as stored, with current values, and in the batch of the update."""
        return (options.reuse - 1) * samples * (4 * 7 * obs_size + 200)

    def update(self, rollout: Rollout, estimate: Estimate, progress: float, rng: Generator) -> dict[str, float]:
        """Run epochs of shuffled minibatches; see `Rule.update`."""
        options = self.options
        rate = decayed(options, progress) * self.scale
        samples = self.samples(rollout, estimate)
        theta, adam, history = self.descend(rollout, samples, rate, rng)
        metrics = means(history)
        # before the first step, the weights are those that sampled
        require_ratio_one(history[0].of("ratio_error"), self.compilation)
        fitted: dict[str, float] = {}
        if self.critic_fit:
            newest = rollout.obs.flatten(0, 1), estimate.target.flatten()
            fit_to = (samples.obs, samples.target) if options.critic_reuse else newest
            theta, fitted = self.critic_fit.fit(theta, *fit_to, rng)
        move(self.policy, theta)
        self.adam = adam
        if "entropy_loss" not in metrics:
            metrics["entropy_loss"] = -float(self.policy.head.entropy(rollout.subsample(rollout.params)).mean())
        metrics |= self.adjust(metrics, progress) | {"learning_rate": float(rate), "n_updates": int(adam.steps)}
        metrics["explained_variance"] = explained_variance(rollout.value, estimate.target)
        if self.past and samples.drift is not None:
            self.past.add(rollout)
            metrics["drift"] = float((samples.drift - 1).abs().mean())
        return {f"train/{name}": value for name, value in metrics.items()} | fitted

    def samples(self, rollout: Rollout, estimate: Estimate) -> Minibatch:
        """The samples of an update: those of the rollout, and of the older rollouts that are kept."""
        batch = samples_of(rollout, estimate)
        if self.past is not None:
            batch, old = batch._replace(drift=torch.ones_like(batch.log_prob)), self.past.samples(rollout)
            batch = batch if old is None else trees.cat(batch, old)
        even = len(batch.obs) // self.ranks.size * self.ranks.size  # without masked rows, it may not be
        return trees.each(lambda x: x[:even], batch)

    def descend(
        self, rollout: Rollout, samples: Minibatch, rate: Tensor, rng: Generator
    ) -> tuple[Tensor, Adam, list[Metrics]]:
        """Returns new weights [P], Adam's new state, and the metrics of each step.

        Stops before the step of a minibatch whose KL exceeds 1.5 times the target.
        """
        options, theta, adam, history = self.options, self.policy.theta, self.adam, list[Metrics]()
        weight = self.entropy_coef - self.entropy_penalty
        for epoch in range(options.epochs):
            if options.recompute_advantage and epoch:
                samples = self.recomputed(rollout, samples, theta)
            order = torch.randperm(len(samples.obs), generator=rng)
            for batch in trees.split(trees.rows(samples, order), options.minibatch):
                if self.ranks.size > 1:  # with the moments of the whole minibatch: the loss sees only a part
                    batch = batch._replace(advantage=self.normalised(batch))
                after, moments, metrics = self.step(theta, adam, rate, batch, weight)
                history.append(metrics)
                if options.target_kl is not None and metrics.of("approx_kl") > 1.5 * options.target_kl:
                    return theta, adam, history
                theta, adam = after, moments
        return theta, adam, history

    def loss(self, theta: Tensor, batch: Minibatch, entropy_coef: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The total loss of a minibatch for weights `theta` [P], and its terms."""
        new = self.policy.evaluate(theta, batch.obs, batch.choice)
        advantage = self.normalised(batch) if self.ranks.size == 1 else batch.advantage
        policy_loss, measured = self.surrogate(new, batch, advantage)
        loss, named = policy_loss, {"policy_gradient_loss": policy_loss}
        if self.options.value_coef:  # else the critic learns in its own passes only, or not at all
            named["value_loss"] = self.value_loss(new, batch).mean()
            loss = loss + self.options.value_coef * named["value_loss"]
        # without an entropy bonus, `update` measures it on a part of the rollout: it is slow without a closed form
        if self.options.entropy_coef or self.options.entropy_target is not None:
            named["entropy_loss"] = -self.policy.head.entropy(new.params).mean()
            loss = loss + entropy_coef.float() * named["entropy_loss"]
        if batch.prior is not None and batch.prior_weight is not None:
            kl = self.policy.head.kl(new.params, batch.prior)
            named["kl_prior"] = kl.mean()
            loss = loss + (batch.prior_weight * kl).mean()
        return loss, named | measured

    def normalised(self, batch: Minibatch) -> Tensor:
        """Advantages [B] of a minibatch, normalised if `normalise_advantage` is set."""
        advantage = batch.advantage
        if not self.options.normalise_advantage or len(advantage) < 2:
            return advantage
        if batch.drift is None:
            std, mean = torch.std_mean(advantage)
        else:  # moments under the current policy
            std, mean = torch.std_mean(batch.drift * advantage)
            mean = mean / batch.drift.mean()
        return (advantage - mean) / (std + 1e-8)

    def surrogate(self, new: Evaluation, batch: Minibatch, advantage: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """−E[min(ratio·A, clip(ratio, 1−ε, 1+ε)·A)], and metrics of the change of the policy in this update.

        For older rollouts, the ratio is relative to the policy that sampled them, and the clipping range is centred at
        the drift, the ratio of the policy at the start of the update (GePPO with uniform weights: Queeney et al. 2021,
        arXiv 2111.00072, where ε is 2 / (M + 1) of PPO's, because the changes of M rollouts add up).

        The metrics include `approx_kl`, which `target_kl` and `adaptive_kl` use, and `ratio_error`, the largest
        |ratio − 1|.
        """
        clip, log_ratio = self.options.clip, new.log_prob - batch.log_prob
        moved = ratio = likelihood_ratio(log_ratio)
        centre: Any = 1.0
        if batch.drift is not None:
            centre, ratio = batch.drift, batch.drift * moved
        gain = torch.minimum(ratio * advantage, ratio.clamp(centre - clip, centre + clip) * advantage)
        with torch.no_grad():
            # k3 of Schulman 2020, "Approximating KL divergence": unbiased and never negative
            approx_kl = (centre * (moved - 1 - log_ratio)).mean()
            clipped = ((ratio - centre).abs() > clip).float().mean()
            error = (moved - 1).abs().max()
        return -gain.mean(), {"approx_kl": approx_kl, "clip_fraction": clipped, "ratio_error": error}

    def value_loss(self, new: Evaluation, batch: Minibatch) -> Tensor:
        """The critic's loss [B]. It has no gradient where the value has moved beyond the clip towards the target.

        The gradient equals that of max(loss(V), loss(V_old + clip(V − V_old, ±ε))) in Schulman's PPO code. This form
        only needs the value of the critic's output, so it works for every critic.
        """
        loss = self.policy.critic.loss(new.critic, batch.target)
        if self.options.value_clip is None:
            return loss
        value, clip = self.policy.critic.value(new.critic), self.options.value_clip
        moved = value - batch.value
        held = batch.value + moved.clamp(-clip, clip)
        further = (held - batch.target).abs() > (value - batch.target).abs()
        # within the clip, `held` equals `value` except for rounding, which must not decide
        return torch.where(further & (moved.abs() > clip), loss.detach(), loss)

    @torch.no_grad()
    def recomputed(self, rollout: Rollout, samples: Minibatch, theta: Tensor) -> Minibatch:
        """The samples with advantages of the current critic (Andrychowicz et al. 2021, section 3.5)."""
        critic = self.policy.critic
        value, after = rollout.values(lambda obs: critic.value(self.policy.criticise(theta, obs)))
        assert self.estimator is not None
        advantage, target = dataclasses.replace(rollout, value=value, next_value=after).estimate(self.estimator)
        advantage, target = (x[~rollout.masked][: len(samples.obs)] for x in (advantage, target))
        return samples._replace(advantage=advantage, target=target)

    def adjust(self, metrics: dict[str, float], progress: float) -> dict[str, float]:
        """Adapt the step size and the weight of the entropy for the next update. Returns the current weight.

        Step size: by a factor of 1.5 if the KL is more than twice or less than half of what is asked, as Schulman et
        al. 2017 (section 4) adapt the weight of a KL penalty. What is asked falls with the square of the scheduled
        step, as the KL does; otherwise the scale would undo the decay. The step does not grow while the clip binds,
        because it could not reach the KL and would destroy the policy.

        Weight of the entropy: by a factor of at most e^0.5, in proportion to what is missing; the factor was chosen by
        hand.
        """
        options, row = self.options, dict[str, float]()
        if options.adaptive_kl is not None:
            asked = options.adaptive_kl * schedule(options, progress) ** 2
            if metrics["approx_kl"] > 2 * asked:
                self.scale = (self.scale / 1.5).clamp_min(0.01)
            elif metrics["approx_kl"] < 0.5 * asked and metrics.get("clip_fraction", 0) < BINDS:
                self.scale = (self.scale * 1.5).clamp_max(100)
        if options.entropy_target is not None:
            row["entropy_coef"] = float(self.entropy_coef - self.entropy_penalty)
            end = options.entropy_target if options.entropy_end is None else options.entropy_end
            target = options.entropy_target + progress * (end - options.entropy_target)
            short = target + metrics["entropy_loss"] / self.policy.head.joints
            factor = math.exp(0.5 * max(-1, min(1, short)))  # per update at most e^±0.5
            self.entropy_coef = (self.entropy_coef * factor).clamp(*ENTROPY_COEFS)
            if options.entropy_penalty:
                self.entropy_penalty = (self.entropy_penalty / factor).clamp(*ENTROPY_COEFS)
        return row

    def state(self) -> dict[str, Tensor]:
        """States of Adam and the critic's Adam, the weights of the entropy, the adaptive scale, and older rollouts."""
        critic = self.critic_fit.state() if self.critic_fit else {}
        past = named("memory.", self.past.state() if self.past else {})
        return super().state() | {name: getattr(self, name) for name in self.adapted()} | critic | past

    def adapted(self) -> list[str]:
        """What the options that are on adapt: attributes."""
        options = self.options
        entropy = ["entropy_coef"] + ["entropy_penalty"] * options.entropy_penalty
        return entropy * (options.entropy_target is not None) + ["scale"] * (options.adaptive_kl is not None)

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Restore from a checkpoint. Raises ValueError if the shapes of the weights differ.

        What an option adapts is restored only while the option is on; a resumed run may have changed it.
        """
        super().load_state(state)
        for name in self.adapted():
            if name in state:
                setattr(self, name, state[name].clone())
        if self.critic_fit:
            self.critic_fit.load_state(state)
        if self.past:
            self.past.load_state(under("memory.", state))
