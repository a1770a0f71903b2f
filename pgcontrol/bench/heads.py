"""How fast does each head train? All in one run, in turns, beside the first."""

from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from pgcontrol.bench.training import REPEATS, timed, train, warm
from pgcontrol.bench.turns import cells, in_turns, ratio, spans, write
from pgcontrol.runs import catalog
from pgcontrol.runs.config import configure


def run(env_id: str, heads: list[str], settings: dict[str, Any], seconds: float, out: Path | None) -> dict[str, Any]:
    """Measure whole trainings with the task's recommended settings, print a table, write JSON.

    Args:
        env_id: a task.
        heads: the first is what the others are compared with; each by PPO, or the algorithm that is made for it.
        settings: dotted settings beside the task's recommended ones.
        seconds: time for one turn of one head.
        out: the JSON file to write, or None.

    Returns:
        {"env": ..., "rows": {head: {"rate": median steps/s, "low": least, "high": most, "ratio": median over turns of
        the rate by the first head's in the same turn}}}.
    """
    own = {row.head: {"algorithm": name} for name, row in catalog.algorithms().items() if row.head}
    common = {"env": env_id, "compile": "on"} | settings
    once = {head: train(warm(configure(common | own.get(head, {}) | {"head": head})), []) for head in heads}
    rates = in_turns({head: partial(timed, seconds, step) for head, step in once.items()}, REPEATS)
    rows = {head: span | {"ratio": ratio(rates, head, heads[0])} for head, span in spans(rates).items()}
    table = Table(title=f"{env_id}, whole trainings")
    table.add_column("head", no_wrap=True)
    for column in ("steps/s", "lowest to highest", f"x {heads[0]}"):
        table.add_column(column, justify="right", no_wrap=True)
    for head, row in rows.items():
        table.add_row(head, *cells(row), f"{row['ratio']:.2f}")
    Console(highlight=False).print(table)
    return write({"env": env_id, "seconds": seconds, "repeats": REPEATS, "rows": rows}, out)
