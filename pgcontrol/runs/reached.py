"""Returns that runs of this package reached on a task, for comparison with a single run."""

from typing import NamedTuple

from pgcontrol.measures.returns import Reach
from pgcontrol.text import count


class Reached(NamedTuple):
    """The median over seeds of the final mean training return."""

    value: float
    steps: int
    seeds: int
    head: str


# from experiments/benchmark.jsonl; each task with the head that its search selected
TABLE = {
    # <!-- scores -->
    "Ant-v5": Reached(2440, 1_000_000, 5, "gaussian"),
    "HalfCheetah-v5": Reached(5190, 1_000_000, 5, "gaussian-tanh"),
    "Hopper-v5": Reached(1660, 1_000_000, 5, "gaussian"),
    "Humanoid-v5": Reached(1020, 1_000_000, 5, "gaussian"),
    "InvertedDoublePendulum-v5": Reached(9260, 1_000_000, 5, "ordinal"),
    "InvertedPendulum-v5": Reached(1000, 1_000_000, 5, "gaussian"),
    "Reacher-v5": Reached(-4.07, 1_000_000, 5, "gaussian-tanh"),
    "Swimmer-v5": Reached(272, 1_000_000, 5, "token-offset"),
    "Walker2d-v5": Reached(2860, 1_000_000, 5, "gaussian-tanh"),
    # <!-- /scores -->
}


def reach(env: str, steps: float) -> Reach | None:
    """The entry for a task; None if there is no entry, or if the run has taken fewer steps than the entry."""
    known = TABLE.get(env)
    if known is None or steps < known.steps:
        return None
    return Reach(known.value, f"the median of {count(known.seeds, 'seed')} of this package ({known.head})")
