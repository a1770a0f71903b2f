"""Write heads-paper.md: the experiment on heads as a short text. All its numbers come from the committed rows.

    python experiments/heads_paper.py

The words around the numbers are in heads_paper.md.jinja. A sweep without rows is listed as missing.
"""

import sys
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from pgcontrol.machine.templates import template  # noqa: E402
from pgcontrol.measures import error_rates, families  # noqa: E402
from pgcontrol.measures.statistics import SHARE  # noqa: E402
from pgcontrol.reporting import problems, searched, settled  # noqa: E402
from pgcontrol.reporting.narrative import Paragraph, listed  # noqa: E402
from pgcontrol.reporting.queries import Queries, percent  # noqa: E402
from pgcontrol.reporting.standings import noise  # noqa: E402
from pgcontrol.sweep import results  # noqa: E402
from pgcontrol.sweep.family import TOGETHER  # noqa: E402
from pgcontrol.sweep.row import Row  # noqa: E402
from pgcontrol.sweep.sweep import read_sweep  # noqa: E402
from pgcontrol.sweep.trials import best  # noqa: E402
from pgcontrol.text import count  # noqa: E402

# the sweeps of the experiment, and their headings; the first one gives the answer
RESULTS = {
    "heads_searched": "One setting for all tasks",
    "heads_widths": "Settings for each task",
    "heads_modes": "Tasks with several good actions, or precise ones",
    "heads_suite": "Tasks of dm_control",
    "ablations": "What makes bins differ from a Gaussian",
    "critic_searched": "The critic",
}


@dataclass(frozen=True)
class Part:
    """A sweep of the experiment.

    Attributes:
        heading: its heading in the text.
        queries: its rows, maybe none.
    """

    heading: str
    queries: Queries

    @classmethod
    def read(cls, path: Path, heading: str) -> "Part":
        """Read a sweep and its committed rows."""
        sweep = read_sweep(path, checked=False)
        return cls(heading, Queries(sweep, results.reported(sweep)))

    @property
    def name(self) -> str:
        return self.queries.sweep.path.stem

    @property
    def rows(self) -> list[Row]:
        return [*self.queries.rows.values()]

    @property
    def picture(self) -> str:
        """Name of the file of its figure."""
        return f"heads-paper.{self.name}.svg"

    @property
    def missing(self) -> int:
        """The number of runs that have no row yet."""
        return len(self.queries.sweep.cells) - len(self.rows)

    @cached_property
    def answer(self) -> Paragraph:
        """What is settled, and how many seeds more would take."""
        return settled.answer(self.queries)

    @property
    def rivals(self) -> str:
        """What arms are compared with."""
        return settled.rivals(self.queries)

    @property
    def together(self) -> bool:
        """Whether arms are also compared on all tasks together."""
        return any(found.env == TOGETHER for found in settled.contrasts(self.queries))

    @property
    def matrix(self) -> list[tuple[str, ...]]:
        return settled.matrix(self.queries)

    @property
    def chosen(self) -> list[str]:
        """What the search says of each arm."""
        return [f"**{words.lead}** {words.rest}" for words in searched.words(self.queries)]

    @property
    def words(self) -> str:
        """How many comparisons have which result, as text."""
        found = Counter(one.word for one in settled.contrasts(self.queries))
        order = (families.BETTER, families.WORSE, families.EQUAL, families.OPEN)
        return listed([f"{found[word]} {word}" for word in order])

    @cached_property
    def troubles(self) -> list[tuple[str, ...]]:
        """For each arm: runs, problems, good runs, the difference of all and that of the good runs."""
        one = len(self.queries.envs()) == 1  # then its lines are those of all tasks
        lines = problems.table(self.queries)
        return [(line[1], *line[2:5], *line[7:]) for line in lines if one or line[0] == problems.TOGETHER]


def machines(rows: Sequence[Row]) -> str:
    """The kinds of machine that made the rows, as text."""
    kinds = Counter(_machine(row) for row in rows)
    return listed([f"{kind} ({count(n, 'run')})" for kind, n in kinds.most_common()])


def _machine(row: Row) -> str:
    machine, instructions = row.provenance.get("machine"), row.provenance.get("instructions")
    if not machine:
        return "unknown"
    return ", ".join(filter(None, (f"{machine['cpu']} with {machine['cores']} cores", instructions)))


def noisy(parts: Sequence[Part]) -> tuple[int, int]:
    """For how many arms on a task the error of a score is larger than it should be, and of how many that is known."""
    arms = [(part.queries, env, arm) for part in parts for env in part.queries.envs() for arm in part.queries.arms(env)]
    known = [precision for where in arms if (precision := noise(*where))]
    return sum(precision.error > SHARE * precision.spread for precision in known), len(known)


def choices(parts: Sequence[Part]) -> tuple[int, int]:
    """How many of the searches of an arm have a choice that is ahead by more than the noise of one seed, and of all."""
    tops = [best(part.queries.trials, arm) for part in parts for arm in searched.arms(part.queries)]
    return sum(bool(top.ahead and top.noise and top.ahead > top.noise) for top in tops), len(tops)


def seeds(parts: Sequence[Part]) -> str:
    """The smallest and the largest number of seeds of an arm on a task."""
    return span({len(part.queries.of(env, arm)) for part in parts for env, arm in {row.key[:2] for row in part.rows}})


def span(sizes: Collection[int]) -> str:
    """Whole numbers as text: the smallest and the largest."""
    low, high = min(sizes, default=0), max(sizes, default=0)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def text(parts: Sequence[Part], absent: Sequence[str] = ()) -> str:
    """The text, in Markdown.

    Args:
        parts: sweeps; those without rows are listed as unfinished.
        absent: names of the files of sweeps that have not begun.
    """
    done = [part for part in parts if part.rows]
    rows = [row for part in done for row in part.rows]
    dates = sorted({row.date for row in rows})
    return template("experiments", "heads_paper.md.jinja").render(
        parts=done,
        unfinished=[part for part in parts if part.missing],
        absent=listed(absent),
        runs=len(rows),
        steps=sum(row.steps for row in rows) / 1e6,
        hours=sum(row.seconds for row in rows) / 3600,
        tasks=len({row.env for row in rows}),
        dates=f"{dates[0]} to {dates[-1]}" if dates else "",
        revisions=len({row.revision for row in rows}),
        unclean=sum(row.dirty for row in rows),
        machines=machines(rows),
        noisy=noisy(done),
        choices=choices(done),
        seeds=seeds(done) if done else "",
        budgets=span({row.budget for row in rows}),
        searched=sum(trial.steps for part in done for trial in part.queries.trials) / 1e6,
        measured=any(rate.said or rate.true for words in error_rates.measured().values() for rate in words.values()),
        signs=settled.SIGNS,
        share=percent(SHARE),
    )


def begun(path: Path) -> bool:
    """Whether a sweep has rows. One that uses another sweep's search cannot even be read before that search."""
    return path.with_suffix(".jsonl").exists()


def main() -> None:
    """Write the text next to the sweeps."""
    files = {HERE / f"{name}.yaml": heading for name, heading in RESULTS.items()}
    parts = [Part.read(path, heading) for path, heading in files.items() if begun(path)]
    (HERE / "heads-paper.md").write_text(text(parts, [path.name for path in files if not begun(path)]))
    for part in parts:
        if picture := settled.picture(part.queries):
            (HERE / part.picture).write_text(picture)


if __name__ == "__main__":
    main()
