"""Threads: the number for the physics (measured, since more are not always faster), and one for torch.

Trainings in several threads of one process share torch's global generator, so only `seeded` may draw from it.
"""

import os
import threading
import time
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from statistics import median
from typing import Any, NamedTuple

import pgcontrol_envs
import torch

STEPS = 15  # timed steps per thread count; their median is stable to a few percent
# seconds between two steps, in which the policy would act: worker threads fall asleep, and waking them costs time
PAUSE = 1e-4
WORTH = 0.05  # smallest gain for which more threads are used; otherwise cores are left to other processes

_GENERATOR = threading.RLock()
if hasattr(os, "register_at_fork"):  # a fork lacks torch's threads, and would wait for them forever
    os.register_at_fork(after_in_child=lambda: torch.set_num_threads(1))


class Threads(NamedTuple):
    """The threads of a run, as in the manifest.

    Attributes:
        physics: threads of the physics.
        torch: threads of torch.
        measured: seconds per step of all environments, by number of physics threads; empty if not measured.
    """

    physics: int
    torch: int
    measured: dict[str, float]


@contextmanager
def one_thread() -> Generator[None]:
    """A context in which torch uses one thread: for small tensors, more threads are slower."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def seeded(seed: int) -> Generator[None]:
    """A context in which torch's global generator draws from `seed`, for one thread at a time; restored on exit."""
    with _GENERATOR, torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def choose(env_id: str, num_envs: int, wanted: int, cpus: int) -> Threads:
    """The smallest number of physics threads within `WORTH` of the fastest; results never depend on it.

    torch gets one thread: for networks with a few thousand weights a second one is slower (a compiled gradient step
    with minibatch 256 took 0.28 ms with two, 0.24 ms with one).

    Args:
        env_id: a task, or gym:ID, whose environments always step one after the other.
        num_envs: N.
        wanted: the user's choice; 0: measure.
        cpus: processors this process may use.
    """
    if wanted:
        if wanted > cpus:
            warnings.warn(f"threads = {wanted}, but this process may only use {cpus} processors", stacklevel=2)
        return Threads(wanted, 1, {})
    most = 1 if env_id.startswith("gym:") else min(cpus, num_envs)
    if most == 1:
        return Threads(1, 1, {})
    powers = {2**k for k in range(most.bit_length())}
    seconds = {n: _step_seconds(env_id, num_envs, n) for n in sorted({most} | powers)}
    return Threads(fewest(seconds), 1, {str(n): round(s, 6) for n, s in seconds.items()})


def fewest(seconds: dict[int, float]) -> int:
    """The smallest number whose time is within `WORTH` of the best."""
    return min(n for n, s in seconds.items() if s <= (1 + WORTH) * min(seconds.values()))


def _step_seconds(env_id: str, num_envs: int, threads: int) -> float:
    env: Any = pgcontrol_envs.make(env_id, num_envs, 0, threads)
    env.reset()
    action = env.action_high.expand(num_envs, -1)
    times = []
    for _ in range(STEPS + 3):
        awake = time.perf_counter() + PAUSE
        while (began := time.perf_counter()) < awake:
            pass
        env.step(action)
        times.append(time.perf_counter() - began)
    env.close()
    return median(times[3:])
