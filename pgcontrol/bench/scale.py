"""What does a step cost, and how much memory does a run take, from a few environments to many?"""

import multiprocessing
import resource
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import torch
from rich.table import Table

from pgcontrol.bench.turns import write
from pgcontrol.machine.terminal import Terminal
from pgcontrol.runs.config import configure
from pgcontrol.training.learner import Learner

COUNTS = (8, 16, 32, 64, 128, 256, 512)
LEAST_STEPS = 8192  # environment steps timed for each count, at least


class Cost(NamedTuple):
    """What a training with so many environments takes.

    Attributes:
        microseconds: for a step of one environment, everything included.
        collecting: of these, all but the update.
        megabytes: peak memory over what the process held before its first rollout.
    """

    microseconds: float
    collecting: float
    megabytes: float


def run(env_id: str, seconds: float, out: Path | None, counts: tuple[int, ...] = COUNTS, **settings: Any) -> dict:
    """Measure each count in a process of its own, print a table, write JSON.

    Args:
        env_id: a task.
        seconds: time for each count.
        out: the JSON file to write, or None.
        counts: numbers of environments.
        settings: dotted settings beside the task's recommended ones.

    Returns:
        What is written: {"settings": ..., "costs": {count: Cost as a dict}}.
    """
    context, costs = multiprocessing.get_context("spawn"), {}
    table = Table("environments", "µs a step", "of them collecting", "MB", title=env_id)
    for count in counts:
        chosen = {"env": env_id, "compile": "on"} | settings | {"num_envs": count}
        # memory given back to nobody would count for the next; a Pool would kill it before it has tidied up
        with ProcessPoolExecutor(1, context) as pool:
            cost = pool.submit(_measure, chosen, seconds).result()
        costs[str(count)] = cost._asdict()
        table.add_row(f"{count}", *(f"{number:.1f}" for number in cost))
    Terminal(highlight=False).print(table)
    return write({"settings": {"env": env_id, "seconds": seconds, **settings}, "costs": costs}, out)


def _measure(settings: dict[str, Any], seconds: float) -> Cost:
    torch.set_num_threads(1)
    learner = Learner(configure(settings))
    learner.env.reset()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    learner.collector.collect()
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before  # before the compiler, which takes far more
    learner.update()
    began, first, updating = time.perf_counter(), learner.steps, 0.0
    while (elapsed := time.perf_counter() - began) < seconds or learner.steps - first < LEAST_STEPS:
        updating += learner.update()["time/update"]
    steps = learner.steps - first
    return Cost(elapsed / steps * 1e6, (elapsed - updating) / steps * 1e6, held / 1024)
