"""What a diagnosis says in diagnosis.md: the verdicts, and the numbers behind them."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any

from pgcontrol.diagnosis.counterfactual import Counterfactual
from pgcontrol.measures.verdicts import Verdict, summary, words
from pgcontrol.runs.folder import RunFolder
from pgcontrol.text import short

Lines = list[str]


def report(run: RunFolder, verdicts: Sequence[Verdict], proof: Counterfactual | None, facts: dict[str, Any]) -> Lines:
    """The lines of the page, in Markdown.

    Args:
        run: that was judged.
        verdicts: on it.
        proof: its branches, if there were any.
        facts: what playing showed; empty without a checkpoint.
    """
    lines = [f"# {run.path.name}: {words(verdicts)}", "", summary(verdicts), ""]
    lines += _table(
        ("about", "verdict", "since step", "joints", "why"),
        [
            (v.about, v.word, "" if v.step is None else f"{v.step:,}", ", ".join(map(str, v.joints)), v.why)
            for v in verdicts
        ],
    )
    lines += _branches(proof) if proof else []
    lines += _values(facts) if "values" in facts else []
    lines += _routes(run, facts) if "routes" in facts else []
    lines += _modes(facts) if "modes" in facts else []
    return lines


def _branches(proof: Counterfactual) -> Lines:
    first = f"Branches of {proof.steps:,} steps from step {proof.start:,}, widened to {proof.width:.2f} half-ranges:"
    rows = [(arm, ", ".join(map(short, scores))) for arm, scores in proof.scores.items()]
    return [first, "", *_table(("arm", "final return of each"), rows)]


def _values(facts: dict[str, Any]) -> Lines:
    first = f"Return {facts['state']['where']}, from one step of each action and the policy after it:"
    rows = [(name, f"{short(v['mean'])} ± {short(v['half'])}") for name, v in facts["values"].items()]
    blocked = facts["blocked"]
    last = [] if blocked is None else [f"{blocked:.1%} of what it draws there chooses no route.", ""]
    return [first, "", *_table(("action", "return"), rows), *last]


def _routes(run: RunFolder, facts: dict[str, Any]) -> Lines:
    ours, theirs = facts["routes"], facts["reference"]
    rows = [
        (who, f"{o['success']:.0%}", f"{o['entropy']:.2f} ({o['low']:.2f} … {o['high']:.2f})", _shares(o["shares"]))
        for who, o in (("this policy, by samples", ours), (theirs["of"], theirs))
    ]
    lines = ["Routes of the successful episodes:", ""]
    lines += _table(("of", "success", "entropy, 1: all alike", "shares"), rows)
    settings = run.settings()
    name = shlex.quote(f"{run.path.name}-other")
    again = f"clone {shlex.quote(settings['dataset'])}" if run.cloned else f"train {settings['env']}"
    other = f"pgcontrol {again} --head autoregressive --run-dir {name}"
    against = f"pgcontrol diagnose {shlex.quote(str(run.path))} --against {name}"
    return [*lines, "Whether another head keeps more of them:", "", "```", other, against, "```", ""]


def _modes(facts: dict[str, Any]) -> Lines:
    place = ("mass", "centre, half-ranges")
    rows = [
        (f"{m['mass']:.2f} ({m['low']:.2f} … {m['high']:.2f})", ", ".join(f"{c:.2f}" for c in m["centre"]))
        for m in facts["modes"]
    ]
    first = f"Modes of what it might do {facts['state']['where']} (the state is in diagnosis.json); from their mean to"
    far = f"{facts['mean_to_mode']:.2f} half-ranges; density at the mean: {facts['density_at_mean']:.0%} of its peak"
    return [f"{first} the nearest: {far}.", "", *_table(place, rows)]


def _shares(shares: dict[str, float]) -> str:
    """The largest, where there are many."""
    most = sorted(shares.items(), key=lambda share: -share[1])
    told = [f"{name} {share:.0%}" for name, share in most[:6] if share > 0]
    return ", ".join(told) + (f" and {len(most) - 6} more" if len(most) > 6 and most[6][1] > 0 else "")


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Lines:
    return [_line(head), _line(["---"] * len(head)), *map(_line, rows), ""]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"
