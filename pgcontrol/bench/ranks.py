"""How fast do several processes train one policy, compared with one process and with as many separate runs?"""

import multiprocessing
import tempfile
import time
from functools import partial
from typing import Any

import torch.distributed as distributed

from pgcontrol.bench.training import train
from pgcontrol.bench.turns import in_turns, show, spans
from pgcontrol.machine.ranks import ALONE, Ranks
from pgcontrol.machine.threads import one_thread
from pgcontrol.runs.config import configure, nested
from pgcontrol.training.learner import Learner

REPEATS = 3


def run(env_id: str, ranks: tuple[int, ...], settings: dict[str, Any], seconds: float) -> dict[str, Any]:
    """Measure, print a table. Every process has one thread.

    Args:
        env_id: a task, with its recommended settings.
        ranks: numbers of processes.
        settings: dotted settings that replace recommended ones.
        seconds: time for one turn of one row.

    Returns:
        {"settings": ..., "rows": {row: {"rate": median of environment steps/s, "low": min, "high":
        max}}}. For each number of processes there is a row of one run that they make together, and a row with the sum
        of as many runs at once.

    Raises:
        InputError: processes cannot share the environments or the minibatch evenly.
    """
    asked = nested(configure({"env": env_id, "compile": "on", **settings, "threads": 1}))
    rows = {}
    for size in ranks:
        Ranks(0, size).require_even("num_envs", asked["num_envs"])
        rows[f"one run, processes: {size}"] = partial(_together, asked, size, seconds)
        if size > 1:
            rows[f"runs at once: {size}"] = partial(_apart, asked, size, seconds)
    measured = spans(in_turns(rows, REPEATS))
    first = next(iter(measured.values()))["rate"]
    batch = asked["algorithm"].get("minibatch", "-")
    title = f"{env_id}: environment steps, {asked['num_envs']} environments, minibatch {batch}"
    show(title, measured, {"x first": [f"{row['rate'] / first:.2f}" for row in measured.values()]})
    return {"settings": {"env": env_id, "seconds": seconds, "repeats": REPEATS, **settings}, "rows": measured}


def _together(settings: dict[str, Any], size: int, seconds: float) -> float:
    with tempfile.TemporaryDirectory() as folder, multiprocessing.get_context("spawn").Pool(size) as pool:
        parts = [(settings, seconds, rank, size, f"{folder}/store") for rank in range(size)]
        return pool.starmap(_rate, parts, chunksize=1)[0]


def _apart(settings: dict[str, Any], size: int, seconds: float) -> float:
    with multiprocessing.get_context("spawn").Pool(size) as pool:
        alone = [(settings | {"seed": seed}, seconds) for seed in range(size)]
        return sum(pool.starmap(_rate, alone, chunksize=1))


def _rate(settings: dict[str, Any], seconds: float, rank: int = 0, size: int = 1, store: str = "") -> float:
    """Environment steps a second of a run, in this process or as one rank of it."""
    ranks = ALONE
    if size > 1:
        distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=size)
        ranks = Ranks(rank, size)
    learner = Learner(configure(settings), ranks=ranks)
    with one_thread():  # as in a training; several runs with more threads each would slow each other down
        for _ in range(2):  # what is compiled is compiled
            learner.update()
        began = time.perf_counter()
        train(learner, {})
        count = max(1, round(ranks.first(seconds / (time.perf_counter() - began))))  # the same on all ranks
        began = time.perf_counter()
        steps = sum(train(learner, {}) for _ in range(count))
        return steps / (time.perf_counter() - began)
