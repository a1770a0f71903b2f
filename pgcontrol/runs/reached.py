"""What this package's own runs reached on a task: a number to compare a single run with."""

from typing import NamedTuple

from pgcontrol.measures.returns import Reach
from pgcontrol.text import count


class Reached(NamedTuple):
    """The median over seeds of the last mean return in training."""

    value: float
    steps: int
    seeds: int
    head: str


# experiments/benchmark.jsonl, each task with the head that its search chose
TABLE = {
    "Ant-v5": Reached(2440, 1_000_000, 5, "gaussian"),
    "HalfCheetah-v5": Reached(5190, 1_000_000, 5, "gaussian-tanh"),
    "Hopper-v5": Reached(1660, 1_000_000, 5, "gaussian"),
    "Humanoid-v5": Reached(1020, 1_000_000, 5, "gaussian"),
    "InvertedDoublePendulum-v5": Reached(9260, 1_000_000, 5, "ordinal"),
    "InvertedPendulum-v5": Reached(1000, 1_000_000, 5, "gaussian"),
    "Reacher-v5": Reached(-4.07, 1_000_000, 5, "gaussian-tanh"),
    "Swimmer-v5": Reached(272, 1_000_000, 5, "token-offset"),
    "Walker2d-v5": Reached(2860, 1_000_000, 5, "gaussian-tanh"),
}


def reach(env: str, steps: float) -> Reach | None:
    """What the table says of a task, to a run that has taken as many steps; None: it says nothing."""
    known = TABLE.get(env)
    if known is None or steps < known.steps:
        return None
    return Reach(known.value, f"the median of {count(known.seeds, 'seed')} of this package ({known.head})")
