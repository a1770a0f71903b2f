"""A head of your own: every joint takes one of a few evenly spaced values, sampled from a softmax over them.

The base class Head in pgcontrol/heads/base.py documents all methods, including optional ones.
Sizes: B states, F features of the network, A joints, K values per joint.
"""

from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn

from pgcontrol.heads import categorical
from pgcontrol.heads.base import ChoiceSpec, Head, output_layer
from pgcontrol.options import option


class FewValues(Head):
    """A softmax over K evenly spaced values for every joint, independent given the observation."""

    name = "template"  # the name in `--head ...`
    variants = ({"values": 2},)  # `pgcontrol check` also tests these options

    @dataclass(frozen=True)
    class Options:
        """The settings, for example `--head.values 7`. `pgcontrol train --head NAME --help` shows them."""

        values: int = option(5, "K: number of values of a joint", least=2, most=101)

    def __init__(self, features: int, low: Tensor, high: Tensor, options: Options):
        super().__init__(features, low, high, options)  # sets self.joints and the joints' bounds
        self.values = options.values
        self.choice_spec = ChoiceSpec((self.joints,), torch.int64, self.values)  # the index of a value for each joint
        self.resolution = 2 / (self.values - 1)
        self.logits = output_layer(features, self.joints * self.values)  # near 0 at first: all values equally likely
        self.places = nn.Buffer(torch.linspace(-1, 1, self.values), persistent=False)  # in half-ranges

    def forward(self, features: Tensor) -> Tensor:
        """Features [B, F] -> params [B, A, K], the logits. `params` must describe the whole distribution."""
        return self.logits(features).unflatten(-1, (self.joints, self.values))

    def noise(self, count: int, rng: Generator) -> Tensor:
        """All randomness for `count` choices; it must not depend on params. Here: exponential variables."""
        return categorical.race(count, self.joints, self.values, rng=rng)

    def draw(self, params: Tensor, noise: Tensor) -> Tensor:
        """The choice [B, A] for params and this noise."""
        return categorical.draw(params, noise)

    def log_prob(self, params: Tensor, choice: Tensor) -> Tensor:
        """Log-probability of the choice, [B]: a sum, because joints are independent."""
        return categorical.log_prob(params, choice).sum(-1)

    def entropy(self, params: Tensor) -> Tensor:
        """In nats, [B]."""
        return categorical.entropy(params).sum(-1)

    def kl(self, old: Tensor, new: Tensor) -> Tensor:
        """KL(old || new), [B]."""
        return categorical.kl(old, new).sum(-1)

    def mode(self, params: Tensor) -> Tensor:
        """The choice without sampling, [B, A]: the most likely one."""
        return params.argmax(-1)

    def decode(self, choice: Tensor) -> Tensor:
        """The actions of a choice, within the joints' bounds, [B, H, A]; here H = 1 action per choice."""
        return self.to_bounds(self.places[choice]).unsqueeze(1)

    def encode(self, action: Tensor) -> Tensor:
        """Actions [B, H, A] -> the choice that decodes nearest to them; used to learn from demonstrations."""
        return categorical.nearest(self.to_unit(action[:, 0]), self.places)

    def describe(self, params: Tensor) -> dict[str, Tensor]:
        """Numbers for the log. Every head must return `std`, the standard deviation of the action in half-ranges."""
        p = params.softmax(-1)
        mean = (p * self.places).sum(-1, keepdim=True)
        std = (p * (self.places - mean) ** 2).sum(-1).sqrt()
        return {"std": std.mean(), "entropy": self.entropy(params).mean()}

    def mirror(self, params: Tensor, order: Tensor, sign: Tensor) -> Tensor:
        """Params of the mirrored distribution, for `--symmetric`; optional."""
        moved = params[:, order]
        return torch.where(sign.view(-1, 1) < 0, moved.flip(-1), moved)
