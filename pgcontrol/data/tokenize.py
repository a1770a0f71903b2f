"""`pgcontrol tokenize`: a tokenizer folder from the actions of a run or a dataset."""

import dataclasses
import math
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from pgcontrol.arguments import TokenizeOptions
from pgcontrol.data.actions import Actions, of
from pgcontrol.options import InputError, pick, read_options, takes
from pgcontrol.tokenizers import files
from pgcontrol.tokenizers.base import Tokenizer, windows

HELD_OUT = 0.2


class TokenizeResult(NamedTuple):
    """A tokenizer that was fitted.

    Attributes:
        path: its folder.
        env: the task of the actions, where that is known.
        chunks: how many it was fitted to.
        held_out: how many it was not.
        error: root mean square of what encoding loses of those, in half-ranges.
        deviation: of those themselves, in half-ranges.
    """

    path: Path
    tokenizer: Tokenizer
    env: str | None
    chunks: int
    held_out: int
    error: float
    deviation: float

    @property
    def bits(self) -> float:
        """Of an action."""
        return self.tokenizer.length * math.log2(self.tokenizer.codes) / self.tokenizer.horizon


def split(actions: Actions, horizon: int) -> tuple[Tensor, Tensor]:
    """Chunks to fit, and chunks held out: those of the last fifth of the time.

    Raises:
        InputError: too few actions for chunks of this length.
    """
    cut = int(len(actions.unit) * (1 - HELD_OUT))
    parts = [windows(actions.unit[s], actions.ends[s], horizon) for s in (slice(None, cut), slice(cut, None))]
    if not all(len(part) for part in parts):
        raise InputError(f"horizon = {horizon}: too long for these actions, {len(actions.unit)} in a row at most")
    return parts[0], parts[1]


def error(tokenizer: Tokenizer, chunks: Tensor) -> float:
    """Root mean square of what encoding loses, in half-ranges."""
    return float((tokenizer.decode(tokenizer.encode(chunks)) - chunks).square().mean().sqrt())


@takes(TokenizeOptions, further=True)
def tokenize(options: TokenizeOptions, own: dict[str, Any]) -> TokenizeResult:
    """Fit a tokenizer and write its folder; further arguments are the kind's own options.

    Raises:
        InputError: one line that names what is wrong; nothing is written.
    """
    kind = pick("tokenizer", options.kind, files.kinds())
    others = [field.name for field in dataclasses.fields(TokenizeOptions)]
    chosen = kind.Options(**read_options(kind.Options, own, others=others))
    out, horizon, seed = options.out, options.horizon, options.seed
    if out.exists():
        raise InputError(f"--out {out} exists already; name a folder that does not")
    kind(horizon, 1, chosen).require()  # before anything takes time
    actions = of(options.source, options.steps, seed, options.clip_actions)
    fit, held_out = split(actions, horizon)
    tokenizer = kind(horizon, actions.unit.shape[-1], chosen)
    tokenizer.fit(fit, seed)
    lost = error(tokenizer, held_out)
    notes = {"source": str(options.source), "env": actions.env, "seed": seed, "chunks": len(fit), "error": lost}
    files.save(out, tokenizer, notes)
    return TokenizeResult(out, tokenizer, actions.env, len(fit), len(held_out), lost, float(held_out.std()))
