"""`pgcontrol tokenize`: a tokenizer folder from the actions of a run or a dataset."""

import math
from pathlib import Path
from typing import Any

from rich.console import Console
from torch import Tensor

from pgcontrol.data.actions import Actions, of
from pgcontrol.options import InputError
from pgcontrol.tokenizers import files
from pgcontrol.tokenizers.base import Tokenizer, windows

HELD_OUT = 0.2


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


def tokenize(
    source: Path, kind: type[Tokenizer], out: Path, horizon: int, options: Any, steps: int, seed: int
) -> Tokenizer:
    """Fit a tokenizer, print how well it does, write its folder.

    Args:
        source: a run folder or checkpoint, a Minari dataset, or an .npz file.
        kind: a tokenizer's class.
        out: the folder to write, which must not exist.
        horizon: actions a chunk.
        options: of that class.
        steps: environment steps to play, when the source is a run.
        seed: of start states, samples, and the fit.

    Raises:
        InputError: one line that names what is wrong; nothing is written.
    """
    if out.exists():
        raise InputError(f"--out {out} exists already; name a folder that does not")
    kind(horizon, 1, options).require()  # before anything takes time
    actions = of(source, steps, seed)
    fit, held_out = split(actions, horizon)
    tokenizer = kind(horizon, actions.unit.shape[-1], options)
    tokenizer.fit(fit, seed)
    lost = error(tokenizer, held_out)
    notes = {"source": str(source), "env": actions.env, "seed": seed, "chunks": len(fit), "error": lost}
    files.save(out, tokenizer, notes)
    spread = float(held_out.std())
    say = Console(highlight=False, soft_wrap=True).print
    say(f"{len(fit):,} chunks of {horizon} from {source}, sampled with seed {seed}; {len(held_out):,} held out")
    bits = tokenizer.length * math.log2(tokenizer.codes) / horizon
    say(f"{tokenizer.length} codes of {tokenizer.codes}: {bits:.2f} bits per action")
    say(f"error {lost:.4f} half-ranges (root mean square, held out); the actions' deviation is {spread:.4f}")
    flags = files.flags(tokenizer)
    say(f"pgcontrol train {actions.env or 'TASK'} --head token --head.source {out} {flags}", markup=False)
    return tokenizer
