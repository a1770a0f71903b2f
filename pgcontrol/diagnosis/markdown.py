"""What a diagnosis says in diagnosis.md: the verdicts, and the numbers behind them."""

import shlex
from collections.abc import Sequence
from typing import Any

from pgcontrol.diagnosis.counterfactual import Counterfactual
from pgcontrol.machine.templates import template
from pgcontrol.measures.verdicts import Verdict, summary, words
from pgcontrol.runs.folder import RunFolder


def report(
    run: RunFolder, verdicts: Sequence[Verdict], proof: Counterfactual | None, facts: dict[str, Any], **pictures: Any
) -> str:
    """The page.

    Args:
        run: that was judged.
        verdicts: on it.
        proof: its branches, if there were any.
        facts: what playing showed; empty without a checkpoint.
        pictures: names of the files of `curves` and `scene`, and why the scene has `no_picture`, if so.
    """
    settings, path = run.settings(), shlex.quote(str(run.path))
    name = shlex.quote(f"{run.path.name}-other")
    again = f"clone {shlex.quote(settings['dataset'])}" if run.cloned else f"train {settings['env']}"
    page = template("pgcontrol.diagnosis", "diagnosis.md.jinja", hundredths="{:.2f}".format, shares=_shares)
    text = page.render(
        run=run,
        words=words(verdicts),
        summary=summary(verdicts),
        verdicts=verdicts,
        proof=proof,
        facts=facts,
        other=f"pgcontrol {again} --head autoregressive --run-dir {name}",
        against=f"pgcontrol diagnose {path} --against {name}",
        **pictures,
    )
    return text.rstrip() + "\n"


def _shares(shares: dict[str, float]) -> str:
    """The largest, where there are many."""
    most = sorted(shares.items(), key=lambda share: -share[1])
    told = [f"{name} {share:.0%}" for name, share in most[:6] if share > 0]
    return ", ".join(told) + (f" and {len(most) - 6} more" if len(most) > 6 and most[6][1] > 0 else "")
