"""Mixture of diagonal Gaussians: several modes without bins."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Generator, Tensor, nn

from pgcontrol.heads import categorical, normal, quadrature
from pgcontrol.heads.base import Continuous, output_layer
from pgcontrol.heads.normal import Deviations
from pgcontrol.measures.metric import Metric
from pgcontrol.options import option


class Mixture(Continuous):
    """M diagonal Gaussians over all joints; weights, means and σ come from the trunk (Bishop 1994, section 3).

    params [B, M, 1 + 2A]: for each component the logit of its weight, its mean and log σ. The choice is the unclipped
    sample; `decode` clips. A component covers all joints, so joints can be correlated ("both left or both right").

    Entropy and KL have no closed form. By the chain rule over (component m, value x),
    H(x) = H(m) + H(x | m) − H(m | x) and KL(x) = KL(m, x) − E KL(posterior of m given x). All terms but the last are
    exact. The last is an average over fixed Sobol points of every component: it is bounded and smooth, and its error is
    0 when the components are far apart or all equal.

    With many joints the highest peak can be that of a narrow and improbable component, because a density grows with
    σ^−A. With `played` = component, `mode` is the mean of the component with the largest weight.
    """

    name = "mixture"
    mirrored_as = 2  # 1: each component was its own partner
    metrics: ClassVar = {"component_std": Metric("half-ranges", "mean σ of a mixture's components")}
    estimates: ClassVar = {"entropy": 0.03, "kl": 0.03}
    variants: ClassVar = ({"components": 1}, {"components": 2, "initial_spread": 1.0, "played": "component"})

    @dataclass(frozen=True)
    class Options(Deviations):
        """Adds the number of Gaussians, the spread of their initial means, and what is played."""

        components: int = option(4, "M: Gaussians in the mixture", least=1, most=64)
        played: str = option("mode", "played without sampling: mode or component", choices=("mode", "component"))
        initial_spread: float = option(0.3, "spread (σ) of the initial means, half-ranges; 0: all equal", least=0)

    def __init__(self, features: int, low: Tensor, high: Tensor, options: Options):
        super().__init__(features, low, high, options)
        self.components, self.limits = options.components, options.log_limits
        self.likeliest_mode = options.played == "mode"
        self.out = output_layer(features, self.components * (1 + 2 * self.joints))
        _, mean, log_std = self._split(self.out.bias.data.view(self.components, -1))
        if options.initial_spread:
            mean.normal_(0, options.initial_spread)
        log_std.fill_(math.log(options.initial_std))
        self.points = nn.Buffer(quadrature.normals(16, self.joints), persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        """[B, F] -> [B, M, 1 + 2A]."""
        params = self.out(features).unflatten(-1, (self.components, -1))
        return torch.cat((params[..., : -self.joints], normal.bounded(params[..., -self.joints :], *self.limits)), -1)

    def rates(self) -> dict[str, Tensor]:
        """The rate of those rows of the layer that compute σ."""
        rows = torch.ones(self.components, 1 + 2 * self.joints)
        rows[:, -self.joints :] = self.options.std_rate
        return {"out.weight": rows.view(-1, 1), "out.bias": rows.flatten()}

    @torch.no_grad()
    def widen(self, std: float, features: Tensor) -> None:
        """Set the same σ for every component in every state; means and weights do not change."""
        bias, weight = (w.unflatten(0, (self.components, -1)) for w in (self.out.bias, self.out.weight))
        bias[:, -self.joints :] = math.log(self.options.within(std))
        weight[:, -self.joints :] = 0.0

    def width(self, params: Tensor) -> Tensor:
        """That of the components, without the distances between them."""
        return self.describe(params)["component_std"]

    def mirror(self, params: Tensor, order: Tensor, sign: Tensor) -> Tensor:
        """Permute the means and σ; flip the signs of the means. Components change places in pairs.

        So a state that is its own mirror image can have two modes that are mirror images of each other. With an odd
        number of components, the last one stays.
        """
        pairs = torch.arange(self.components, device=params.device)
        pairs = torch.where(pairs < self.components // 2 * 2, pairs ^ 1, pairs)
        weight, mean, log_std = params[:, pairs].split((1, self.joints, self.joints), -1)
        return torch.cat((weight, mean[..., order] * sign, log_std[..., order]), -1)

    def noise(self, count: int, rng: Generator) -> Tensor:
        """Noise for the component and for its value, [count, M + A]."""
        race = categorical.race(count, self.components, rng=rng)
        return torch.cat((race, torch.randn(count, self.joints, generator=rng)), -1)

    def draw(self, params: Tensor, noise: Tensor) -> Tensor:
        """A component, then an unclipped value from it."""
        race, z = noise.split((self.components, self.joints), -1)
        _, mean, log_std = self._split(categorical.pick_row(params, categorical.draw(params[..., 0], race)))
        return mean + log_std.exp() * z

    def log_prob(self, params: Tensor, choice: Tensor) -> Tensor:
        """log Σ weight · N(choice; mean, σ²)."""
        return self._log_joint(params, choice.unsqueeze(1)).logsumexp(-1)

    def entropy(self, params: Tensor) -> Tensor:
        """H(m) + H(x | m) − H(m | x); the last term by quadrature."""
        logits, _, log_std = self._split(params)
        weights = logits.softmax(-1)
        posterior = categorical.entropy(self._log_joint_at_points(params, params)).mean(-1)
        return categorical.entropy(logits) + (weights * (normal.entropy(log_std) - posterior)).sum(-1)

    def kl(self, old: Tensor, new: Tensor) -> Tensor:
        """KL(m) + KL(x | m) − E KL(posterior); the last term by quadrature."""
        (logits1, mean1, log_std1), (logits2, mean2, log_std2) = self._split(old), self._split(new)
        inner = normal.kl(mean1, log_std1, mean2, log_std2)
        posterior = categorical.kl(self._log_joint_at_points(old, old), self._log_joint_at_points(old, new)).mean(-1)
        return categorical.kl(logits1, logits2) + (logits1.softmax(-1) * (inner - posterior)).sum(-1)

    def mode(self, params: Tensor) -> Tensor:
        """The highest peak that is found by 20 steps of mean shift from the components' means.

        With `played` = component: the mean of the component with the largest weight.
        """
        weight, mean, log_std = self._split(params)
        if self.options.played == "component":
            return categorical.pick_row(mean, weight.argmax(-1))
        precision = torch.exp(-2 * log_std)
        x = mean
        for _ in range(20):  # Carreira-Perpiñán 2000, eq. 4: an EM step; it never decreases the density
            share = self._log_joint(params.unsqueeze(1), x.unsqueeze(2)).softmax(-1)
            pull = share.unsqueeze(-1) * precision.unsqueeze(1)
            x = (pull * mean.unsqueeze(1)).sum(2) / pull.sum(2)
        height = self._log_joint(params.unsqueeze(1), x.unsqueeze(2)).logsumexp(-1)
        return categorical.pick_row(x, height.argmax(-1))

    def describe(self, params: Tensor) -> dict[str, Tensor]:
        """Standard deviation of the mixture and of its components, perplexity of the weights over M, saturation."""
        logits, mean, log_std = self._split(params)
        weights, std = logits.softmax(-1).unsqueeze(-1), log_std.exp()
        middle = (weights * mean).sum(1)
        whole = (weights * (std**2 + (mean - middle.unsqueeze(1)) ** 2)).sum(1).sqrt()
        return normal.spread(whole) | {
            "component_std": (weights * std).sum(1).mean(),
            "std_at_bound": normal.at_bound(log_std, self.limits),
            "perplexity": categorical.entropy(logits).exp().mean() / self.components,
            "saturation": (weights * normal.outside(mean, std)).sum(1).mean(),
        }

    def _split(self, params: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """[..., 1 + 2A] -> weight logits [...], means [..., A], log σ [..., A]."""
        logits, mean, log_std = params.split((1, self.joints, self.joints), -1)
        return logits.squeeze(-1), mean, log_std

    def _log_joint(self, params: Tensor, x: Tensor) -> Tensor:
        """log (weight_m · N(x; m)), [..., M], for params [..., M, 1 + 2A] and x [..., 1, A]."""
        logits, mean, log_std = self._split(params)
        return logits - logits.logsumexp(-1, keepdim=True) + normal.log_density(mean, log_std, x)

    def _log_joint_at_points(self, source: Tensor, params: Tensor) -> Tensor:
        """`_log_joint` up to a constant, at fixed points of `source`'s components: [B, M of source, points, M]."""
        _, mean1, log_std1 = self._split(source.unsqueeze(2))
        logits, mean, log_std = self._split(params.unsqueeze(1))
        # a point mean1 + σ1·z has the z-score shift + ratio·z in each component. The expanded square is two matrix
        # products with z and z², many times faster than computing points x components x joints values
        shift, ratio = (mean1 - mean) * torch.exp(-log_std), torch.exp(log_std1 - log_std)
        points = self.points.to(params).mT
        square = (shift**2).sum(-1, keepdim=True) + 2 * (shift * ratio) @ points + ratio**2 @ points**2
        height = logits - log_std.sum(-1)  # log-density at the mean, without the terms that all components share
        return (height.unsqueeze(-1) - 0.5 * square).mT
