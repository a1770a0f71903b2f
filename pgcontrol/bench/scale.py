"""Cost of a step and memory of a run, from few environments to many."""

import multiprocessing
import resource
import time
from concurrent.futures import ProcessPoolExecutor
from typing import Any, NamedTuple

import torch
from rich.table import Table

from pgcontrol.machine.terminal import Terminal
from pgcontrol.runs.config import configure
from pgcontrol.training.learner import Learner

COUNTS = (8, 16, 32, 64, 128, 256, 512)
LEAST_STEPS = 8192  # smallest number of environment steps that are timed for each count


class Cost(NamedTuple):
    """The cost of a training with a number of environments.

    Attributes:
        microseconds: time per step of one environment, everything included.
        collecting: the part of it that is not the update.
        megabytes: peak memory minus the process's memory before its first rollout.
    """

    microseconds: float
    collecting: float
    megabytes: float


def run(env_id: str, seconds: float, counts: tuple[int, ...] = COUNTS, **settings: Any) -> dict:
    """Measure each count in its own process, print a table.

    Args:
        env_id: a task.
        seconds: time for each count.
        counts: numbers of environments.
        settings: dotted settings in addition to the task's recommended ones.

    Returns:
        {"settings": ..., "costs": {count: Cost as a dict}}.
    """
    context, costs, asked = multiprocessing.get_context("spawn"), {}, {"env": env_id, "compile": "on"} | settings
    usual = configure(asked)
    minibatch = getattr(usual.algorithm.options, "minibatch", None)
    table = Table("environments", "µs per step", "of these collecting", "MB", title=env_id)
    for count in counts:
        chosen = asked | {"num_envs": count}
        if minibatch is not None:  # a rollout of few environments can be shorter than the recommended minibatch
            chosen["algorithm.minibatch"] = min(minibatch, count * usual.rollout_steps)
        # memory that is not returned to the system would count for the next; a Pool would kill it before its cleanup
        with ProcessPoolExecutor(1, context) as pool:
            cost = pool.submit(_measure, chosen, seconds).result()
        costs[str(count)] = cost._asdict()
        table.add_row(f"{count}", *(f"{number:.1f}" for number in cost))
    Terminal(highlight=False).print(table)
    return {"settings": {"env": env_id, "seconds": seconds, **settings}, "costs": costs}


def _measure(settings: dict[str, Any], seconds: float) -> Cost:
    torch.set_num_threads(1)
    learner = Learner(configure(settings))
    learner.env.reset()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    learner.collector.collect()
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before  # before compilation, which needs far more
    learner.update()
    began, first, updating = time.perf_counter(), learner.steps, 0.0
    while (elapsed := time.perf_counter() - began) < seconds or learner.steps - first < LEAST_STEPS:
        updating += learner.update()["time/update"]
    steps = learner.steps - first
    return Cost(elapsed / steps * 1e6, (elapsed - updating) / steps * 1e6, held / 1024)
