"""Copies of a Gymnasium environment in worker processes, a block of copies in each, with Gymnasium's AsyncVectorEnv.

AsyncVectorEnv has one environment per process and steps all of them. Here each of its environments is a block of copies
that executes method calls. So a step can leave some copies out, and a broken contract gives the same error line.
"""

import atexit
import os
import signal
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing import current_process
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium.spaces import Discrete
from gymnasium.vector import AsyncVectorEnv

from pgcontrol_envs import plugins
from pgcontrol_envs.gym_copies import About, Answer, Copies


class WorkerDied(RuntimeError):
    """A worker process ended unexpectedly."""


class WorkerCopies:
    """The interface of Copies, for copies in worker processes.

    Raises:
        ValueError: see Copies; or this process is a worker itself and may not start workers.
        WorkerDied: a worker process ended; every method may raise it.
    """

    def __init__(self, env_id: str, count: int, workers: int):
        self.env_id = env_id
        if current_process().daemon:
            raise ValueError(f"{env_id}: a worker process cannot start workers")
        self._blocks = np.array_split(np.arange(count), min(workers, count))
        makers = [_CopiesMaker(env_id, number, len(block), os.getpid()) for number, block in enumerate(self._blocks)]
        try:
            # a forked child would inherit locks that are held by threads it does not have
            self._vector = AsyncVectorEnv(makers, shared_memory=False, context="spawn")
        except (EOFError, OSError) as error:
            cause = "does the main program run under `if __name__ == '__main__':`?"
            raise WorkerDied(f"{env_id}: a worker process ended at its start; {cause}") from error
        atexit.register(self.close)  # the processes ignore the signals by which Python ends its children
        try:
            self.about: About = self._ask("look")[0]
        except BaseException:
            self.close()
            raise

    def reset(self, ids: Sequence[int], seeds: Sequence[int | None]) -> np.ndarray:
        """See Copies.reset."""
        seeded = dict(zip(ids, seeds, strict=True))
        chosen = [[int(i) for i in block if i in seeded] for block in self._blocks]
        each = zip(self._blocks, chosen, strict=True)
        return np.concatenate(
            self._ask("reset", [([i - int(block[0]) for i in some], [seeded[i] for i in some]) for block, some in each])
        )

    def step(self, action: np.ndarray, ids: Sequence[int]) -> Answer:
        """See Copies.step."""
        active = np.zeros(len(action), np.bool_)
        active[list(ids)] = True
        blocks = self._blocks
        answers = self._ask("step", [(action[block], np.flatnonzero(active[block]).tolist()) for block in blocks])
        terms = {name: np.zeros(len(action)) for answer in answers for name in answer.terms}
        for block, answer in zip(blocks, answers, strict=True):
            for name, term in answer.terms.items():
                terms[name][block] = term
        obs, reward, terminated, truncated = (np.concatenate([answer[k] for answer in answers]) for k in range(4))
        return Answer(obs, reward, terminated, truncated, terms)

    def qpos(self, i: int) -> np.ndarray | None:
        """See Copies.qpos."""
        return self._ask("qpos", [(max(i - int(block[0]), 0) % len(block),) for block in self._blocks])[self._home(i)]

    def streams(self) -> list[dict[str, Any] | None]:
        """See Copies.streams."""
        return [stream for streams in self._ask("streams") for stream in streams]

    def set_streams(self, streams: Sequence[dict[str, Any] | None]) -> list[bool]:
        """See Copies.set_streams."""
        parts = self._ask("set_streams", [([streams[i] for i in block],) for block in self._blocks])
        return [taken for part in parts for taken in part]

    def close(self) -> None:
        """End the processes; those that do not react are killed."""
        if self._vector.closed:
            return
        atexit.unregister(self.close)
        with suppress(Exception):  # a process has ended already; AsyncVectorEnv raises different errors then
            self._vector.call("finish")
        self._vector.closed = True  # AsyncVectorEnv's close() would wait for dead processes
        for process in self._vector.processes:
            process.kill()
            process.join()

    def _home(self, i: int) -> int:
        return next(number for number, block in enumerate(self._blocks) if i in block)

    def _ask(self, method: str, each: Sequence[tuple[Any, ...]] | None = None) -> list[Any]:
        """Call a method of every block, with separate arguments for each; returns the results."""
        try:
            answers = self._vector.call("ask", method, each or [()] * len(self._blocks))
        except (EOFError, OSError) as error:
            codes = [process.join(1) or process.exitcode for process in self._vector.processes]
            dead = next((f"{n} ended (exit code {code})" for n, code in enumerate(codes) if code is not None), "ended")
            self.close()
            raise WorkerDied(f"{self.env_id}: worker process {dead} at {method}()") from error
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        return list(answers)


class _CopiesMaker:
    """Makes a block. AsyncVectorEnv calls it in each worker process, and once in ours to learn the spaces."""

    def __init__(self, env_id: str, number: int, count: int, home: int):
        self.env_id, self.number, self.count, self.home = env_id, number, count, home

    def __call__(self) -> gymnasium.Env:
        if os.getpid() != self.home:
            for one in (signal.SIGINT, signal.SIGTERM):  # the training process handles them and ends this process
                signal.signal(one, signal.SIG_IGN)
            torch.set_num_threads(1)
            plugins.loaded()
        return _CopiesEnv(self.env_id, self.number, self.count)


class _CopiesEnv(gymnasium.Env):
    """A block of copies; they are made at the first call."""

    observation_space = action_space = Discrete(1)

    def __init__(self, env_id: str, number: int, count: int):
        self._settings, self._number = (env_id, count), number
        self._copies: Copies | None = None

    def ask(self, method: str, each: Sequence[tuple[Any, ...]]) -> Any:
        """Call a method of the copies; returns its result or the exception. `each` has the arguments of all blocks."""
        try:
            self._copies = self._copies or Copies(*self._settings)
            return getattr(self._copies, method)(*each[self._number])
        except Exception as error:
            return error

    def finish(self) -> None:
        """Close the copies."""
        if self._copies:
            self._copies.close()
