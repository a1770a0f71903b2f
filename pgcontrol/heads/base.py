"""The Head contract: everything a policy gradient needs of a distribution over actions."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Generator, Tensor, nn

from pgcontrol.options import InputError
from pgcontrol.trunks.base import orthogonal

# source and horizon H -> the source's actions as chunks [M, H, A] in normalised units; InputError: none there
Chunks = Callable[[str, int], Tensor]
INSET = 1e-3  # half-ranges: where no choice decodes to a bound, actions nearer to one are read as this far inside


class ChoiceSpec(NamedTuple):
    """Shape (without the batch) and dtype of one choice, as the rollout stores it.

    Attributes:
        values: every entry is one of 0 … values − 1, in any combination; None: not so (floats, for example).
    """

    shape: tuple[int, ...]
    dtype: torch.dtype
    values: int | None = None


class Head(nn.Module):
    """Features -> one `params` tensor -> choices, their log-probabilities, and the actions they decode to.

    A head keeps nothing between calls: whatever describes the distribution is in `params` [B, ...], so a rollout can
    store it and an old distribution can be asked again. Weights live in the module (`nn.Parameter`), and every method
    is differentiable in `params` and traceable as one graph for any B
    (`shape[0]`, not `len`, which fixes it). What acts is exported, too; `exporting/uniform.py` names the random draws
    that an exported `sample` may make. Nobody outside a head's file asks what kind of head it is.

    Sizes: B samples, F features, A joints, H = `horizon` actions a choice. Choices are in *normalised* units where -1
    and 1 are the joint's bounds; `decode` alone knows the bounds.

    Subclasses define `name`, `Options` (a frozen dataclass: what `--head.X` sets), and everything below that raises.

    Attributes:
        choice_spec: what one choice looks like in memory; here one float for each joint.
        horizon: H, actions per choice; more than one when the head emits chunks.
        estimates: methods without a closed form, `entropy` or `kl`, and how far each may be off, in nats per joint, for
            distributions as a training meets them. An estimate is as deterministic as the rest: a function of params
            alone.
        likeliest_mode: whether `mode` is the likeliest choice of all; where it is not, the head's docstring says what
            it is instead.
        resolution: how far neighbouring actions are apart where a joint has only some, in half-ranges; 0: any action
            is possible.
        variants: options that make another kind of distribution of this head: the laws hold under each of them, too.
    """

    name: ClassVar[str]
    Options: ClassVar[type]
    horizon: int = 1
    estimates: ClassVar[Mapping[str, float]] = {}
    likeliest_mode: bool = True
    resolution: float = 0.0
    variants: ClassVar[Sequence[Mapping[str, Any]]] = ()

    def __init__(self, features: int, low: Tensor, high: Tensor, options: Any):
        super().__init__()
        self.joints, self.options = low.numel(), options
        self.choice_spec = ChoiceSpec((self.joints,), torch.float32)
        self.low = nn.Buffer(low.float().clone())
        self.high = nn.Buffer(high.float().clone())
        self.centre = nn.Buffer(0.5 * (self.high + self.low), persistent=False)
        self.half_range = nn.Buffer(0.5 * (self.high - self.low), persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        """[B, F] -> params [B, ...]."""
        raise NotImplementedError

    def noise(self, count: int, rng: Generator) -> Tensor:
        """All that is random in `count` choices, [count, ...] float32: standard draws, the same for any params."""
        raise NotImplementedError

    def draw(self, params: Tensor, noise: Tensor) -> Tensor:
        """The choice that `noise` [B, ...] makes of params, [B, *choice_spec.shape]: nothing random is left in it."""
        raise NotImplementedError

    def sample(self, params: Tensor, rng: Generator) -> Tensor:
        """A choice for every row, [B, *choice_spec.shape], drawn with `rng` alone."""
        return self.draw(params, self.noise(params.shape[0], rng))

    def log_prob(self, params: Tensor, choice: Tensor) -> Tensor:
        """Log-probability (density, for continuous heads) of `choice`, [B]."""
        raise NotImplementedError

    def entropy(self, params: Tensor) -> Tensor:
        """Entropy of the choice in nats, [B]; see `estimates`."""
        raise NotImplementedError

    def kl(self, old: Tensor, new: Tensor) -> Tensor:
        """KL(old || new) between two distributions given by their params, [B]; see `estimates`."""
        raise NotImplementedError

    def mode(self, params: Tensor) -> Tensor:
        """The choice to play without sampling, [B, *choice_spec.shape]: the likeliest one; see `likeliest_mode`."""
        raise NotImplementedError

    def decode(self, choice: Tensor) -> Tensor:
        """Choice -> its actions inside [low, high], [B, H, A], in the order in which they are played."""
        raise NotImplementedError

    def encode(self, action: Tensor) -> Tensor:
        """Actions -> the choice that decodes nearest to them, `decode`'s inverse: [B, H, A] -> [B, *choice_spec.shape].

        What a policy learns from data by: their log-probability is that of these choices.
        """
        raise NotImplementedError

    def describe(self, params: Tensor) -> dict[str, Tensor]:
        """Scalars that say what the distribution looks like.

        Every head gives `std`: the deviation of the decoded action as a share of the joint's half-range, averaged over
        joints and rows, so that heads stand on one scale. The rest is the head's own.
        """
        raise NotImplementedError

    def prepare(self, chunks: Chunks, seed: int, own: Tensor | None = None) -> None:
        """Once, when a run begins: a head that needs something from outside reads it here into its buffers.

        Not called when a policy is loaded or a run resumed: then the buffers come from the checkpoint.

        Args:
            chunks: finds actions by the name of a run, dataset or file.
            seed: of a fit.
            own: the data that the policy is about to be fitted to, as chunks [M, horizon, A] in normalised units;
                None where it is about to play instead.

        Raises:
            InputError: it is not there, or does not fit.
        """

    def adapt(self, rollout: Any, features: Callable[[], Tensor], progress: float, rng: Generator) -> None:
        """Between updates only: a head whose decoding is learned refits it here. Others do nothing.

        Args:
            rollout: T x N choices, made before the update that has just ended.
            features: call it for what the trunk now makes of the rollout's observations, [T·N, F].
            progress: share of the run's budget used, in [0, 1).
            rng: a stream for this alone, which the checkpoint keeps.
        """

    def rates(self) -> dict[str, Tensor]:
        """Weight's name -> by what its steps are multiplied, of the weight's shape or one number; 1 where not named."""
        return {}

    def mirror(self, params: Tensor, order: Tensor, sign: Tensor) -> Tensor:
        """Params of the mirrored distribution: joint j's action is `sign[j]` times that of joint `order[j]`.

        Linear, and its own inverse. For `--symmetric`, which refuses heads that do not define it.

        Args:
            params: [B, ...].
            order: [A] ints.
            sign: [A], 1 or -1.
        """
        raise NotImplementedError

    @classmethod
    def mirrors(cls) -> bool:
        """Whether it defines `mirror`."""
        return cls.mirror is not Head.mirror

    @property
    def answer_shape(self) -> tuple[int, ...]:
        """Shape of one answer where a policy leaves the package, `predict` and export: (A,), or (H, A) for chunks."""
        return (self.joints,) if self.horizon == 1 else (self.horizon, self.joints)

    def to_unit(self, action: Tensor) -> Tensor:
        """The joint's bounds -> [-1, 1]: the inverse of `to_bounds`."""
        return ((action - self.centre) / self.half_range).clamp(-1.0, 1.0)

    @torch.no_grad()
    def widen(self, std: float, features: Tensor) -> None:
        """Change the weights so that every mode is `std` wide, in half-ranges, and where it was; or as near as can be.

        It narrows what is wider. Modes nearer to each other than `std` merge. Here for heads whose weights make logits:
        they are divided by one temperature.

        Args:
            std: deviation of the decoded action, averaged over rows.
            features: [B, F] of states in which it shall be so wide.

        Raises:
            InputError: the head's weights are not one layer's, so that it has to define this method itself.
        """
        if len(list(self.parameters())) != 2:
            raise InputError(f"head {self.name!r} cannot be widened: it does not define `widen`")
        temper(self.parameters(), lambda: self.describe(self(features))["std"], std)

    def joint_stds(self, features: Tensor) -> Tensor:
        """Deviation of each joint's decoded action, averaged over rows, [A]."""
        described = self.describe(self(features))
        return torch.stack([described[f"std_joint{j}"] for j in range(self.joints)])

    def to_bounds(self, unit: Tensor) -> Tensor:
        """Normalised [-1, 1] -> the joint's bounds; what lies outside is clipped at the edge."""
        return torch.addcmul(self.centre, self.half_range, unit).clamp(self.low, self.high)


class Continuous(Head):
    """A head whose choice is one action, a float for each joint in half-ranges, which `decode` clips at the bounds."""

    def decode(self, choice: Tensor) -> Tensor:
        """Clip at the bounds."""
        return self.to_bounds(choice).unsqueeze(1)

    def encode(self, action: Tensor) -> Tensor:
        """In half-ranges; what lay beyond a bound is not to be known any more."""
        return self.to_unit(action[:, 0])


def solve(width: Callable[[Tensor], Tensor], std: float, groups: int) -> Tensor:
    """x [G] in [−12, 12] for which `width(x)` [G], which grows with x group by group, is nearest `std`; by bisection.

    `width` is called with the answer last.
    """
    low, high = torch.full((groups,), -12.0), torch.full((groups,), 12.0)
    for _ in range(40):
        middle = 0.5 * (low + high)
        narrow = width(middle) < std
        low, high = torch.where(narrow, middle, low), torch.where(narrow, high, middle)
    width(low)
    return low


def temper(
    weights: Iterable[Tensor], width: Callable[[], Tensor], std: float, groups: int = 1, flat: Tensor | float = 0.0
) -> None:
    """Divide a layer's logits by one temperature for each of G groups of them, until `width()` [G] is `std`.

    Args:
        weights: the layer's weight and bias, [G·n, F] and [G·n]; changed in place.
        width: grows with the temperatures.
        std: the width wanted.
        groups: G.
        flat: the biases [n] at which no logit is preferred.
    """
    weight, bias = (w.view(groups, -1) for w in weights)
    steep_weight, steep_bias = weight.clone(), bias - flat

    def at(log_temperature: Tensor) -> Tensor:
        share = torch.exp(-log_temperature).unsqueeze(1)
        weight.copy_(steep_weight * share)
        bias.copy_(steep_bias * share + flat)
        return width()

    solve(at, std, groups)


def output_layer(features: int, outputs: int, bias: Tensor | float = 0.0) -> nn.Linear:
    """A linear layer whose weights start near zero, so the first policy hardly depends on the observation.

    Orthogonal with a gain of 0.01 (Andrychowicz et al. 2021, "What matters in on-policy RL": the last policy layer
    should be initialised 100x smaller).
    """
    layer = orthogonal(features, outputs, 0.01)
    layer.bias.data += bias
    return layer
