"""How often a verdict was right on runs that were not tuned to fail.

`python experiments/natural.py table` writes error_rates.json. Long branches from four checkpoints of each run show
whether its spread cost it something. Only runs count that were not used to find the rule.
"""

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from pgcontrol.measures.statistics import Interval, share_interval
from pgcontrol.text import count

FILE = Path(__file__).with_name("error_rates.json")


@dataclass(frozen=True)
class Rates:
    """What a verdict said about runs, and what was true.

    Attributes:
        said: number of runs with the verdict.
        true: number of runs whose spread cost them something.
        both: number of runs with both.
    """

    said: int
    true: int
    both: int

    @classmethod
    def of(cls, judged: Sequence[tuple[bool, bool]]) -> "Rates":
        """From (has the verdict, its spread cost it something) for each run."""
        return cls(sum(s for s, _ in judged), sum(t for _, t in judged), sum(s and t for s, t in judged))

    @property
    def precision(self) -> str:
        """The fraction of the runs with the verdict for which it is right, with its 95 % interval."""
        return fraction(self.both, self.said)

    @property
    def recall(self) -> str:
        """The fraction of the runs that should have the verdict and have it, with its 95 % interval."""
        return fraction(self.both, self.true)


def fraction(of: int, total: int) -> str:
    """For example “0.75 (0.30 … 0.95; 3 of 4)”, with Wilson's 95 % interval."""
    if not total:
        return "– (0 of 0)"
    share = _share(of, total)
    return f"{share.estimate:.2f} ({share.low:.2f} … {share.high:.2f}; {of} of {total})"


def write(rates: dict[str, dict[str, Rates]]) -> None:
    """Store the rates of each kind of heads, such as “a Gaussian head”, and each verdict."""
    found = {kind: {word: asdict(rate) for word, rate in words.items()} for kind, words in rates.items()}
    FILE.write_text(json.dumps(found, indent=1) + "\n")


def measured() -> dict[str, dict[str, Rates]]:
    """The rates of each kind of heads and each verdict."""
    found = json.loads(FILE.read_text())
    return {kind: {word: Rates(**rate) for word, rate in words.items()} for kind, words in found.items()}


def sentences(words: Collection[str]) -> str:
    """What is known of the errors of these verdicts; empty if nothing is."""
    return " ".join(_sentences(words))


def _sentences(words: Collection[str]) -> Iterator[str]:
    for kind, rates in measured().items():
        for word, rate in rates.items():
            if word not in words or not (rate.said or rate.true):
                continue
            found = [f"was right in {rate.both} of {count(rate.said, 'run')}{_interval(rate.both, rate.said)}"]
            missed = f"found {rate.both} of {count(rate.true, 'run')} whose spread cost them something"
            found += [f"{missed}{_interval(rate.both, rate.true)}"] if rate.true else []
            yield f"Among runs with {kind} that nobody tuned to collapse, “{word}” {' and '.join(found)}."


def _interval(of: int, total: int) -> str:
    """The 95 % interval of a share, in brackets; empty if there are no runs."""
    if not total:
        return ""
    share = _share(of, total)
    return f" ({100 * share.low:.0f} to {100 * share.high:.0f} %)"


def _share(of: int, total: int) -> Interval:
    return share_interval(np.arange(total) < of)
