"""Learned tokens: the policy chooses a code or a short row of codes, and a tokenizer decodes them to actions."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from pgcontrol.heads import categorical, normal
from pgcontrol.heads.base import ChoiceSpec, Chunks, Head, output_layer, shaped
from pgcontrol.heads.rows import CodeRow
from pgcontrol.measures.metric import Metric
from pgcontrol.options import InputError, option
from pgcontrol.tokenizers import files
from pgcontrol.tokenizers.base import unrolled, windows

OWN = "own"


class Token(Head):
    """One categorical over codes for each of the tokenizer's L positions, independent given the observation.

    params [B, L, K]: logits. The choice is the row of codes. The positions are independent: a residual level does not
    see the code of the previous level (in `token-residual` it does).

    With `source = own` the head starts with bins: until the fraction `warmup` of the budget is used, the same logits
    are used as n bins for each joint, held constant through the chunk. Then the tokenizer is fitted to the actions that
    the run has taken with these bins, and the output layer is fitted so that the policy with tokens acts as before.
    Later fits do the same, with codes matched to the old ones. `refit_until` ends the fits, because a vocabulary and a
    policy that keep adapting to each other may not converge.

    Attributes:
        own: whether the head learns its own tokens.
        warm: bool; whether the head still uses bins.
        updates: updates since the last fit.
        refit_shift: mean change of the policy's mean action in the last fit, in half-ranges.
    """

    name = "token"
    metrics: ClassVar = {
        "dead_codes": Metric("share", "codes whose probability is below 1 % of uniform in every state"),
        "warm": Metric("0 or 1", "whether the head still uses its first bins (token)"),
        "refit_shift": Metric("half-ranges", "how far the last refit of the tokens moved the mean action"),
    }
    BINS = 11

    @dataclass(frozen=True)
    class Options:
        """The settings `--head.X` of tokens, besides the tokenizer's own options."""

        tokenizer: str = option("kmeans", "kind of tokenizer; its options are --head.X too", part=files.kinds)
        horizon: int = option(1, "H: actions per choice, played one after the other", least=1, most=64)
        source: str = option(OWN, "data of the tokens: own (this run's actions), or a tokenizer folder, run or dataset")
        warmup: float = option(0.2, "fraction of the budget with bins, before the first fit (own)", least=0, below=1)
        initial_std: float | None = option(0.4, "initial σ of the bins, in half-ranges; none: uniform", above=0)
        refit_every: int = option(50, "updates between later fits (own)", least=1, most=10**9)
        refit_until: float = option(0.4, "fraction of the budget after which fits end (own)", least=0, most=1)

        def __post_init__(self) -> None:
            files.of_options(self, self.horizon, 1)

    def __init__(self, features: int, low: Tensor, high: Tensor, options: Options):
        super().__init__(features, low, high, options)
        self.horizon = options.horizon
        self.tokenizer = files.of_options(options, options.horizon, self.joints)
        self.shape = (self.tokenizer.length, self.tokenizer.codes)
        outputs = self.shape[0] * self.shape[1]
        self.own = self.tokenizer.learned and options.source == OWN
        self.bins = min(self.BINS, outputs // self.joints)
        if self.own and self.bins < 3:
            few = f"{outputs} outputs are too few for a warm-up with 3 bins for each of {self.joints} joints"
            raise InputError(f"head.codes: {few}; use more codes, or set head.source to a tokenizer folder")
        # one code per position, or during warm-up one bin per joint; unused places are 0
        places = max(self.shape[0], self.joints) if self.own else self.shape[0]
        self.choice_spec = ChoiceSpec((places,), torch.int64, None if self.own else self.shape[1])
        self.warm = nn.Buffer(torch.tensor(self.own))
        self.updates = nn.Buffer(torch.tensor(0))
        self.refit_shift = nn.Buffer(torch.tensor(0.0))
        self.bin_values = nn.Buffer(torch.linspace(-1.0, 1.0, self.bins), persistent=False)
        self.logits = output_layer(features, outputs + self.more_outputs())
        if self.own:
            bins = shaped(self.bin_values.unsqueeze(1), options.initial_std).repeat(self.joints)
            self.logits.bias.data[: len(bins)] = bins

    def more_outputs(self) -> int:
        """Number of further outputs of the layer, after the logits."""
        return 0

    def prepare(self, chunks: Chunks, seed: int, own: Tensor | None = None) -> None:
        """Load the tokenizer from its folder, or fit it to the source's actions; for `source = own`, to `own` if given.

        A head that gets its tokens here has no warm-up.
        """
        if not self.tokenizer.learned:
            return
        source = self.options.source
        if not self.own and files.found(Path(source)):
            found = files.load(Path(source))
            self._check_joints(found.joints)
            if files.spec(found) != files.spec(self.tokenizer):
                raise InputError(f"head.source {source} holds another tokenizer; pass {' '.join(files.flags(found))}")
            self.tokenizer.load_state_dict(found.state_dict())
            return
        self.tokenizer.require()
        data = own if self.own else chunks(source, self.horizon)
        if data is not None:
            self._check_joints(data.shape[-1])
            self.tokenizer.fit(data, seed)
            self.warm.fill_(False)
            nn.init.zeros_(self.logits.bias)  # it was the initial bias of the bins

    def decoding(self) -> list[Tensor]:
        """The tokenizer's, and whether it is in use already."""
        return [self.warm, *self.tokenizer.buffers()]

    def _check_joints(self, joints: int) -> None:
        if joints != self.joints:
            raise InputError(f"head.source {self.options.source}: made for {joints} joints, not for {self.joints}")

    def forward(self, features: Tensor) -> Tensor:
        """[B, F] -> params."""
        return self._shaped(self.logits(features))

    def _shaped(self, outputs: Tensor) -> Tensor:
        return outputs.unflatten(-1, (self.shape[0], -1))

    def _as_bins(self, params: Tensor) -> Tensor:
        """The logits read as logits of bins, [B, A, n]."""
        return first(params, self.joints, self.bins)

    def code_row(self, params: Tensor) -> CodeRow:
        """The distribution over codes."""
        return CodeRow(params)

    def current_row(self, params: Tensor) -> CodeRow:
        """The distribution in use: over bins during warm-up, else over codes."""
        return CodeRow(self._as_bins(params)) if self.warm else self.code_row(params)

    def _measure(self, of: Callable[..., Tensor], *params: Tensor) -> Tensor:
        """Apply `of` to the distributions in use. `torch.where` avoids a branch, which would need a recompilation."""
        codes = of(*map(self.code_row, params))
        if not self.own:
            return codes
        return torch.where(self.warm, of(*(CodeRow(self._as_bins(p)) for p in params)), codes)

    def filled(self, index: Tensor) -> Tensor:
        """Pad indices [..., A or L] with zeros to the length of a choice."""
        return F.pad(index, (0, self.choice_spec.shape[0] - index.shape[-1]))

    def noise(self, count: int, rng: Generator) -> Tensor:
        """[count, L, K], in the layout of the logits."""
        return categorical.race(count, *self.shape, rng=rng)

    def draw(self, params: Tensor, noise: Tensor) -> Tensor:
        return self._measure(lambda row: self.filled(row.draw(first(noise, *row.logits.shape[1:]))), params)

    def mode(self, params: Tensor) -> Tensor:
        """The most likely code of every position."""
        return self._measure(lambda row: self.filled(row.mode()), params)

    def log_prob(self, params: Tensor, choice: Tensor) -> Tensor:
        """Log-probability of the codes (or bins) in the choice, [B]."""

        def read(row: CodeRow) -> Tensor:
            _, length, codes = row.logits.shape
            # in the branch that is not in use, an index may be out of range; its result is discarded
            return row.log_prob(choice[:, :length].clamp_max(codes - 1))

        return self._measure(read, params)

    def entropy(self, params: Tensor) -> Tensor:
        """Entropy of the codes, [B]. This is not the entropy of the actions: several rows may decode to one action."""
        return self._measure(lambda row: row.entropy(), params)

    def kl(self, old: Tensor, new: Tensor) -> Tensor:
        """KL between the distributions of the codes, [B]."""
        return self._measure(lambda p, q: p.kl(q), old, new)

    def unit(self, choice: Tensor) -> Tensor:
        """Choice [B, ...] -> chunk [B, H, A] within [−1, 1]."""
        if not self.own:
            return self.tokenizer.decode(choice)
        bins = held(self.bin_values[choice[:, : self.joints].clamp_max(self.bins - 1)], self.horizon)
        codes = self.tokenizer.decode(choice[:, : self.shape[0]].clamp_max(self.shape[1] - 1))
        return torch.where(self.warm, bins, codes)

    def decode(self, choice: Tensor) -> Tensor:
        """The tokenizer's decoding, scaled to the bounds."""
        return self.to_bounds(self.unit(choice))

    def encode(self, action: Tensor) -> Tensor:
        """The nearest codes that the tokenizer finds for the chunk; during warm-up, the bins nearest to its mean."""
        chunk = self.to_unit(action)
        if self.warm:
            return self.filled(categorical.nearest(chunk.mean(1), self.bin_values))
        return self.filled(self.tokenizer.encode(chunk))

    def moments(self, params: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of the decoded action in half-ranges, [B, H, A] each."""
        if not self.warm:
            return self.code_moments(params)
        p = F.softmax(self._as_bins(params), -1)
        mean = p @ self.bin_values
        std = (p @ self.bin_values.square() - mean.square()).clamp_min(0.0).sqrt()
        return (held(mean, self.horizon), held(std, self.horizon))

    def code_moments(self, params: Tensor) -> tuple[Tensor, Tensor]:
        """`moments` after the warm-up."""
        return self.tokenizer.moments(F.softmax(params, -1))

    def describe(self, params: Tensor) -> dict[str, Tensor]:
        """Standard deviation per joint, perplexity divided by K, dead codes, whether it is warming up, last refit."""
        some = params[:: max(1, len(params) // 256)]  # a sample of the rows is enough
        per_joint = self.moments(some)[1].mean((0, 1))
        logits = self.current_row(params).conditionals()
        usage = categorical.usage(logits, F.softmax(logits, -1).mean(1), "codes")
        fits = {"warm": self.warm.float(), "refit_shift": self.refit_shift}
        return normal.spread(per_joint.unsqueeze(0)) | usage | fits

    @torch.no_grad()
    def adapt(self, rollout: Any, features: Callable[[], Tensor], progress: float, rng: Generator) -> None:
        """Fit the vocabulary to the rollout's actions when a fit is due, and fit the output layer to the same policy.

        The first fit ends the warm-up. Later ones come every `refit_every` updates until `refit_until`.
        """
        if not self.own:
            return
        self.updates += 1
        options = self.options
        if self.warm:
            due = progress >= options.warmup
        else:
            due = progress < options.refit_until and int(self.updates) >= options.refit_every
        if due:
            self._refit(rollout, features(), rng)
            self.updates.zero_()

    def _refit(self, rollout: Any, features: Tensor, rng: Generator) -> None:
        params = self(features)
        draws = max(1, min(8, 2**13 // len(params), 2**22 // params.numel()))
        meant = self.unit(self.sample(params.repeat(draws, 1, 1), rng))  # the policy's actions, [draws·T·N, H, A]
        before, _ = self.moments(params)
        steps, ends = unrolled(self.unit(rollout.choice.flatten(0, 1)), rollout.terminated | rollout.truncated)
        old = copy.deepcopy(self.tokenizer)
        seed = int(torch.randint(2**31, (), generator=rng))
        self.tokenizer.fit(windows(steps, ends, self.horizon), seed)
        if not self.warm:
            self.tokenizer.align(old)
        else:
            nn.init.zeros_(self.logits.weight)
            nn.init.zeros_(self.logits.bias)
        self.warm.fill_(False)
        codes = self.tokenizer.encode(meant)
        imitate(self.logits, features.repeat(draws, 1), lambda out: self.code_row(self._shaped(out)).log_prob(codes))

        after, _ = self.moments(self(features))
        self.refit_shift.copy_((after - before).abs().mean())


def first(x: Tensor, rows: int, columns: int) -> Tensor:
    """The first rows · columns numbers of each sample, [B, ...] -> [B, rows, columns]."""
    return x.flatten(1)[:, : rows * columns].unflatten(-1, (rows, columns))


def held(action: Tensor, horizon: int) -> Tensor:
    """Repeat an action for every step of a chunk, [B, A] -> [B, H, A]."""
    return action.unsqueeze(1).expand(-1, horizon, -1)


@torch.enable_grad()
def imitate(layer: nn.Linear, features: Tensor, log_prob: Callable[[Tensor], Tensor]) -> None:
    """Fit a linear layer to maximise the mean log-probability: L-BFGS from its current weights, with a small L2 term.

    Args:
        layer: has F inputs; changed in place.
        features: [M, F].
        log_prob: outputs [M, ·] -> log-probability [M]; concave.
    """
    trial = copy.deepcopy(layer).requires_grad_()
    optimiser = torch.optim.LBFGS(trial.parameters(), max_iter=60, history_size=10, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimiser.zero_grad()
        value = -log_prob(trial(features)).mean() + 1e-5 * trial.weight.square().sum()
        value.backward()
        return value

    optimiser.step(loss)
    layer.load_state_dict(trial.state_dict())
