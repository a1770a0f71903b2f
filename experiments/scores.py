"""Publish the scores of the committed rows: in README.md, docs/tasks.md and pgcontrol/runs/reached.py.

    python experiments/scores.py

benchmark.yaml has one recipe for all tasks and must be complete. benchmark_best.yaml has settings for each task,
peers.yaml has Stable-Baselines3; tasks and columns without their rows stay empty. Each of the three files has its part
between two lines with <!-- scores --> and <!-- /scores -->.
"""

import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
ROOT = HERE.parent
sys.path.insert(0, str(ROOT))

from pgcontrol.options import InputError  # noqa: E402
from pgcontrol.reporting.queries import Queries  # noqa: E402
from pgcontrol.reporting.standings import Standing, standing  # noqa: E402
from pgcontrol.sweep import results  # noqa: E402
from pgcontrol.sweep.references import Reference  # noqa: E402
from pgcontrol.sweep.sweep import read_sweep  # noqa: E402
from pgcontrol.text import short  # noqa: E402

RECIPE, BEST, SHIPPED = "recipe", "best", "SB3 as shipped"  # arms
# mean return of 100 episodes with uniformly random actions: `pgcontrol eval RUN --agent random --episodes 100`
RANDOM = {"HalfCheetah-v5": -282.0, "Hopper-v5": 16.0, "Walker2d-v5": 1.7, "Ant-v5": -50.0, "Humanoid-v5": 119.0}
RANDOM |= {"HumanoidStandup-v5": 33_500.0, "Swimmer-v5": 1.6, "Reacher-v5": -43.0, "Pusher-v5": -150.0}
RANDOM |= {"InvertedPendulum-v5": 4.6, "InvertedDoublePendulum-v5": 45.0}


def read(name: str) -> Queries | None:
    """The sweep and its rows; None if the sweep does not exist, or has no rows that are scored as it asks."""
    path = HERE / name
    if not path.exists():
        return None
    sweep = read_sweep(path, checked=False)
    return Queries(sweep, rows) if (rows := results.read(sweep)) else None


def of(queries: Queries | None, env: str, arm: str) -> Standing | None:
    """The standing of an arm on a task; None without a run."""
    return standing(queries, env, arm) if queries and queries.of(env, arm) else None


def published(references: Iterable[Reference]) -> tuple[Reference | None, Reference | None]:
    """The best mean of several runs, and the best single run; None if there is none."""
    kinds = [[one for one in references if one.several is several] for several in (True, False)]
    means, runs = (max(kind, key=lambda one: one.value, default=None) for kind in kinds)
    return means, runs


def said(references: Iterable[Reference]) -> str:
    """The published returns as text; a single run only if it is better than the best mean."""
    mean, run = published(references)
    alone = f"one run {short(run.value)}" if run and (mean is None or run.value > mean.value) else ""
    return "; ".join(filter(None, [short(mean.value) if mean else "", alone]))


def table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A table in Markdown, with numbers to the right."""
    first, *others = (f"| {' | '.join(cells)} |" for cells in (head, *lines))
    return "\n".join([first, f"|---|{'---:|' * (len(head) - 1)}", *others])


def readme(recipe: Queries, best: Queries | None, peers: Queries | None) -> str:
    """The part of README.md."""
    rows = [*recipe.rows.values()]
    days, seeds = sorted({row.date for row in rows}), {len(recipe.of(env, RECIPE)) for env in recipe.envs()}
    revisions = sorted({row.revision[:7] for row in rows if row.revision})
    when = days[0] if days[0] == days[-1] else f"{days[0]} to {days[-1]}"
    columns = ["task", "one recipe", "worst seed", "best settings", "published", "SB3's PPO"]
    lines = []
    for env in recipe.envs():
        one = standing(recipe, env, RECIPE)
        theirs = [str(found.score) if found else "" for found in (of(best, env, BEST), of(peers, env, SHIPPED))]
        known = said(recipe.sweep.references.get(env, ()))
        lines.append([env, str(one.score), short(one.worst), theirs[0], known, theirs[1]])
    filled = [0, *(column for column in range(1, len(columns)) if any(line[column] for line in lines))]
    shown = [[cells[column] for column in filled] for cells in (columns, *lines)]
    words = (
        f"**One recipe, {len(lines)} tasks, 1M steps.** Return of the final policy when it plays its likeliest action",
        f"(higher is better): interquartile mean over {' or '.join(map(str, sorted(seeds)))} seeds, with its 95 %",
        "bootstrap interval. *Published*: the best mean of several seeds that we know, for older versions of the",
        f"tasks. (`experiments/benchmark.yaml`, {when}, {', '.join(revisions)})",
    )
    return "\n".join((*words, "", table(shown[0], shown[1:])))


def tasks(recipe: Queries, best: Queries | None) -> str:
    """The part of docs/tasks.md."""
    lines = []
    for env in recipe.envs():
        scores = [short(standing(recipe, env, RECIPE).score.estimate)]
        scores.append(short(own.score.estimate) if (own := of(best, env, BEST)) else "")
        minutes = float(np.median([row.seconds for row in recipe.of(env, RECIPE)])) / 60
        random = short(RANDOM[env]) if env in RANDOM else ""
        lines.append([env, random, *scores, said(recipe.sweep.references.get(env, ())), f"{minutes:.1f}"])
    return table(["task", "random", "one recipe", "best settings", "published", "minutes"], lines)


def reached(recipe: Queries) -> str:
    """The part of pgcontrol/runs/reached.py."""
    return "\n".join(_entries(recipe))


def _entries(recipe: Queries) -> Iterator[str]:
    for env in sorted(recipe.envs()):
        rows = recipe.of(env, RECIPE)
        known = [row.training for row in rows if row.training is not None]
        value = float(f"{np.median(known):.3g}")
        steps, head = f"{rows[0].budget:_}", rows[0].known["head"]
        yield f'    "{env}": Reached({value:_g}, {steps}, {len(known)}, "{head}"),'


def replaced(text: str, part: str) -> str:
    """The text of a file with another part between the two lines with marks.

    Raises:
        InputError: it does not have the two lines in this order.
    """
    lines = text.splitlines(keepends=True)
    marks = "<!-- scores -->", "<!-- /scores -->"
    first, last = (next((n for n, line in enumerate(lines) if mark in line), None) for mark in marks)
    if first is None or last is None or first > last:
        raise InputError("the lines with <!-- scores --> and <!-- /scores --> are missing")
    return "".join([*lines[: first + 1], part + "\n", *lines[last:]])


def files(recipe: Queries, best: Queries | None = None, peers: Queries | None = None) -> dict[Path, str]:
    """Each file with its new text.

    Raises:
        InputError: a run of the recipe is missing.
    """
    if missing := len(recipe.missing):
        raise InputError(f"{recipe.sweep.path.name} lacks {missing} of {len(recipe.sweep.cells)} runs")
    parts = {"README.md": readme(recipe, best, peers), "docs/tasks.md": tasks(recipe, best)}
    parts |= {"pgcontrol/runs/reached.py": reached(recipe)}
    return {ROOT / name: replaced((ROOT / name).read_text(), part) for name, part in parts.items()}


def main() -> int:
    """Write the three files."""
    recipe = read("benchmark.yaml")
    if recipe is None:
        print("benchmark.yaml has no runs yet: pgcontrol compare experiments/benchmark.yaml", file=sys.stderr)
        return 2
    try:
        written = files(recipe, read("benchmark_best.yaml"), read("peers.yaml"))
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    for path, text in written.items():
        path.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
