"""The rows of a search's trials, in a file next to the YAML, and the best of them."""

import dataclasses
import json
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pgcontrol.machine import files
from pgcontrol.options import InputError

Returns = dict[str, list[float]]  # task -> one return per seed
FINISHED, STOPPED, DIVERGED, CRASHED, IMPOSSIBLE = STATES = (
    "finished",
    "stopped early",
    "diverged",
    "crashed",
    "impossible",
)


@dataclass(frozen=True, kw_only=True)
class TrialRow:
    """A trial that has ended.

    Attributes:
        number: number of the trial in its arm, from 0.
        state: one of `STATES`.
        settings: the searched settings, by dotted name.
        returns: returns of the final policy's mode, for the runs that finished.
        scores: the returns, normalised or as ranks.
        values: (stage, mean score up to it) of each evaluation, in order.
        steps: environment steps of all its runs.
        seconds: total duration of its runs.
        why: the reason, if the trial did not finish.
        search: `Search.fingerprint` of its search.
        defaults: `Search.defaults` when it was made; empty in rows of older versions.
        revision: commit of the source tree.
        optuna: version of Optuna.
    """

    arm: str
    number: int
    state: str
    settings: dict[str, Any]
    returns: Returns
    scores: Returns
    values: list[tuple[int, float]]
    steps: int
    seconds: float
    why: str
    search: str
    defaults: str = ""
    revision: str | None
    optuna: str
    date: str

    @property
    def finished(self) -> bool:
        """Whether all its runs finished, so that it can be chosen."""
        return self.state == FINISHED

    @property
    def score(self) -> float:
        """Mean score over its runs."""
        return float(np.mean([*self.scores.values()]))

    def on(self, task: str) -> float:
        """Mean score over its runs on one task."""
        return float(np.mean(self.scores[task]))

    @property
    def seeds(self) -> np.ndarray:
        """Mean score over its tasks for each seed, [S]."""
        return np.mean([*self.scores.values()], axis=0)

    @classmethod
    def read(cls, line: dict[str, Any]) -> "TrialRow":
        """From JSON.

        Raises:
            KeyError, TypeError, ValueError: it is not a valid row.
        """
        found = cls(**{f.name: line[f.name] for f in dataclasses.fields(cls) if f.name in line})
        numbers = [number for each in (found.returns, found.scores) for row in each.values() for number in row]
        if found.state not in STATES or not all(math.isfinite(number) for number in numbers):
            raise ValueError
        if found.finished and len({len(row) for row in found.returns.values()}) != 1:
            raise ValueError
        return dataclasses.replace(found, values=[(int(at), float(value)) for at, value in found.values])


def decimals(score: float) -> str:
    """A score or a difference of scores with three decimals, because scores are about 1."""
    return f"{score:.3f}"


def file_of(sweep: Path) -> Path:
    """The file with the rows of a sweep's trials."""
    return sweep.with_suffix(".search.jsonl")


def read(file: Path) -> list[TrialRow]:
    """Read the rows of a file; empty if it does not exist.

    Raises:
        InputError: a row is damaged; names the line.
    """
    found = []
    for number, line in enumerate(files.read_text(file, "replace").splitlines() if file.exists() else (), start=1):
        try:
            found.append(TrialRow.read(files.unsealed(json.loads(line))))
        except (ValueError, KeyError, TypeError, AttributeError):
            raise InputError(f"{file}: line {number} is not a valid trial; delete it") from None
    return found


def write(file: Path, rows: Iterable[TrialRow]) -> None:
    """Replace the rows of a file."""
    files.replace({file: "".join(json.dumps(files.sealed(dataclasses.asdict(row))) + "\n" for row in rows)})


def ranked(rows: Sequence[TrialRow]) -> list[TrialRow]:
    """An arm's rows with ranks as scores: the share of the other finished trials with a smaller return."""
    done = [row for row in rows if row.finished]
    if not done:
        return [*rows]
    ranks = dict[int, Returns]()
    for task in done[0].returns:
        returns = np.array([row.returns[task] for row in done])  # [n, S]
        less = (returns[:, None] > returns[None]).sum(1) + 0.5 * ((returns[:, None] == returns[None]).sum(1) - 1)
        for row, shares in zip(done, less / max(len(done) - 1, 1), strict=True):
            ranks.setdefault(row.number, {})[task] = shares.tolist()
    return [dataclasses.replace(row, scores=ranks.get(row.number, {})) for row in rows]


def first(rows: Iterable[TrialRow], count: int) -> list[TrialRow]:
    """The first trials of each arm: others were made when the YAML asked for more, and do not count for any arm."""
    return [row for row in rows if row.number < count]


class Best(NamedTuple):
    """An arm's finished trials, the best first.

    Attributes:
        noise: standard deviation between the seeds of a trial, pooled over trials; None if each has one seed.
    """

    trials: list[TrialRow]
    noise: float | None
    counts: dict[str, int]

    @property
    def ahead(self) -> float | None:
        """Lead of the first trial over the second; None if there is only one."""
        return self.trials[0].score - self.trials[1].score if len(self.trials) > 1 else None


def best(rows: Iterable[TrialRow], arm: str) -> Best:
    """The trials of one arm; of two equal trials, the earlier one comes first."""
    own = [row for row in rows if row.arm == arm]
    done = sorted((row for row in own if row.finished), key=lambda row: (-row.score, row.number))
    several = [row.seeds.var(ddof=1) for row in done if len(row.seeds) > 1]
    noise = float(np.sqrt(np.mean(several))) if several else None
    return Best(done, noise, dict(Counter(row.state for row in own)))
