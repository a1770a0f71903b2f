"""Planted cases: runs with a σ that was forced to collapse, and healthy runs, judged with branches.

    python experiments/planted.py [--jobs N] [--branches N] [--cases N]

Every planted collapse should be found, and no healthy run should be judged collapsed. A finished case is a line in
planted.jsonl and is not run again. planted.md is written from these lines. tests/diagnosis/planted.py makes the runs.
"""

from __future__ import annotations

import argparse
import datetime
import itertools
import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from pgcontrol.diagnosis.counterfactual import BranchPoint, counterfactual  # noqa: E402
from pgcontrol.measures.collapse import collapse, onset  # noqa: E402
from pgcontrol.measures.curves import spreads  # noqa: E402
from pgcontrol.measures.verdicts import Limits  # noqa: E402
from pgcontrol.reporting.queries import names_of  # noqa: E402
from pgcontrol.runs.folder import RunFolder  # noqa: E402
from pgcontrol.runs.log import read_rows  # noqa: E402
from pgcontrol.sweep.executor import Local  # noqa: E402
from tests.diagnosis.planted import Plan, forced, left_alone, plant, solved  # noqa: E402


class Case(NamedTuple):
    name: str
    sick: bool | None
    settings: Mapping[str, Any]
    plan: Plan


BANDIT = {"env": "Bandit-v0", "num_envs": 16, "rollout_steps": 32, "total_steps": 30_000, "eval_episodes": 100}
FORK = {"env": "Fork-v0", "head.initial_std": 0.5, "total_steps": 60_000}
BANGS = {"head": "binned", "head.bins": 3}
"""A torque is zero or the largest in either direction."""


def cases() -> list[Case]:
    """20 sick and 20 healthy cases in turns, so that the first N cases have both, and four cases that are neither.

    The sick ones are narrow already at the checkpoint before the onset: branches from a checkpoint that is still wide
    would not collapse, and would find nothing.
    """
    sick = [
        *(Case("pendulum, σ forced to 0.005", True, {"seed": s}, forced(0.005)) for s in range(6)),
        *(
            Case("pendulum, state's σ forced", True, {"seed": s, "head": "gaussian-state"}, forced(0.002))
            for s in range(4)
        ),
        *(
            Case("pendulum, squashed σ forced", True, {"seed": s, "head": "gaussian-tanh"}, forced(0.005))
            for s in range(4)
        ),
        *(
            Case("deceptive bandit, bins sharpened", True, BANDIT | {"seed": s, "head": "binned"}, forced(0.005, 0.05))
            for s in range(6)
        ),
    ]
    healthy = [
        *(Case("pendulum", False, {"seed": s}, left_alone) for s in range(2)),
        *(Case("pendulum, bins", False, {"seed": s, "head": "binned"}, left_alone) for s in range(2)),
        *(Case("pendulum solved, then σ 0.005", False, {"seed": s}, solved(0.005)) for s in range(6)),
        *(
            Case("bandit solved by bins, then sharpened", False, BANDIT | {"seed": s, "head": "binned"}, solved(0.005))
            for s in range(4)
        ),
        *(Case("fork", False, FORK | {"seed": s}, left_alone) for s in range(2)),
        *(
            Case("fork solved bang-bang, then sharpened", False, FORK | BANGS | {"seed": s}, solved(0.005))
            for s in range(4)
        ),
    ]
    # some of the unchanged branches recover and some do not, so the right verdict is not known beforehand
    open_ = [
        Case("pendulum, bins sharpened and let go", None, {"seed": s, "head": "binned"}, forced(0.0005))
        for s in range(4)
    ]
    return [case for pair in zip(sick, healthy, strict=True) for case in pair] + open_


def judged(case: Case, where: Path, branches: int, jobs: int, console: Console) -> dict[str, Any]:
    """Train, find the onset, branch, and judge."""
    began = time.monotonic()
    folder = where / f"{case.name}-s{case.settings['seed']}".replace(" ", "-").replace(",", "").replace("'", "")
    if RunFolder(folder).manifest().get("status") != "finished":
        plant(folder, case.settings, case.plan)
    run = RunFolder.open(folder)
    rows, config, limits = read_rows(run.metrics_file), run.config(), Limits()
    budget, joints = config.total_steps, names_of(config.env)
    found = onset(*spreads(rows), budget, limits)
    proof, verdict = None, collapse(rows, budget, limits, joints=joints)
    places = [BranchPoint(found.step)] if found else []
    for place, seeds in itertools.product(places, (branches, 2 * branches)):  # more branches if a few do not decide it
        proof = counterfactual(run, place, seeds, Local(jobs), console)  # pyright: ignore[reportArgumentType]
        verdict = collapse(rows, budget, limits, [proof.gain], joints)
        if verdict.word != "suspected":
            break
    return {
        "case": case.name,
        "seed": case.settings["seed"],
        "sick": case.sick,
        "word": verdict.word,
        "before": collapse(rows, budget, limits).word,
        "why": verdict.why,
        "scores": proof.scores if proof else None,
        "seconds": round(time.monotonic() - began),
        "revision": run.manifest()["git"],
        "date": datetime.date.today().isoformat(),
    }


def write(rows: list[dict[str, Any]]) -> None:
    """planted.md."""
    sick, healthy, open_ = ([r for r in rows if r["sick"] is s] for s in (True, False, None))
    hits, false = (sum(r["word"] == "collapsed" for r in group) for group in (sick, healthy))
    text = [
        "# Does the diagnosis find planted collapses, without false alarms?",
        "",
        f"**{hits} of {len(sick)} planted collapses are found, and {false} of {len(healthy)} healthy runs are judged"
        f" collapsed.** The right verdict on {len(open_)} more runs is not known beforehand. Made by `python"
        " experiments/planted.py`.",
        "",
        "| planted | case | seed | without branches | verdict | why |",
        "|---|---|---:|---|---|---|",
        *(
            f"| {planted} | {r['case']} | {r['seed']} | {r['before']} | {r['word']} | {r['why']} |"
            for planted, group in (("collapse", sick), ("nothing", healthy), ("open", open_))
            for r in sorted(group, key=lambda r: (r["case"], r["seed"]))
        ),
        "",
    ]
    (HERE / "planted.md").write_text("\n".join(text))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--branches", type=int, default=4)
    parser.add_argument("--cases", type=int, default=None)
    parser.add_argument("--runs", type=Path, default=Path("runs/planted"))
    given = parser.parse_args()
    results, console = HERE / "planted.jsonl", Console(highlight=False, soft_wrap=True)
    rows = [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []
    done = {(r["case"], r["seed"]) for r in rows}
    for case in cases()[: given.cases]:
        if (case.name, case.settings["seed"]) in done:
            continue
        rows.append(judged(case, given.runs, given.branches, given.jobs, console))
        with results.open("a") as file:
            file.write(json.dumps(rows[-1]) + "\n")
        write(rows)
        console.print(
            f"{case.name}, seed {case.settings['seed']}: {rows[-1]['word']} ({rows[-1]['why']})", markup=False
        )


if __name__ == "__main__":
    main()
