"""The base class of heads: everything that a policy gradient needs from a distribution over actions."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Generator, Tensor, nn

from pgcontrol.heads import normal
from pgcontrol.measures.metric import Metric
from pgcontrol.options import InputError
from pgcontrol.trunks.base import orthogonal

# (source, horizon H) -> the source's actions as chunks [M, H, A] in normalised units. InputError: there are none
Chunks = Callable[[str, int], Tensor]
INSET = 1e-3  # half-ranges: heads that cannot represent an action at a bound encode it this far inside


class ChoiceSpec(NamedTuple):
    """Shape (without the batch dimension) and dtype of one choice, as the rollout stores it.

    Attributes:
        values: every entry is an integer in 0 … values − 1, and all combinations are possible. None: not the case
            (the entries are floats, for example).
    """

    shape: tuple[int, ...]
    dtype: torch.dtype
    values: int | None = None


class Head(nn.Module):
    """Maps features to one tensor `params`; `params` to choices and their log-probabilities; choices to actions.

    A head keeps no state between calls. `params` [B, ...] holds the whole distribution, so a rollout can store it and
    an old distribution can be evaluated later. Weights are `nn.Parameter`s of the module. Every method is
    differentiable in `params` and can be traced as one graph for any B (use `shape[0]`: `len` would fix the batch
    size). `sample` must export to ONNX as well; `exporting/uniform.py` lists the random draws that can be exported.
    No code outside a head's file may depend on which head it is.

    Sizes: B samples, F features, A joints, H = `horizon` actions per choice. Choices are in *normalised* units: -1
    and 1 are the joint's bounds. Only `decode` and `encode` use the bounds themselves.

    Subclasses define `name`, `Options` (a frozen dataclass: the settings `--head.X`), and each method below that raises
    NotImplementedError.

    Attributes:
        choice_spec: shape and dtype of one choice; by default one float for each joint.
        horizon: H, actions per choice; above 1 when the head emits chunks of actions.
        estimates: the methods without a closed form, `entropy` or `kl`, and the largest error of each, in nats per
            joint, for distributions that occur in training. An estimate is deterministic: a function of params only.
        likeliest_mode: whether `mode` is the most likely choice. Where it is not, the head's docstring says what
            `mode` returns.
        resolution: the largest distance between neighbouring actions of a joint, in half-ranges, if a joint can only
            take some values; 0: any value is possible.
        pathwise: whether the action is differentiable in params for fixed noise, so that the gradient of
            E[f(action)] is E[the gradient of f(action)] (the reparameterisation trick).
        metrics: unit and meaning of the numbers of `describe` that other heads do not have, by name.
        mirrored_as: number of the definition of `mirror`; another number refuses older symmetric policies.
        variants: further sets of options. The laws are tested with each of them as well.
    """

    name: ClassVar[str]
    Options: ClassVar[type]
    horizon: int = 1
    estimates: ClassVar[Mapping[str, float]] = {}
    likeliest_mode: bool = True
    resolution: float = 0.0
    pathwise: ClassVar[bool] = False
    metrics: ClassVar[Mapping[str, Metric]] = {}
    mirrored_as: ClassVar[int] = 1
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
        """Draw all randomness for `count` choices, [count, ...] float32. Its distribution does not depend on params."""
        raise NotImplementedError

    def draw(self, params: Tensor, noise: Tensor) -> Tensor:
        """The choice for params and `noise` [B, ...], [B, *choice_spec.shape]. This is a deterministic function."""
        raise NotImplementedError

    def sample(self, params: Tensor, rng: Generator) -> Tensor:
        """Draw one choice for every row, [B, *choice_spec.shape]. `rng` is the only source of randomness."""
        return self.draw(params, self.noise(params.shape[0], rng))

    def log_prob(self, params: Tensor, choice: Tensor) -> Tensor:
        """Log-probability of `choice`, [B]; for continuous heads, the log-density."""
        raise NotImplementedError

    def entropy(self, params: Tensor) -> Tensor:
        """Entropy of the choice in nats, [B]; see `estimates`."""
        raise NotImplementedError

    def kl(self, old: Tensor, new: Tensor) -> Tensor:
        """KL(old || new) between two distributions given by their params, [B]; see `estimates`."""
        raise NotImplementedError

    def mode(self, params: Tensor) -> Tensor:
        """The choice without sampling, [B, *choice_spec.shape]: the most likely one; see `likeliest_mode`."""
        raise NotImplementedError

    def decode(self, choice: Tensor) -> Tensor:
        """The actions of a choice, inside [low, high], [B, H, A], in the order in which they are played."""
        raise NotImplementedError

    def encode(self, action: Tensor) -> Tensor:
        """The choice that decodes nearest to `action`, the inverse of `decode`: [B, H, A] -> [B, *choice_spec.shape].

        Cloning maximises the log-probability of these choices.
        """
        raise NotImplementedError

    def describe(self, params: Tensor) -> dict[str, Tensor]:
        """Scalars that describe the distribution.

        Every head returns `std`: the standard deviation of the decoded action in half-ranges of the joint, averaged
        over joints and rows, so that heads can be compared. Further entries depend on the head.
        """
        raise NotImplementedError

    def prepare(self, chunks: Chunks, seed: int, own: Tensor | None = None) -> None:
        """Called once, when a run begins. A head that needs external data reads it here into its buffers.

        Not called when a policy is loaded or a run is resumed: then the buffers come from the checkpoint.

        Args:
            chunks: finds actions by the name of a run, dataset or file.
            seed: seed of a fit.
            own: the data that the policy will be fitted to, as chunks [M, horizon, A] in normalised units;
                None if the policy is not cloned from data.

        Raises:
            InputError: the data is missing, or does not fit the head.
        """

    def adapt(self, rollout: Any, features: Callable[[], Tensor], progress: float, rng: Generator) -> None:
        """Called between updates. A head with a learned decoding refits it here; other heads do nothing.

        Args:
            rollout: T x N choices, sampled before the latest update.
            features: returns the features of the rollout's observations under the current weights, [T·N, F].
            progress: fraction of the run's budget that is used, in [0, 1).
            rng: a random stream for this method only; the checkpoint saves it.
        """

    def rates(self) -> dict[str, Tensor]:
        """Step-size multipliers by the weight's name, which can be broadcast to it; weights not named have 1."""
        return {}

    def symmetrise(self, order: Tensor, sign: Tensor) -> None:
        """Called before `mirror` is used, for a new head and after `prepare`. See `mirror` for order and sign.

        A head whose decoding has a table of actions adds their mirror images to it here; other heads do nothing.

        Raises:
            InputError: the table cannot be symmetric.
        """

    def mirror(self, params: Tensor, order: Tensor, sign: Tensor) -> Tensor:
        """Params of the mirrored distribution: the action of joint j is `sign[j]` times the action of joint `order[j]`.

        It must be linear and its own inverse. `--symmetric` needs it, and refuses heads that do not define it.

        Args:
            params: [B, ...].
            order: [A] ints.
            sign: [A], 1 or -1.
        """
        raise NotImplementedError

    @classmethod
    def mirrors(cls) -> bool:
        """Whether the head defines `mirror`."""
        return cls.mirror is not Head.mirror

    @property
    def answer_shape(self) -> tuple[int, ...]:
        """Shape of one action as `predict` and exported files return it: (A,), or (H, A) for chunks."""
        return (self.joints,) if self.horizon == 1 else (self.horizon, self.joints)

    def to_unit(self, action: Tensor) -> Tensor:
        """Map the joint's bounds to [-1, 1]: the inverse of `to_bounds`."""
        return ((action - self.centre) / self.half_range).clamp(-1.0, 1.0)

    @torch.no_grad()
    def widen(self, std: float, features: Tensor) -> None:
        """Change the weights so that the distribution has standard deviation `std`, and keep the modes where they are.

        Distributions that are wider become narrower. Modes nearer to each other than `std` merge. The width is reached
        as nearly as the head can. This default is for heads with a single linear layer that computes logits: it divides
        them by a temperature.

        Args:
            std: standard deviation of the decoded action in half-ranges, averaged over rows.
            features: [B, F], features of the states in which the width is measured.

        Raises:
            InputError: the head has other weights than one linear layer, and does not define this method itself.
        """
        if not self.widens:
            raise InputError(f"head {self.name!r} cannot be widened: it does not define `widen`")
        temper(self.parameters(), lambda: self.describe(self(features))["std"], std)

    @property
    def widens(self) -> bool:
        """Whether the head can be widened: it defines `widen`, or has the single layer that this class's needs."""
        return type(self).widen is not Head.widen or len(list(self.parameters())) == 2

    def decoding(self) -> list[Tensor]:
        """The buffers that give choices their actions. While they stay the same, weights keep their meaning."""
        return list(self.buffers())

    def width(self, params: Tensor) -> Tensor:
        """The standard deviation that `widen` sets, in half-ranges, averaged over rows."""
        return self.describe(params)["std"]

    def joint_stds(self, features: Tensor) -> Tensor:
        """Standard deviation of each joint's decoded action, averaged over rows, [A]."""
        described = self.describe(self(features))
        return torch.stack([described[f"std_joint{j}"] for j in range(self.joints)])

    def to_bounds(self, unit: Tensor) -> Tensor:
        """Map [-1, 1] to the joint's bounds; values outside are clipped."""
        return torch.addcmul(self.centre, self.half_range, unit).clamp(self.low, self.high)


class Continuous(Head):
    """A head whose choice is one action: one float per joint in half-ranges. `decode` clips it at the bounds."""

    def decode(self, choice: Tensor) -> Tensor:
        return self.to_bounds(choice).unsqueeze(1)

    def encode(self, action: Tensor) -> Tensor:
        """In half-ranges. An action that was clipped at a bound is encoded as the bound."""
        return self.to_unit(action[:, 0])


def solve(width: Callable[[Tensor], Tensor], std: float, groups: int) -> Tensor:
    """Find x [G] in [−12, 12] for which `width(x)` [G] is nearest to `std`, by bisection for each group.

    `width` must increase with x. The last call of `width` is with the result.
    """
    low, high = torch.full((groups,), -12.0), torch.full((groups,), 12.0)
    for _ in range(40):
        middle = 0.5 * (low + high)
        narrow = width(middle) < std
        low, high = torch.where(narrow, middle, low), torch.where(narrow, high, middle)
    width(low)
    return low


def shaped(values: Tensor, std: float | None) -> Tensor:
    """Logits [n] like a Gaussian's around 0, so that a choice among the values [n, A] has this standard deviation.

    It is the root mean square over the A joints. The Gaussian's own σ is larger than `std`: with the values −1, 0 and
    1, a σ of 0.2 would always choose 0, and among points in many dimensions it would always choose the nearest one. It
    is not smaller than `std` if the values cannot be as narrow; all logits are 0 if `std` is None or cannot be reached.
    """

    def logits(sigma: float) -> Tensor:
        return normal.logits(values, sigma).sum(-1)

    def width(log_sigma: Tensor) -> Tensor:
        return (logits(float(log_sigma.exp())).softmax(-1) @ values.square().mean(-1)).sqrt().view(1)

    return logits(math.inf if std is None else max(float(solve(width, std, 1).exp()), std))


def temper(
    weights: Iterable[Tensor], width: Callable[[], Tensor], std: float, groups: int = 1, flat: Tensor | float = 0.0
) -> None:
    """Divide a layer's logits by one temperature for each of G groups, so that `width()` [G] becomes `std`.

    Args:
        weights: the layer's weight and bias, [G·n, F] and [G·n]; changed in place.
        width: the current width; it must increase with the temperature.
        std: the target width.
        groups: G.
        flat: the biases [n] that give the flat distribution.
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
    """A linear layer whose weights start near zero, so that the first policy hardly depends on the observation.

    Orthogonal with a gain of 0.01 (Andrychowicz et al. 2021, "What matters in on-policy RL": the last policy layer
    should be initialised 100x smaller).
    """
    layer = orthogonal(features, outputs, 0.01)
    layer.bias.data += bias
    return layer
