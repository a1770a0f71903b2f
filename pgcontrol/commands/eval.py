"""Evaluate a trained policy, by its mode and by samples."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pgcontrol.arguments import EvaluateOptions
from pgcontrol.flags import Section
from pgcontrol.options import option

PREFIX = "env."  # of its settings

# rows of the table: the measure that must be present, and the text of the cell
ROWS: dict[str, tuple[str, Callable[[dict[str, float]], str]]] = {
    "return": ("eval/mean_reward", lambda row: f"{row['eval/mean_reward']:,.1f}"),
    "95 % interval": ("eval/low_reward", lambda r: f"{r['eval/low_reward']:,.1f} … {r['eval/high_reward']:,.1f}"),
    "std": ("eval/std_reward", lambda row: f"{row['eval/std_reward']:,.1f}"),
    "length": ("eval/mean_ep_length", lambda row: f"{row['eval/mean_ep_length']:,.0f}"),
    "success": ("eval/success", lambda row: f"{100 * row['eval/success']:.0f} %"),
    "route entropy": ("eval/route_entropy", lambda row: f"{row['eval/route_entropy']:.2f}"),
}


@dataclass(frozen=True)
class Options(EvaluateOptions):
    """The policy, and the output."""

    json: bool = option(False, "print one JSON object instead of a table")


def run(options: Options, settings: Mapping[str, str]) -> int:
    """Print the returns."""
    from rich.table import Table

    from pgcontrol.commands.sim2sim import TITLES
    from pgcontrol.machine.terminal import Terminal
    from pgcontrol.runs.evaluation import evaluate
    from pgcontrol.runs.log import finite
    from pgcontrol.text import count

    result = evaluate(options, **settings)
    rows, folder, env_id, seed = result.summary(), result.checkpoint, result.env, result.seed
    if options.episodes == 1:  # one episode says nothing about the spread of others
        alone = dict.fromkeys(("eval/low_reward", "eval/high_reward", "eval/std_reward"), float("nan"))
        rows = {name: row | alone for name, row in rows.items()}
    if options.json:
        setup = {"checkpoint": str(folder), "env": env_id, "episodes": options.episodes, "seed": seed}
        print(json.dumps(setup | finite(rows)))  # without a success, the entropy is NaN
        return 0
    terminal, table = Terminal(highlight=False), Table()
    title = f"{folder}\n{env_id}, {count(options.episodes, 'episode')}, start states from seed {seed}"
    terminal.print(title, soft_wrap=True)
    shown = {title: cell for title, (key, cell) in ROWS.items() if all(key in row for row in rows.values())}
    for measure in next(iter(result.agents.values())).metrics:  # the task's own measures
        title = TITLES.get(measure, measure.replace("_", " "))
        percent = measure == "fell"
        shown[title] = lambda r, m=f"eval/{measure}", p=percent: f"{100 * r[m]:.3g} %" if p else f"{r[m]:.3g}"
    table.add_column("")
    for name in rows:
        table.add_column(name, justify="right")
    for title, cell in shown.items():
        table.add_row(title, *("–" if "nan" in (text := cell(row)) else text for row in rows.values()))
    terminal.print(table)
    return 0


def sections(options: Options, settings: Mapping[str, str]) -> list[Section]:
    """The settings of the task."""
    from pgcontrol.runs.task_settings import of_played

    return of_played([options.run])
