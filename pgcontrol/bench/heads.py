"""Training speed of each head: all in one run, in turns, compared with the first."""

from functools import partial
from typing import Any

from pgcontrol.bench.training import REPEATS, timed, train, warm
from pgcontrol.bench.turns import in_turns, ratio, show, spans
from pgcontrol.runs import catalog
from pgcontrol.runs.config import configure


def run(env_id: str, heads: list[str], settings: dict[str, Any], seconds: float) -> dict[str, Any]:
    """Measure whole trainings with the task's recommended settings, print a table.

    Args:
        env_id: a task.
        heads: the others are compared with the first; each is trained by PPO, or by the algorithm made for it.
        settings: dotted settings in addition to the task's recommended ones.
        seconds: time for one turn of one head.

    Returns:
        {"env": ..., "rows": {head: {"rate": median steps/s, "low": smallest, "high": largest, "ratio": median over
        turns of the rate divided by the first head's in the same turn}}}.
    """
    own = {row.head: {"algorithm": name} for name, row in catalog.algorithms().items() if row.head}
    common = {"env": env_id, "compile": "on"} | settings
    learners = {head: warm(configure(common | own.get(head, {}) | {"head": head})) for head in heads}
    rates = in_turns({head: partial(timed, seconds, train, one, {}) for head, one in learners.items()}, REPEATS)
    rows = {head: span | {"ratio": ratio(rates, head, heads[0])} for head, span in spans(rates).items()}
    title = f"{env_id}, environment steps of whole trainings"
    show(title, rows, {f"x {heads[0]}": [f"{row['ratio']:.2f}" for row in rows.values()]})
    return {"env": env_id, "seconds": seconds, "repeats": REPEATS, "rows": rows}
