"""`pgcontrol tokenize`: fits a tokenizer to the actions of a run or a dataset, and writes its folder."""

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
    """A fitted tokenizer.

    Attributes:
        path: its folder.
        env: the task of the actions, if known.
        chunks: number of chunks it was fitted to.
        held_out: number of held-out chunks.
        error: root mean square error of encoding the held-out chunks, in half-ranges.
        deviation: standard deviation of the held-out chunks, in half-ranges.
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
        """Bits per action."""
        return self.tokenizer.length * math.log2(self.tokenizer.codes) / self.tokenizer.horizon


def split(actions: Actions, horizon: int) -> tuple[Tensor, Tensor]:
    """Chunks to fit, and held-out chunks from the last fifth of the time.

    Raises:
        InputError: there are too few actions for chunks of this length.
    """
    cut = int(len(actions.unit) * (1 - HELD_OUT))
    parts = [windows(actions.unit[s], actions.ends[s], horizon) for s in (slice(None, cut), slice(cut, None))]
    if not all(len(part) for part in parts):
        raise InputError(f"horizon = {horizon}: too long; there are at most {len(actions.unit)} actions in a row")
    return parts[0], parts[1]


def error(tokenizer: Tokenizer, chunks: Tensor) -> float:
    """Root mean square error of encoding, in half-ranges."""
    return float((tokenizer.decode(tokenizer.encode(chunks)) - chunks).square().mean().sqrt())


@takes(TokenizeOptions, further="")
def tokenize(options: TokenizeOptions, own: dict[str, Any]) -> TokenizeResult:
    """Fit a tokenizer and write its folder; further arguments are the options of its kind.

    Raises:
        InputError: one line that names what is wrong; nothing is written.
    """
    kind = pick("tokenizer", options.kind, files.kinds())
    others = [field.name for field in dataclasses.fields(TokenizeOptions)]
    chosen = kind.Options(**read_options(kind.Options, own, others=others))
    out, horizon, seed = options.out, options.horizon, options.seed
    if out.exists():
        raise InputError(f"--out {out} exists already; choose a folder that does not exist")
    kind(horizon, 1, chosen).require()  # check this before slow work
    actions = of(options.source, options.steps, seed, options.clip_actions)
    fit, held_out = split(actions, horizon)
    tokenizer = kind(horizon, actions.unit.shape[-1], chosen)
    tokenizer.fit(fit, seed)
    lost = error(tokenizer, held_out)
    notes = {"source": str(options.source), "env": actions.env, "seed": seed, "chunks": len(fit), "error": lost}
    files.save(out, tokenizer, notes)
    return TokenizeResult(out, tokenizer, actions.env, len(fit), len(held_out), lost, float(held_out.std()))
