"""A code and a continuous offset: the code chooses a region, the offset the exact action."""

import functools
import math
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from torch import Generator, Tensor, nn

from pgcontrol.heads import categorical, normal
from pgcontrol.heads.base import ChoiceSpec, Chunks, Head, output_layer, shaped, temper
from pgcontrol.measures.metric import Metric
from pgcontrol.options import InputError, option
from pgcontrol.tokenizers import files

SPREAD = "spread"


class TokenOffset(Head):
    """A code c of K, each a whole action vector, and a Gaussian offset from it: action = code + offset.

    The action of Behavior Transformers (Shafiullah et al. 2022, arXiv 2206.11251, section 3.2: k-means centres, one
    predicted offset for each), as a distribution with a known log-probability: p(c | s) N(offset; μ_c(s), σ²) with
    one σ per joint. The code is part of the choice, so everything has a closed form. In the mixture, the component is
    not part of the choice.

    With `source = spread` the codes are fixed points that cover all actions, and the first one is 0. In a symmetric
    policy, no code is 0, and the second half of the codes are the mirror images of the first half.

    params [B, K + 1, 1 + A]: each code's logit and mean offset; the last row is log σ. The choice is the code's index
    and the unclipped offset, [1 + A]; `decode` clips. Codes do not move during training; offsets reach the actions
    between them.
    """

    name = "token-offset"
    metrics: ClassVar = {
        "offset_std": Metric("half-ranges", "σ of the offset from a code (token-offset)"),
        "offset": Metric("half-ranges", "size of the mean offset from a code (token-offset)"),
    }
    variants = ({"codes": 4, "code_std": None, "initial_std": 0.4},)

    @dataclass(frozen=True)
    class Options(normal.Sigma):
        """The settings `--head.X`; `min_std` and `max_std` are limits of the offset's σ."""

        initial_std: float = option(0.2, "initial σ of the offset, in half-ranges", above=0)
        codes: int = option(32, "K: number of codes", least=2, most=4096)
        source: str = option(SPREAD, "codes from: spread (over all actions), or a kmeans folder, run or dataset")
        code_std: float | None = option(
            0.4, "σ of the codes at first, in half-ranges; none: all equally likely", above=0
        )

    def __init__(self, features: int, low: Tensor, high: Tensor, options: Options):
        super().__init__(features, low, high, options)
        self.choice_spec = ChoiceSpec((1 + self.joints,), torch.float32)
        self.codes, self.limits = options.codes, options.log_limits
        spread = torch.quasirandom.SobolEngine(self.joints, scramble=True, seed=0).draw(self.codes)
        self.table = nn.Buffer(2 * spread - 1)
        self.table[0] = 0.0  # or else a narrow first policy would play an arbitrary code, far from the centre
        self.logits = output_layer(features, self.codes, self._code_logits())
        self.offsets = output_layer(features, self.codes * self.joints)
        self.log_std = nn.Parameter(torch.full((self.joints,), math.log(options.initial_std)))

    def _code_logits(self) -> Tensor:
        return shaped(self.table, self.options.code_std)

    def prepare(self, chunks: Chunks, seed: int, own: Tensor | None = None) -> None:
        """Load the codes from a tokenizer folder, or fit them to `own` or to the source's actions."""
        source = self.options.source
        if source == SPREAD and own is None:
            return
        tokens = files.make("kmeans", 1, self.joints, {"codes": self.codes}, "head.")
        if source != SPREAD and files.found(Path(source)):
            found = files.load(Path(source))
            if files.spec(found) != files.spec(tokens):
                wanted = f"kmeans with {self.codes} codes for {self.joints} joints and horizon 1"
                raise InputError(f"head.source {source} holds another tokenizer; must hold {wanted}")
            tokens = found
        else:
            tokens.fit(chunks(source, 1) if own is None else own, seed)
        self.table.copy_(tokens.get_buffer("table")[0])
        self.logits.bias.data.copy_(self._code_logits())

    @torch.no_grad()
    def symmetrise(self, order: Tensor, sign: Tensor) -> None:
        """Replace the codes by half of those after the first one, and their mirror images. K must be even."""
        if self.codes % 2:
            raise InputError(f"head.codes = {self.codes}: must be even for a symmetric policy")
        half = self.table[1 : 1 + self.codes // 2]  # without 0, which is its own mirror image
        self.table.copy_(torch.cat((half, half[:, order] * sign)))
        self.logits.bias.copy_(self._code_logits())

    def mirror(self, params: Tensor, order: Tensor, sign: Tensor) -> Tensor:
        """The halves of the codes change places. Permute mean offsets and σ; flip the signs of the offsets."""
        first, second, last = params.split((self.codes // 2, self.codes // 2, 1), 1)
        codes, joints = torch.cat((second, first, last), 1).split((1, self.joints), -1)
        signs = torch.cat((sign.expand(self.codes, -1), torch.ones_like(sign).unsqueeze(0)))  # σ keeps its sign
        return torch.cat((codes, joints[..., order] * signs), -1)

    def forward(self, features: Tensor) -> Tensor:
        """[B, F] -> [B, K + 1, 1 + A]."""
        logits = self.logits(features).unsqueeze(-1)
        codes = torch.cat((logits, self.offsets(features).unflatten(-1, (self.codes, self.joints))), -1)
        log_std = normal.bounded(self.log_std, *self.limits)
        last = torch.cat((log_std.new_zeros(1), log_std)).expand_as(codes[:, :1])
        return torch.cat((codes, last), 1)

    def _split(self, params: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logits [B, K], mean offsets [B, K, A] and log σ [B, A]."""
        return params[:, :-1, 0], params[:, :-1, 1:], params[:, -1, 1:]

    @torch.no_grad()
    def widen(self, std: float, features: Tensor) -> None:
        """Set half of the variance by the offset's σ, and the rest by a temperature of the codes."""
        self.log_std.fill_(math.log(self.options.within(std / math.sqrt(2))))
        weights = [w.view(1, -1) for w in self.logits.parameters()]
        temper(weights, lambda: self.describe(self(features))["std"], std)

    def noise(self, count: int, rng: Generator) -> Tensor:
        """Noise for the code and for the offset, [count, K + A]."""
        race = categorical.race(count, self.codes, rng=rng)
        return torch.cat((race, torch.randn(count, self.joints, generator=rng)), -1)

    def draw(self, params: Tensor, noise: Tensor) -> Tensor:
        """A code by the exponential race, and a Gaussian offset around its mean offset."""
        logits, means, log_std = self._split(params)
        race, z = noise.split((self.codes, self.joints), -1)
        code = categorical.draw(logits, race)
        return _joined(code, categorical.pick_row(means, code) + log_std.exp() * z)

    def log_prob(self, params: Tensor, choice: Tensor) -> Tensor:
        """log p(c) + log N(offset; μ_c, σ²)."""
        logits, means, log_std = self._split(params)
        code, offset = _parts(choice)
        density = normal.log_density(categorical.pick_row(means, code), log_std, offset)
        return categorical.log_prob(logits, code) + density

    def entropy(self, params: Tensor) -> Tensor:
        """H(c) + ½ Σ log(2πe σ²)."""
        logits, _, log_std = self._split(params)
        return categorical.entropy(logits) + normal.entropy(log_std)

    def kl(self, old: Tensor, new: Tensor) -> Tensor:
        """KL(c) + Σ_c p_old(c) KL(offset | c)."""
        (logits1, means1, log_std1), (logits2, means2, log_std2) = self._split(old), self._split(new)
        inner = normal.kl(means1, log_std1.unsqueeze(1), means2, log_std2.unsqueeze(1))
        return categorical.kl(logits1, logits2) + (logits1.softmax(-1) * inner).sum(-1)

    def mode(self, params: Tensor) -> Tensor:
        """The most likely code with its mean offset; σ is the same for all codes."""
        logits, means, _ = self._split(params)
        code = logits.argmax(-1)
        return _joined(code, categorical.pick_row(means, code))

    def decode(self, choice: Tensor) -> Tensor:
        """Code plus offset, clipped at the bounds."""
        code, offset = _parts(choice)
        return self.to_bounds(self.table[code] + offset).unsqueeze(1)

    def encode(self, action: Tensor) -> Tensor:
        """The nearest code, and the remaining offset."""
        unit = self.to_unit(action[:, 0])
        # ‖unit − code‖² without the constant ‖unit‖², as a matrix product
        code = (self.table.square().sum(-1) - 2 * unit @ self.table.mT).argmin(-1)
        return _joined(code, unit - self.table[code])

    def describe(self, params: Tensor) -> dict[str, Tensor]:
        """Standard deviation of the action per joint and of the offset, perplexity divided by K, dead codes."""
        logits, means, log_std = self._split(params)
        p, places, std = logits.softmax(-1), self.table + means, log_std.exp()
        average = functools.partial(torch.einsum, "bk,bka->ba", p)
        between = average((places - average(places).unsqueeze(1)).square())
        measures = normal.spread((between + std.square()).sqrt()) | categorical.usage(logits, p, "codes")
        return measures | {
            "offset_std": std.mean(),
            "offset": average(means.abs()).mean(),
            "std_at_bound": normal.at_bound(log_std, self.limits),
            "saturation": average(normal.outside(places, std[:1])).mean(),  # σ is the same in every state
        }


def _joined(code: Tensor, offset: Tensor) -> Tensor:
    return torch.cat((code.unsqueeze(-1).to(offset.dtype), offset), -1)


def _parts(choice: Tensor) -> tuple[Tensor, Tensor]:
    """Code [B] and offset [B, A]."""
    return choice[:, 0].long(), choice[:, 1:]
