"""Speed of the environments: steps per second of VecEnv, of the batch it uses, and of its peers, in one run."""

import os
import platform
import re
import time
from collections.abc import Callable, Sequence
from functools import partial
from importlib.util import find_spec
from typing import Any
from unittest import mock

import gymnasium
import mujoco
import numpy as np
import pgcontrol_envs
import torch
from mujoco.batch import Batch
from pgcontrol_envs.mujoco_batch import STAGES
from pgcontrol_envs.task import python_warnings
from pgcontrol_envs.vector import TaskVecEnv

from pgcontrol.bench import dm_control
from pgcontrol.bench.turns import in_turns, ratio, show, spans

SYNC_ENVS = 8
REPEATS = 11
WRITTEN = "qpos", "qvel", "ctrl", "qacc_warmstart", "xfrc_applied"  # state components that affect the dynamics

# (number of envs, function that starts the first episodes, function that plays the step with a given number)
Contender = tuple[int, Callable[[], object], Callable[[int], Any]]


def run(env_ids: Sequence[str], num_envs: int, threads: int, seconds: float) -> dict[str, Any]:
    """Measure env steps per second with random actions, including episodes and resets; print a table for each task.

    The contenders take turns, REPEATS times, so that a disturbance of the machine affects all of them:

    - vecenv: VecEnv, with resets of ended episodes;
    - bare: `mujoco.batch` with the same model and threads. It replays vecenv's actions and everything that vecenv's
      resets and pushes write. The trajectories are bit-identical, so the physics costs the same, and the difference is
      the overhead of VecEnv;
    - envpool: EnvPool's env of the task, with its autoreset, on the same threads (if EnvPool is installed);
    - sync: Gymnasium's SyncVectorEnv with 8 envs, for tasks that Gymnasium has;
    - dm_control: one dm_control env, for tasks of the suite (if dm_control is installed).

    Args:
        env_ids: tasks of the catalogue.
        num_envs: number of envs of all contenders but sync.
        threads: physics threads.
        seconds: time for one turn of one contender.

    Returns:
        {"host": ..., "settings": ..., "envs": {env: {contender: {"steps_per_second": median,
        "low": min, "high": max, "vecenv_ratio": median over turns of vecenv / contender}}}}.
    """
    result = {
        "host": {"cpus": os.cpu_count(), "machine": platform.machine(), "mujoco": mujoco.mj_versionString()},  # pyright: ignore[reportAttributeAccessIssue]
        "settings": {"num_envs": num_envs, "threads": threads, "seconds": seconds, "repeats": REPEATS},
        "envs": {env_id: _measure(env_id, num_envs, threads, seconds) for env_id in env_ids},
    }
    return result


def _measure(env_id: str, num_envs: int, threads: int, seconds: float) -> dict[str, dict[str, float]]:
    env = TaskVecEnv(pgcontrol_envs.catalog()[env_id], num_envs, 0, threads)
    low, high = env.action_low.numpy(), env.action_high.numpy()
    actions = np.random.default_rng(0).uniform(low, high, (1000, num_envs, len(low))).astype(np.float32)
    ours = vecenv(env, actions)
    steps = max(20, int(seconds * _rate(ours, 100) / num_envs))
    contenders = {"vecenv": ours, "bare": bare(env, actions, steps, threads)}
    if env_id in gymnasium.registry:
        contenders["sync"] = _sync(env_id, actions)
    elif env_id.startswith("dm:") and find_spec("dm_control"):
        contenders["dm_control"] = _dm_control(env_id, actions)
    if len(contenders) > 2 and find_spec("envpool"):
        contenders["envpool"] = _envpool(env_id, num_envs, threads, actions)
    rates = in_turns({name: partial(_rate, contender, steps) for name, contender in contenders.items()}, REPEATS)
    ratios = {name: ratio(rates, "vecenv", name) for name in rates}
    title = f"{env_id}: env steps, {num_envs} envs ({SYNC_ENVS} of sync, one of dm_control), {threads} threads"
    show(title, spans(rates), {"vecenv is": [f"{times:.2f} x" for times in ratios.values()]})
    return {
        name: {"steps_per_second": span.pop("rate"), **span, "vecenv_ratio": ratios[name]}
        for name, span in spans(rates).items()
    }


def _rate(contender: Contender, steps: int) -> float:
    num_envs, begin, step = contender
    begin()
    start = time.perf_counter()
    for t in range(steps):
        step(t)
    return num_envs * steps / (time.perf_counter() - start)


def vecenv(env: TaskVecEnv, actions: np.ndarray) -> Contender:
    """VecEnv; a step resets the envs whose episodes end, and returns their ids."""
    rows = torch.from_numpy(actions).unbind()

    def step(t: int) -> np.ndarray:
        played = env.step(rows[t % len(rows)])
        over = np.flatnonzero(played.terminated.numpy() | played.truncated.numpy())
        if len(over):
            env.reset(over)
        return over

    return env.num_envs, lambda: env.reset(seed=0), step


def bare(env: TaskVecEnv, actions: np.ndarray, steps: int, threads: int) -> Contender:
    """The batch below VecEnv. It makes the same calls as VecEnv in `steps` steps, which are recorded here first.

    What was written before a call is written again, so that bodies are randomised, pushed and reset in the same way.
    """
    num_envs, begin, play = vecenv(env, actions)
    batch = Batch(env.task.model, num_envs, threads, persistent=env.task.stage != "none")
    own = {name: env.physics.expand(name) for name in env.physics.own(0)}
    fields = {name: env.physics.bind(name) for name in WRITTEN} | own
    copies = {name: batch.bind(name) for name in WRITTEN} | {name: batch.expand(name) for name in own}
    calls: list[list[Callable[[], object]]] = [[]]  # calls of the first reset, and of each step
    last: dict[str, np.ndarray] = {}  # values of the fields after the last call

    def noting(method: Callable[..., Any], again: Callable[..., Callable[[], object]]) -> Callable[..., Any]:
        def noted(*args: Any) -> Any:
            for name, field in fields.items():
                changed = (field != last[name]).reshape(num_envs, -1).any(1) if last else np.ones(num_envs, np.bool_)
                if changed.any():
                    rows = np.flatnonzero(changed)
                    calls[-1].append(partial(copies[name].__setitem__, rows, field[rows]))
            calls[-1].append(again(*args))
            answer = method(*args)
            last.update({name: field.copy() for name, field in fields.items()})
            return answer

        return noted

    def stepping(nstep: int, ids: Any = None, stage: str = "none", _: Any = None) -> Callable[[], object]:
        return partial(batch.step, ids, nstep, STAGES[stage])

    again = {"step": stepping, "reset": partial(partial, batch.reset, stage=0)}
    again |= {name: partial(partial, getattr(batch, name)) for name in ("forward", "set_const")}
    noted: dict[str, Any] = {name: noting(getattr(env.physics, name), make) for name, make in again.items()}
    with mock.patch.multiple(env.physics, **noted):
        begin()
        for t in range(steps):
            calls.append([])
            play(t)

    def make(t: int) -> None:
        for call in calls[t]:
            call()

    def step(t: int) -> None:
        copies["ctrl"][:] = actions[t % len(actions)]
        make(t + 1)

    return num_envs, partial(make, 0), step


def _sync(env_id: str, actions: np.ndarray) -> Contender:
    with python_warnings():
        env = gymnasium.make_vec(env_id, SYNC_ENVS, vectorization_mode="sync")
    rows = np.resize(actions, (len(actions), SYNC_ENVS, actions.shape[-1]))
    return SYNC_ENVS, lambda: env.reset(seed=0), lambda t: env.step(rows[t % len(rows)])


def _dm_control(env_id: str, actions: np.ndarray) -> Contender:
    env, rows = dm_control.load(env_id, 0), actions[:, 0].astype(np.float64)
    return 1, env.reset, lambda t: env.step(rows[t % len(rows)])


def _envpool(env_id: str, num_envs: int, threads: int, actions: np.ndarray) -> Contender:
    import envpool

    if env_id.startswith("dm:"):
        env_id = "".join(word.title() for word in re.split("[-_]", env_id.removeprefix("dm:"))) + "-v1"
    env = envpool.make(env_id, env_type="gymnasium", num_envs=num_envs, num_threads=threads, seed=0)
    rows = actions.astype(np.float64)
    return num_envs, env.reset, lambda t: env.step(rows[t % len(rows)])
