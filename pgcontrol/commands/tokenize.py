"""Learn tokens from a run's actions or a dataset, for --head token."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pgcontrol.flags import Section
from pgcontrol.options import REQUIRED, option, pick, read_options


@dataclass(frozen=True)
class Options:
    """Source, kind and size of the chunks; the kind's own options are settings."""

    source: Path = option(REQUIRED, "run folder, Minari dataset, or .npz file", metavar="RUN|DATASET", positional=True)
    out: Path = option(REQUIRED, "the folder to write", metavar="DIR")
    kind: str = option("kmeans", "what kind of tokenizer, see below", metavar="NAME")
    horizon: int = option(1, "actions a chunk", least=1, metavar="H")
    steps: int = option(32_000, "steps to play of a run", least=1)
    seed: int = option(0, "of start states, samples and the fit", least=0)


def run(options: Options, settings: Mapping[str, str]) -> int:
    """The folder of tokens."""
    from pgcontrol.data.tokenize import tokenize
    from pgcontrol.tokenizers.files import kinds

    flags = [field.name for field in dataclasses.fields(Options)]
    kind = pick("tokenizer", options.kind, kinds())
    own = kind.Options(**read_options(kind.Options, settings, others=flags))
    tokenize(options.source, kind, options.out, options.horizon, own, options.steps, options.seed)
    return 0


def sections(options: Options, settings: Mapping[str, str]) -> list[Section]:
    """What the chosen kind lets one set."""
    from pgcontrol.tokenizers.files import kinds

    chosen = pick("tokenizer", options.kind, kinds())
    return [Section(f"--kind NAME: {' | '.join(kinds())} [{options.kind}]", chosen.Options())]
