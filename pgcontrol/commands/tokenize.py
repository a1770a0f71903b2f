"""Learn tokens from a run's actions or a dataset, for --head token."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from pgcontrol.arguments import seed, whole

SETTINGS_OF_KINDS = {
    "codes": "values of a code",
    "levels": "codebooks of rvq",
    "length": "tokens a chunk of fast",
    "scale": "fineness of fast",
}


def arguments(parser: ArgumentParser) -> None:
    """Source, kind and its settings."""
    parser.add_argument("source", type=Path, metavar="RUN|DATASET", help="run folder, Minari dataset, or .npz file")
    parser.add_argument("--kind", default="kmeans", help="bins, kmeans, vq, rvq or fast [kmeans]")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="the folder to write")
    parser.add_argument("--horizon", type=whole, default=1, metavar="H", help="actions a chunk [1]")
    for name, what in SETTINGS_OF_KINDS.items():
        parser.add_argument(f"--{name}", metavar=name[0].upper(), help=f"{what} [the kind's own]")
    parser.add_argument("--steps", type=whole, default=32_000, metavar="N", help="steps to play of a run [32_000]")
    parser.add_argument("--seed", type=seed, default=0, help="of start states, samples and the fit [0]")


def run(given: Namespace) -> int:
    """The folder of tokens."""
    from pgcontrol.data.tokenize import tokenize

    said = {name: getattr(given, name) for name in SETTINGS_OF_KINDS if getattr(given, name) is not None}
    tokenize(given.source, given.kind, given.out, given.horizon, said, given.steps, given.seed)
    return 0
