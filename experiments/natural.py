"""Did the spread cost a run something? Ordinary runs, with branches that show what a wider policy would have reached.

    python experiments/natural.py make [--part 0/1] [--runs runs/natural] [--envs Fork-v0 ...]
    python experiments/natural.py table

No run is tuned to collapse. Branches from four checkpoints of each run show the truth, at a cost that no user could
afford: at each checkpoint four branches are widened and four are unchanged, with the rest of the run's schedule and
with a fresh one, scored by the mode and by samples. Where the policy is still wide, there are no branches. Where a gain
is large enough but may be chance, four more branches of each kind are added, once. Rows are added to natural.jsonl as
they come and are not made again. Thinned logs of the runs go to natural.logs/. A policy with a weak mode is also played
in other ways. Runs with an even seed are for finding a rule, the others for judging it.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import hashlib
import itertools
import json
import shutil
import sys
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

import pgcontrol  # noqa: E402
from experiments.natural_truth import (  # noqa: E402
    ARMS,
    FRACTIONS,
    KINDS,
    LEAST,
    LOGS,
    ROWS,
    SEEDS,
    TRUTH,
    Judged,
    judged,
)
from pgcontrol.diagnosis import weak_mode  # noqa: E402
from pgcontrol.diagnosis.counterfactual import closest, reseed, widths  # noqa: E402
from pgcontrol.learning.rule import Diverged  # noqa: E402
from pgcontrol.machine.threads import one_thread  # noqa: E402
from pgcontrol.measures import error_rates  # noqa: E402
from pgcontrol.measures.collapse import collapse  # noqa: E402
from pgcontrol.measures.curves import KL, RETURN, SPREAD, STEPS, column, smooth  # noqa: E402
from pgcontrol.measures.error_rates import Rates, fraction  # noqa: E402
from pgcontrol.measures.returns import Reach  # noqa: E402
from pgcontrol.measures.verdicts import COLLAPSED, SUSPECTED, WEAK_MODE, Limits  # noqa: E402
from pgcontrol.runs import checkpoint, reached  # noqa: E402
from pgcontrol.runs.folder import RunFolder  # noqa: E402
from pgcontrol.runs.load import env_to_play, load  # noqa: E402
from pgcontrol.runs.log import read_rows  # noqa: E402
from pgcontrol.training.learner import Learner  # noqa: E402
from pgcontrol.training.train import scored  # noqa: E402

EPISODES = 20
FRESH = 0.2  # length of a branch with a fresh schedule, as a share of the run's budget
KEPT = (SPREAD, "health/spread_joint", "health/sensitivity", "health/modes", "eval/mean_reward")
EVERY = 500  # largest number of rows of a log that are kept in addition to those with measurements


class Natural(NamedTuple):
    """A run of the set."""

    env: str
    seed: int
    settings: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The name of its folder and in its rows."""
        said = [f"{key.split('.')[-1]}-{value}" for key, value in self.settings.items() if key != "total_steps"]
        return "-".join([self.env.removesuffix("-v5").removesuffix("-v0"), *said, f"s{self.seed}"])


NPG, TRPO, A2C = ({"algorithm": name} for name in ("npg", "trpo", "a2c"))
STATE, TANH, BINNED, ORDINAL, OFFSET = (
    {"head": name} for name in ("gaussian-state", "gaussian-tanh", "binned", "ordinal", "token-offset")
)
WIDE, NARROW = {"head.initial_std": 1.0}, {"head.initial_std": 0.1}
TWO, FOUR = (200, 201), (200, 201, 202, 203)
# (task, budget, [(settings that differ from the recommended ones, seeds)])
SET: tuple[tuple[str, int, list[tuple[dict[str, Any], tuple[int, ...]]]], ...] = (
    ("HalfCheetah-v5", 500_000, [({}, FOUR), (NPG, TWO), (A2C, TWO), (WIDE, TWO), (NARROW, TWO), (OFFSET, TWO)]),
    ("Hopper-v5", 1_000_000, [(NPG, (200,))]),
    ("Hopper-v5", 500_000, [({}, TWO), (A2C, TWO), (NARROW, TWO), (BINNED, TWO), (STATE, TWO)]),
    ("Walker2d-v5", 500_000, [({}, TWO), (OFFSET, TWO), (WIDE, TWO)]),
    ("Ant-v5", 500_000, [({}, TWO), (BINNED, TWO)]),
    ("Reacher-v5", 500_000, [({}, FOUR), (NPG, TWO), (BINNED, TWO), (ORDINAL, TWO), (STATE, TWO)]),
    ("Needle-v0", 400_000, [({}, FOUR), (TRPO, TWO), (BINNED, TWO), (ORDINAL, TWO), (OFFSET, TWO), (WIDE, TWO)]),
    ("Fork-v0", 200_000, [({}, FOUR), (TANH, TWO), (BINNED, TWO), (ORDINAL, TWO), (OFFSET, TWO)]),
    ("InvertedPendulum-v5", 200_000, [({}, FOUR), (A2C, TWO), (BINNED, TWO), (NARROW, TWO)]),
)


def natural_runs() -> list[Natural]:
    """The runs, in an order that begins with some of every task, with even and odd seeds."""
    rounds: dict[tuple[int, int], list[Natural]] = {}
    of_task: dict[str, int] = {}
    for env, budget, cells in SET:
        for settings, seeds in cells:
            turn = of_task[env] = of_task.get(env, -1) + 1
            for i, seed in enumerate(seeds):
                run = Natural(env, seed, settings | {"total_steps": budget})
                rounds.setdefault((i // 2, turn), []).append(run)
    return list(itertools.chain.from_iterable(rounds[key] for key in sorted(rounds)))


def made(run: Natural, folder: Path) -> RunFolder:
    """Train a run in a folder if it is not there."""
    settings = {"env": run.env, "seed": run.seed, **run.settings}
    if RunFolder(folder).manifest().get("status") not in ("finished", "diverged"):
        budget = run.settings["total_steps"]
        more = {"run_dir": str(folder), "threads": 1, "compile": "on", "video": False, "checkpoint_every": budget // 20}
        try:
            if checkpoint.find(folder):
                pgcontrol.resume(folder)
            else:
                shutil.rmtree(folder, ignore_errors=True)  # it was stopped before its first checkpoint
                pgcontrol.train(settings | more | {"eval_every": budget // 10}, quiet=True)
        except (Diverged, FloatingPointError) as error:
            print(f"{folder.name}: {error}", flush=True)  # its manifest says so, too
    return RunFolder.open(folder)


def missing(run: Judged) -> Iterator[tuple[float, str, int, str]]:
    """Place, schedule, number and arm of the branches that a run lacks; `run.branches` grows meanwhile.

    Where the first branches do not decide about the truth, the same number is added.
    """
    done = {(row["at"], row["schedule"], row["branch"], row["arm"]) for row in run.branches}
    plan = itertools.product([at for at in FRACTIONS if run.narrow(at)], ("rest", "fresh"), range(SEEDS), ARMS)
    yield from (branch for branch in plan if branch not in done)
    more = itertools.product(run.undecided(), TRUTH[:1], range(SEEDS, 2 * SEEDS), ARMS)
    yield from (branch for branch in more if branch not in done)


def branches(run: Natural, folder: RunFolder, known: Judged) -> Iterator[dict[str, Any]]:
    """A row for each missing branch of a run.

    One learner makes them all, one after the other, so it compiles only once. A branch begins only with what the
    learner restores from a checkpoint.
    """
    config = folder.config()
    budget = config.total_steps
    width, _ = widths(read_rows(folder.metrics_file), 0)
    checkpoints = checkpoint.find(folder.path)
    learner = Learner(config, folder.manifest().get("compiled"), fresh=False)
    env = env_to_play(config.env, EPISODES, learner.seeds["evaluation"])
    for at, schedule, seed, arm in missing(known):
        began, origin = time.monotonic(), closest(checkpoints, int(at * budget))
        start = checkpoint.steps_of(origin)
        learner.episodes.clear()
        learner.load(origin)
        stream = 50 * (schedule == "fresh") + 10 * ARMS.index(arm) + seed
        reseed(learner, 1000 * (run.seed + 1) + 100 * FRACTIONS.index(at) + stream)
        if arm == "widened":
            learner.widen(width)
        learner.config = config
        if schedule == "fresh":
            learner.steps, learner.config = 0, dataclasses.replace(config, total_steps=int(FRESH * budget))
        row = {"run": run.name, "at": at, "start": start, "schedule": schedule, "arm": arm, "branch": seed}
        row |= ended(learner, env) | {"width": round(width, 4), "seconds": round(time.monotonic() - began, 1)}
        yield row
    learner.close()
    env.close()


def ended(learner: Learner, env: Any) -> dict[str, Any]:
    """Train a branch to the end of its budget. Returns its scores, or why it has none."""
    last: dict[str, float] = {}
    try:
        while learner.steps < learner.config.total_steps:
            last = learner.update()
        row, _ = scored(env, learner.policy, learner.seeds["evaluation"], record=False, count=EPISODES)
    except (Diverged, FloatingPointError) as error:
        return {"mode": None, "sampled": None, "diverged": str(error)[:120]}
    return {
        "mode": round(row["eval/mean_reward"], 3),
        "sampled": round(row["eval/mean_reward_sampled"], 3),
        "training": round(last.get(RETURN, float("nan")), 3) if RETURN in last else None,
        "std": round(last["train/std"], 4),
        "steps": learner.steps,
    }


def thinned(log: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The part of a log that a rule may read: all measurements, some returns and KLs, and means of the pull."""
    every, pulls = -(-len(log) // EVERY), []
    for i, row in enumerate(log):
        pulls.append(row["health/pull"])
        measured = f"{SPREAD}0" in row
        if i % every and not measured and "eval/mean_reward" not in row:
            continue
        kept = {name: row[name] for name in row if name in (RETURN, KL) or (measured and name.startswith(KEPT))}
        kept |= {name: row[name] for name in row if name.startswith("eval/mean_reward")}
        kept["health/pull"], pulls = float(np.mean(pulls)), []
        yield {STEPS: row[STEPS]} | {name: float(f"{value:.4g}") for name, value in kept.items() if value is not None}


def make(part: tuple[int, int], where: Path, envs: Collection[str]) -> None:
    """Make all missing rows of every n-th run, of these tasks only if there are any."""
    LOGS.mkdir(exist_ok=True)
    number, of = part
    for run in [run for run in natural_runs() if run.env in envs or not envs][number::of]:
        known = judged().get(run.name)
        if known and (known.about["status"] != "finished" or (known.lost() is not None and not [*missing(known)])):
            continue
        folder = made(run, where / run.name)
        manifest = folder.manifest()
        log = [*thinned(read_rows(folder.metrics_file))]
        text = "".join(json.dumps(row) + "\n" for row in log)
        # another kind of CPU makes another run of the same seed; its branches do not go together with those of this one
        stamp = {"of": hashlib.sha256(text.encode()).hexdigest()[:8]}
        if known and known.undecided() and known.about.get("of") not in (None, stamp["of"]):
            continue  # it can only be continued where it was made
        stamp |= {"revision": manifest["git"], "date": datetime.date.today().isoformat()}
        if known is None or known.about.get("of") != stamp["of"]:
            (LOGS / f"{run.name}.jsonl").write_text(text)
            about = {"run": run.name, "env": run.env, "seed": run.seed, "settings": dict(run.settings)}
            about |= {name: manifest[name] for name in ("status", "verdict", "diagnosis", "seconds")}
            if WEAK_MODE in manifest["verdict"]:
                about["mode"] = weak_mode.judged(weak_mode.play(load(folder.path), run.env, run.seed)).why
            _add(about | stamp)
            known = judged()[run.name]
        print(f"{run.name}: {manifest['verdict']}", flush=True)
        if manifest["status"] == "finished":
            for row in branches(run, folder, known):
                known.branches.append(row | stamp)
                _add(row | stamp)


def word(run: Judged, runs: Collection[Judged]) -> str:
    """The verdict of today's rule on the spread of a run, from its log and from what runs with other seeds reached."""
    cell = [run.about["env"], run.about["settings"]]
    others = [other for other in runs if [other.about["env"], other.about["settings"]] == cell and other is not run]
    curves = [column(other.log, RETURN)[1] for other in others if other.about["status"] == "finished"]
    ends = [float(smooth(curve)[-1]) for curve in curves if len(curve)]
    table = reached.reach(run.about["env"], run.log[-1][STEPS])
    reach = Reach(float(np.median(ends)), "other seeds") if ends else table
    return collapse(run.log, run.about["settings"]["total_steps"], Limits(), reach=reach).word


def table() -> None:
    """Write natural.md: the truth about each run, and the verdicts from its log and from a few branches.

    The error rates on the runs that judge the rule go into the package, where reports find them.
    """
    runs = judged()
    lines = [
        "# Did a narrow spread cost runs something that were not tuned to collapse?",
        "",
        f"`python experiments/natural.py table`: {len(runs)} of {len(natural_runs())} runs so far. At a tenth, a",
        "quarter, a half and three quarters of the budget, four branches were widened and four were unchanged.",
        "The lower table shows the first place at which widening gains more than a tenth of the range of the return",
        "in the run and its branches, with p < 0.028 (Welch, corrected for the four places by Holm), and the largest",
        "gain at any place, in percent of that range. Verdicts are judged by the column *rest, mode*: branches with",
        "the rest of the run's schedule, scored by their mode. There, if four branches show such a gain but do not",
        "prove it, eight decide; with p < 0.028 for each of the two looks the chance of a wrong claim is 5 %.",
        "A place where the policy is still as wide as at the start (nine tenths of it) has no branches, and no cost.",
        "*No*: the 95 % intervals exclude such a gain at every place. *Not proved*: they do not, so the truth is open;",
        "the largest gain that they allow is added. Such runs are not in the upper table.",
        "The verdict of a log also knows what the runs of the set with other seeds, but the same settings, reached.",
        "",
        "Changes on 2026-12-01, after 32 runs. Branches now begin at the checkpoint closest to a place; before, at the",
        "last one before it, for most runs at a twentieth of the budget instead of a tenth. There are now no branches",
        "where nothing can be widened; before, there were, and those count. Heads without a σ of their own are now",
        "widened in states of the last rollout; before, of the first. The two schedules now have different random",
        "numbers; before, the same.",
        "",
        "| runs | verdict from | precision | recall | wrong, of runs that lost nothing |",
        "|---|---|---:|---:|---:|",
    ]
    halves: dict[str, dict[str, dict[str, Rates]]] = {}
    for half, parity in (("to find a rule (even seeds)", 0), ("to judge it (odd seeds)", 1)):
        for kind, gaussian in (("a Gaussian head", True), ("another head", False)):
            mine = [run for run in runs.values() if run.about["seed"] % 2 == parity and run.gaussian == gaussian]
            known = [(run, lost is not False) for run in mine if (lost := run.lost()) is not None and not run.open]
            by_log = [(word(run, runs.values()) == SUSPECTED, lost) for run, lost in known]
            by_branches = [(said, lost) for run, lost in known if (said := run.branched()) is not None]
            halves.setdefault(half, {})[kind] = {SUSPECTED: Rates.of(by_log), COLLAPSED: Rates.of(by_branches)}
            lines.append(f"| {half}, {kind}: {len(known)} | the log | {rates(by_log)} |")
            lines.append(f"| | short branches | {rates(by_branches)} |")
    error_rates.write(halves["to judge it (odd seeds)"])
    lines += [
        "",
        "| run | verdict of the log | rest, mode | rest, samples | fresh, mode | fresh, samples |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for name, run in runs.items():
        said = " | ".join(answer(run, schedule, score) for schedule, score in KINDS)
        lines.append(f"| {name} | {word(run, runs.values())} | {said} |")
    (HERE / "natural.md").write_text("\n".join([*lines, *modes(runs.values())]) + "\n")


def rates(verdicts: Sequence[tuple[bool, bool]]) -> str:
    """Cells: precision, recall, and the fraction of the runs that lost nothing and have the verdict."""
    found = Rates.of(verdicts)
    wrong = fraction(found.said - found.both, len(verdicts) - found.true)
    return f"{found.precision} | {found.recall} | {wrong}"


def modes(runs: Collection[Judged]) -> Iterator[str]:
    """The runs whose mode was weak at the end, and what `diagnose` finds by playing the policy in other ways."""
    yield from ("", "## Whose mode scores less than samples?", "")
    weak = [run for run in runs if WEAK_MODE in run.about["verdict"]]
    yield f"{len(weak)} of {len(runs)} runs have a *weak mode* by their log{':' if weak else '.'}"
    yield from ("", *(f"- {run.name}: {run.about['mode']}" for run in weak))


def answer(run: Judged, schedule: str, score: str) -> str:
    """Whether the spread cost the run something, for the table; empty if branches are missing."""
    if run.about["status"] == "diverged":
        return "diverged"
    lost = run.lost(schedule, score)
    if lost is None and not ((schedule, score) == TRUTH and run.undecided()):
        return ""
    places = run.costs(schedule, score)
    gain, most = (max(shares) for shares in zip(*((place.share, place.most) for place in places), strict=True))
    if lost is False and most > LEAST:
        return f"not proved ({100 * gain:+.0f} %, at most {100 * most:+.0f} %)"
    said = {False: "no", None: "undecided"}.get(lost, f"at {lost}")
    return f"{said} ({100 * gain:+.0f} %)"


def _add(row: dict[str, Any]) -> None:
    with ROWS.open("a") as file:
        file.write(json.dumps(row) + "\n")


def parser(text: str) -> argparse.ArgumentParser:
    """The command line of an experiment with natural runs."""
    found = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    found.add_argument("what", choices=["make", "table"])
    found.add_argument("--part", default="0/1", help="part of the runs, for example 0/2 and 1/2 for two processes")
    found.add_argument("--runs", type=Path, default=Path("runs/natural"))
    return found


def main() -> None:
    """Parse the command line and run it."""
    command = parser(str(__doc__))
    command.add_argument("--envs", nargs="+", default=(), choices=sorted({env for env, *_ in SET}), help="[all]")
    given = command.parse_args()
    if given.what == "table":
        return table()
    number, of = map(int, given.part.split("/"))
    with one_thread():
        make((number, of), given.runs, given.envs)


if __name__ == "__main__":
    main()
