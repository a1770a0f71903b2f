"""Did the spread cost a natural run something? The answer of its branches, in the rows of natural.jsonl."""

import itertools
import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

from pgcontrol.diagnosis.counterfactual import can_widen, widths
from pgcontrol.measures.collapse import Gain, collapse
from pgcontrol.measures.curves import RETURN, column
from pgcontrol.measures.families import holm
from pgcontrol.measures.statistics import probability_of_improvement, welch
from pgcontrol.measures.verdicts import COLLAPSED, Limits

HERE = Path(__file__).parent
ROWS, LOGS = HERE / "natural.jsonl", HERE / "natural.logs"
FRACTIONS = (0.1, 0.25, 0.5, 0.75)  # of the budget, where branches begin
ARMS, SEEDS = ("alone", "widened"), 4
KINDS = tuple(itertools.product(("rest", "fresh"), ("mode", "sampled")))  # schedules and scores of branches
TRUTH = ("rest", "mode")  # the run's own schedule, scored as policies are deployed; the others are only shown
LEAST = 0.1  # smallest gain that counts, as a fraction of the range of the return
# p-value of a cost. It is looked at twice, with SEEDS and with twice as many branches per arm; with 0.028 for each look
# the chance of claiming a cost where there is none is 5 % at most (Pocock 1977, Biometrika 64, two looks)
LEVEL = 0.028


class Cost(NamedTuple):
    """The gain of widening at one place, with one schedule, by one score.

    Attributes:
        p: one-sided p-value of "no gain" (Welch).
        seeds: branches of each arm; 0 if there was nothing to widen, so that there is no gain.
        share: the gain as a fraction of the range of the return in the run and in these branches.
        most: upper bound of the share: that of its 95 % interval (Welch).
        scale: the range of the return.
        scores: of the widened branches, and of the others.
    """

    at: float
    gain: float
    p: float
    share: float
    most: float
    seeds: int
    scale: float = 1.0
    scores: tuple[list[float], list[float]] = ([], [])

    def measured(self, of: int) -> Gain:
        """The gain as `pgcontrol diagnose` measures it, one of several places."""
        widened, alone = self.scores
        better = probability_of_improvement([(widened, alone)])
        return Gain(self.gain, welch(widened, alone, of), better, self.seeds, self.scale)


@dataclass(frozen=True)
class Judged:
    """A run and its branches.

    Attributes:
        about: its row, with settings, seed and the verdict at its end.
        log: its thinned log.
        branches: rows of its branches.
    """

    about: dict[str, Any]
    log: list[dict[str, Any]]
    branches: list[dict[str, Any]]

    @property
    def name(self) -> str:
        """The name of the run."""
        return self.about["run"]

    @property
    def gaussian(self) -> bool:
        """Whether its head is a Gaussian."""
        return gaussian(self.about["settings"])

    def narrow(self, at: float) -> bool:
        """Whether the policy is narrower there than a widened one; otherwise branches would compare equal policies."""
        return can_widen(*widths(self.log, int(at * self.about["settings"]["total_steps"])))

    def costs(self, schedule: str, score: str) -> list[Cost]:
        """The costs at the places that have all branches, or twice as many, and at those with nothing to widen.

        A branch that diverged counts as the worst.
        """
        mine = [row for row in self.branches if row["schedule"] == schedule]
        scores = [row[score] for row in mine if row[score] is not None]
        scale, found = float(np.ptp([*scores, *column(self.log, RETURN)[1]] or [0.0])), list[Cost]()
        for at in FRACTIONS:
            here = {(row["arm"], row["branch"]): row[score] for row in mine if row["at"] == at}
            whole = [n for n in (2 * SEEDS, SEEDS) if {*itertools.product(ARMS, range(n))} <= here.keys()]
            alone, widened = (
                [min(scores) if here[arm, i] is None else here[arm, i] for i in range(max(whole, default=0))]
                for arm in ARMS
            )
            if whole:
                gain, unit = float(np.mean(widened) - np.mean(alone)), scale or 1.0
                most = (gain + welch(widened, alone)) / unit
                p = no_gain(widened, alone)
                found.append(Cost(at, gain, p, gain / unit, most, len(alone), unit, (widened, alone)))
            elif not self.narrow(at):
                found.append(Cost(at, 0.0, 1.0, 0.0, 0.0, 0))
        return found

    def lost(self, schedule: str = TRUTH[0], score: str = TRUTH[1]) -> float | bool | None:
        """The first place at which the spread cost the run something; False: at no place; None: branches are missing.

        A cost is a gain of more than a tenth of the return's range, with p < `LEVEL`, corrected for the places by Holm.
        """
        places = self.costs(schedule, score)
        if self.about["status"] != "finished" or len(places) < len(FRACTIONS):
            return None
        if (schedule, score) == TRUTH and self.undecided():
            return None
        return self._first(places)

    def _first(self, places: list[Cost]) -> float | bool:
        corrected = zip(places, holm([place.p for place in places]), strict=True)
        return next((place.at for place, p in corrected if place.share > LEAST and p < LEVEL), False)

    def undecided(self) -> list[float]:
        """The places that need twice as many branches: the gain is large enough, but it may be chance."""
        places = self.costs(*TRUTH)
        if len(places) < len(FRACTIONS) or self._first(places):
            return []
        return [place.at for place in places if place.share > LEAST and place.seeds < 2 * SEEDS]

    @property
    def open(self) -> bool:
        """Whether no cost is proved, but the branches do not exclude one either."""
        return self.lost() is False and max(place.most for place in self.costs(*TRUTH)) > LEAST

    def branched(self) -> bool | None:
        """Whether a few branches show a cost, as `pgcontrol diagnose` judges it: short ones, at three places.

        Those of `diagnose` are a little longer and continue the run's schedule, and there are five of each kind. The
        truth is measured with other branches. None: some are missing.
        """
        places = [place for place in self.costs("fresh", "mode") if place.at <= 0.5]
        if self.about["status"] != "finished" or len(places) < 3:
            return None
        gains = [place.measured(len(places)) for place in places if place.seeds]
        return collapse(self.log, self.about["settings"]["total_steps"], Limits(), gains).word == COLLAPSED


def gaussian(settings: Mapping[str, Any]) -> bool:
    """Whether the head is a Gaussian, with one σ, with one for each state, or squashed."""
    return str(settings.get("head", "gaussian")).startswith("gaussian")


def no_gain(widened: list[float], alone: list[float]) -> float:
    """One-sided p-value of "widening does not raise the mean" (Welch); equal scores have 1, or 0 if it is higher."""
    if np.ptp(widened) == np.ptp(alone) == 0:
        return float(widened[0] <= alone[0])
    ours, theirs = ((np.mean(scores), np.std(scores, ddof=1), len(scores)) for scores in (widened, alone))
    return float(stats.ttest_ind_from_stats(*ours, *theirs, equal_var=False, alternative="greater").pvalue)


def rows() -> list[dict[str, Any]]:
    """All rows, of runs and of branches."""
    return [json.loads(line) for line in ROWS.read_text().splitlines()] if ROWS.exists() else []


def judged() -> dict[str, Judged]:
    """The runs by name, in alphabetical order. If a run was made more than once, the last one counts."""
    about: dict[str, dict[str, Any]] = {}
    of_run: dict[tuple[str, str | None], dict[tuple, dict[str, Any]]] = defaultdict(dict)
    for row in rows():
        if "arm" in row:
            branch = tuple(row[key] for key in ("at", "schedule", "arm", "branch"))
            of_run[row["run"], row.get("of")][branch] = row
        else:
            about[row["run"]] = row
    return {
        name: Judged(row, [json.loads(line) for line in _log(name)], [*of_run[name, row.get("of")].values()])
        for name, row in sorted(about.items())
    }


def _log(name: str) -> list[str]:
    return (LOGS / f"{name}.jsonl").read_text().splitlines()
