"""What would have helped the natural runs whose spread cost them something? And does a training help itself?

    python experiments/natural_remedies.py make [--part 0/1] [--runs runs/natural]
    python experiments/natural_remedies.py table

Remedies: each run of natural.py that is known to have lost something is trained again with one change, with four new
seeds. The same seeds without a change are the control: a run that was chosen for its low return is followed by better
ones in any case. Reactions: each run of the half that judges the rule is trained
again with `on_collapse: widen`. It is the same to the bit until the training reacts. A difference after that is the
effect and the noise of a single run, so it says something about all runs together, not about one.
Rows are added to natural_remedies.jsonl as they come and are not made again.
"""

from __future__ import annotations

import datetime
import json
import sys
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from experiments.natural import Natural, made, natural_runs, parser  # noqa: E402
from experiments.natural_truth import LEAST, Judged, gaussian, judged, no_gain  # noqa: E402
from pgcontrol.machine.threads import one_thread  # noqa: E402
from pgcontrol.measures.curves import RETURN, column  # noqa: E402
from pgcontrol.options import InputError  # noqa: E402
from pgcontrol.runs.config import configure  # noqa: E402
from pgcontrol.runs.folder import RunFolder  # noqa: E402
from pgcontrol.runs.log import read_rows  # noqa: E402
from pgcontrol.text import count, short  # noqa: E402

ROWS = HERE / "natural_remedies.jsonl"
NEW_SEEDS = (900, 901, 902, 903)
LEVEL = 0.05  # p-value of a remedy's effect on one run
UNCHANGED, ENTROPY, REACTION = "no change", "entropy target", "widened when suspected"
# what a run's head or rule does not have, or what the run has already, is left out for it
REMEDIES: Mapping[str, Mapping[str, Any]] = {
    UNCHANGED: {},
    "σ at least 0.2": {"head.min_std": 0.2},
    "slow σ": {"head.std_rate": 0.1},
    ENTROPY: {"algorithm.entropy_target": 0.0},
    "first σ 0.6": {"head.initial_std": 0.6},
    "σ of the state": {"head": "gaussian-state"},
    "bins": {"head": "binned"},
    "ordinal bins": {"head": "ordinal"},
    "recommended Gaussian": {"head": "gaussian"},
    "PPO": {"algorithm": "ppo"},
    "TRPO": {"algorithm": "trpo"},
    REACTION: {"on_collapse": "widen"},
}


class Trial(NamedTuple):
    """A run to make.

    Attributes:
        of: the natural run that it repeats.
        remedy: what is changed.
    """

    of: Natural
    remedy: str
    seed: int

    @property
    def run(self) -> Natural:
        """What is trained; settings of another head are left to the recommendations."""
        change, kept = REMEDIES[self.remedy], dict(self.of.settings)
        for part in ("head", "algorithm"):
            if part in change:
                kept = {name: value for name, value in kept.items() if name.split(".")[0] != part}
        return Natural(self.of.env, self.seed, kept | dict(change))

    def possible(self) -> bool:
        """Whether the run has the options of the remedy, and does not have these values already."""
        if self.remedy == ENTROPY and not gaussian(self.of.settings):
            return False  # the entropy of bins is never below 0
        try:
            return self.remedy == UNCHANGED or _config(self.run) != _config(self.of._replace(seed=self.seed))
        except InputError:
            return False

    @property
    def reacts(self) -> bool:
        """Whether it differs from a run that judges the rule only by its reaction to a suspicion."""
        return self.remedy == REACTION and self.seed == self.of.seed and self.seed % 2 == 1


def _config(run: Natural) -> Any:
    return configure({"env": run.env, "seed": run.seed, **run.settings})


def trials(found: Mapping[str, Judged]) -> list[Trial]:
    """All remedies of the runs that lost something, and a reaction of each run that judges the rule."""
    runs, wanted = {run.name: run for run in natural_runs()}, []
    for name, run in found.items():
        if run.lost() not in (None, False):
            wanted += [Trial(runs[name], remedy, seed) for remedy in REMEDIES for seed in NEW_SEEDS]
        if runs[name].seed % 2:
            wanted.append(Trial(runs[name], REACTION, runs[name].seed))
    return [trial for trial in wanted if trial.possible()]


def make(part: tuple[int, int], where: Path) -> None:
    """Make all missing runs of every n-th trial."""
    have = {(row["of"], row["remedy"], row["seed"]) for row in rows()}
    number, of = part
    for trial in trials(judged()):
        name = f"{trial.of.name}-{trial.remedy.replace(' ', '-')}-s{trial.seed}"
        mine = zlib.crc32(name.encode()) % of == number  # the same part, however many runs there are
        if not mine or (trial.of.name, trial.remedy, trial.seed) in have:
            continue
        try:
            folder = made(trial.run, where / "remedies" / name)
        except InputError as error:  # only a learner knows that its rule refuses it
            print(f"{trial.of.name}, {trial.remedy}: {error}", flush=True)
            continue
        manifest = folder.manifest()
        row = {"of": trial.of.name, "remedy": trial.remedy, "seed": trial.seed, "status": manifest["status"]}
        row |= ended(folder) | {"acted": len(manifest.get("on_collapse", [])), "verdict": manifest["verdict"]}
        if trial.reacts:  # on another kind of CPU the run without a reaction is another one, too
            row["without"] = ended(made(trial.of, where / trial.of.name))["mode"] if row["acted"] else row["mode"]
        row |= {"revision": manifest["git"], "date": datetime.date.today().isoformat()}
        with ROWS.open("a") as file:
            file.write(json.dumps(row) + "\n")
        print(f"{trial.of.name}, {trial.remedy}, seed {trial.seed}: {row['mode']}", flush=True)


def ended(folder: RunFolder) -> dict[str, float | None]:
    """The returns of the last evaluation; None: the run diverged."""
    log = read_rows(folder.metrics_file) if folder.manifest()["status"] == "finished" else []
    last = next((row for row in reversed(log) if "eval/mean_reward" in row), {})
    return {"mode": last.get("eval/mean_reward"), "sampled": last.get("eval/mean_reward_sampled")}


class Effect(NamedTuple):
    """The effect of a remedy on a run: the gain over no change, as a fraction of the range of the return.

    Attributes:
        better, worse: p-values of "it is not higher" and "it is not lower" (Welch, one-sided).
    """

    share: float
    better: float
    worse: float

    @property
    def word(self) -> str:
        """Saved or harmed: the difference is large enough and unlikely to be chance."""
        if self.share > LEAST and self.better < LEVEL:
            return "saved"
        return "harmed" if self.share < -LEAST and self.worse < LEVEL else "neither"


def effects(trained: list[dict[str, Any]], found: Mapping[str, Judged]) -> dict[str, dict[str, Effect]]:
    """Remedy -> run -> effect, for runs with all seeds. A trial that diverged counts as the worst of the same run."""
    scores: dict[str, dict[str, list[float | None]]] = {}
    for row in (row for row in trained if row["seed"] in NEW_SEEDS):
        scores.setdefault(row["of"], {}).setdefault(row["remedy"], []).append(row["mode"])
    effect: dict[str, dict[str, Effect]] = {}
    for name, of_run in scores.items():
        known = [score for of_remedy in of_run.values() for score in of_remedy if score is not None]
        whole = {
            remedy: [min(known) if score is None else score for score in of_remedy]
            for remedy, of_remedy in of_run.items()
            if known and len(of_remedy) == len(NEW_SEEDS)
        }
        theirs = whole.pop(UNCHANGED, [])
        for remedy, ours in whole.items() if theirs else ():
            share = _share(float(np.mean(ours) - np.mean(theirs)), theirs, found[name])
            effect.setdefault(remedy, {})[name] = Effect(share, no_gain(ours, theirs), no_gain(theirs, ours))
    return effect


def table() -> None:
    """Write natural_remedies.md."""
    trained, found = rows(), judged()
    lines = [
        "# What would have helped runs whose spread cost them something?",
        "",
        "`python experiments/natural_remedies.py table`. Each of these runs of [natural.md](natural.md) was trained",
        "again with one change, with four new seeds; the same seeds without a change are the control.",
        "*Saved*: the mean return is higher by more than a tenth of the range of the return in the run and in the",
        "control, with p < 0.05 (Welch, one-sided, not corrected); *harmed*: lower, in the same way. The mean gain is",
        "in percent of that range.",
        "",
        "| remedy | runs | saved | harmed | mean gain |",
        "|---|---:|---:|---:|---:|",
    ]
    for remedy, of_runs in effects(trained, found).items():
        words = [effect.word for effect in of_runs.values()]
        mean = 100 * float(np.mean([effect.share for effect in of_runs.values()]))
        lines.append(f"| {remedy} | {len(words)} | {words.count('saved')} | {words.count('harmed')} | {mean:+.0f} % |")
    lines += ["", "## Trainings that widen by themselves", "", *reactions(trained, found)]
    (HERE / "natural_remedies.md").write_text("\n".join(lines) + "\n")


def reactions(trained: list[dict[str, Any]], found: Mapping[str, Judged]) -> Iterator[str]:
    """Lines about `on_collapse: widen` on the runs that judge the rule, with their own seeds."""
    own = [row for row in trained if "without" in row]
    acted = [row for row in own if row["acted"]]
    yield f"`on_collapse: widen` on {len(own)} runs that judge the rule, with the same seeds: {len(acted)} were"
    yield "widened, the others are the same to the bit. The difference is in percent of the range of the return. Each"
    yield "is the effect and the noise of a single run."
    yield ""
    yield "| run | it lost something | widened | without | with widening | difference |"
    yield "|---|---|---:|---:|---:|---:|"
    for row in acted:
        run = found[row["of"]]
        lost = {None: "", False: "no"}.get(run.lost(), "yes")
        cells = [row["of"], lost, count(row["acted"], "time"), *_ends(row), _difference(row, run)]
        yield f"| {' | '.join(cells)} |"


def _ends(row: Mapping[str, Any]) -> list[str]:
    return ["diverged" if row[end] is None else short(row[end]) for end in ("without", "mode")]


def _difference(row: Mapping[str, Any], run: Judged) -> str:
    if None in (ends := [row["without"], row["mode"]]):
        return ""
    return f"{100 * _share(ends[1] - ends[0], ends[:1], run):+.0f} %"


def _share(gain: float, unchanged: Sequence[float], run: Judged) -> float:
    """A gain as a share of the range of the return in the run and at the ends of unchanged runs."""
    scale = float(np.ptp([*unchanged, *column(run.log, RETURN)[1]]))
    return gain / scale if scale > 0 else 0.0


def rows() -> list[dict[str, Any]]:
    """All rows."""
    return [json.loads(line) for line in ROWS.read_text().splitlines()] if ROWS.exists() else []


def main() -> None:
    """Parse the command line and run it."""
    given = parser(str(__doc__)).parse_args()
    if given.what == "table":
        return table()
    number, of = map(int, given.part.split("/"))
    with one_thread():
        make((number, of), given.runs)


if __name__ == "__main__":
    main()
