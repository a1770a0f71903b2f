"""Expected durations of runs on this machine, measured with about a second of each kind of run."""

import dataclasses
import time
from collections.abc import Sequence

from pgcontrol.learning.rule import Diverged
from pgcontrol.machine import compiler
from pgcontrol.machine.threads import one_thread
from pgcontrol.runs import catalog
from pgcontrol.runs.config import Config
from pgcontrol.sweep.cell import Cell, Key, naming
from pgcontrol.training import peer
from pgcontrol.training.driver import Driver, driver
from pgcontrol.training.learner import Learner, compiles

STARTING = 3.5  # seconds of a process before its first update: imports and creation of the environments
MEASURING = 20.0  # seconds of measurement for all kinds together
LEAST, MOST = 0.3, 1.5  # smallest and largest number of seconds per kind
COMPILED_SHARE = 0.25  # smallest share of an eager update's time that a compiled update needs


def expected(cells: Sequence[Cell]) -> dict[Key, float]:
    """Expected seconds of each run with its own core. All seeds of an arm on a task get the same value.

    Updates are measured without compilation, because it takes longer than the measurement; its cost and saving are
    estimated (`compiler.SECONDS_SAVED`). Evaluations are assumed to have full episodes. If the machine is so busy that
    the time limit is reached, the remaining kinds get the average.

    Raises:
        InputError: a run cannot be made; names its arm and task.
    """
    kinds = {cell.key[:2]: cell for cell in cells}
    each = min(max(MEASURING / max(len(kinds), 1), LEAST), MOST)
    found: dict[tuple[str, str], float] = {}
    deadline = time.monotonic() + 2 * MEASURING
    with one_thread():
        for kind, cell in kinds.items():
            if time.monotonic() > deadline:
                found[kind] = sum(found.values()) / max(len(found), 1)
                continue
            config = cell.config if "threads" in cell.settings else dataclasses.replace(cell.config, threads=1)
            with naming(cell.key):
                if config.peer != "none":
                    found[kind] = _peers_seconds(config)
                    continue
                learner = Learner(config, compiled=False)
            driven = driver(learner)
            try:
                found[kind] = _seconds(config, learner, driven, each, cell.episodes)
            except (Diverged, FloatingPointError):  # immediately, so the run will be short
                found[kind] = STARTING
            finally:
                driven.close()
    return {cell.key: found[cell.key[:2]] for cell in cells if cell.key[:2] in found}


def _peers_seconds(config: Config) -> float:
    model = peer.ppo(config)
    began = time.perf_counter()
    steps = peer.learn(model)
    model.get_env().close()
    return STARTING + config.total_steps / steps * (time.perf_counter() - began)


def _seconds(config: Config, learner: Learner, driven: Driver, each: float, episodes: int = 0) -> float:
    driven.update()  # allocates memory and warms the caches
    before, count, split = learner.steps, 0, dict.fromkeys(("update", "physics", "policy"), 0.0)
    began = time.perf_counter()
    while not count or time.perf_counter() - began < each:
        row = driven.update()
        count += 1
        split = {name: total + row.get(f"time/{name}", 0.0) for name, total in split.items()}
    update = (time.perf_counter() - began) / count
    # not the learner's number of updates, because an asynchronous learner reports many at a time
    updates = config.total_steps / ((learner.steps - before) / count)
    algorithm = catalog.algorithms()[config.algorithm.name]
    gradient_steps = algorithm.rule.gradient_steps(config.algorithm.options, config.num_envs * config.rollout_steps)
    total = STARTING + updates * update
    if compiles(config):
        saved = min(gradient_steps * compiler.SECONDS_SAVED, (1 - COMPILED_SHARE) * split["update"] / count)
        total += compiler.SECONDS_TO_COMPILE - updates * saved
    step = (split["physics"] + split["policy"]) / count / config.rollout_steps
    evaluations = config.total_steps // config.eval_every + 1 if config.eval_every else 0
    played = evaluations + episodes / config.num_envs  # all environments play episodes at the same time
    return total + 2 * played * step * (learner.env.time_limit or 0)
