"""Copies of a Gymnasium environment in worker processes, a block of them in each, by Gymnasium's AsyncVectorEnv.

AsyncVectorEnv has one environment a process and steps all of them. Here each of its environments is a block of copies,
which answers questions: so some copies can stand still, and what breaks the contract gets the same line.
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
    """A worker process ended that should not have."""


class WorkerCopies:
    """The interface of Copies, for copies in worker processes.

    Raises:
        ValueError: as Copies; or this process, a worker itself, may not have workers.
        WorkerDied: a process ended; any method may raise it.
    """

    def __init__(self, env_id: str, count: int, workers: int):
        self.env_id = env_id
        if current_process().daemon:
            raise ValueError(f"{env_id}: a worker process cannot have workers of its own")
        self._blocks = np.array_split(np.arange(count), min(workers, count))
        makers = [_CopiesMaker(env_id, number, len(block), os.getpid()) for number, block in enumerate(self._blocks)]
        try:
            # a fork would take over the locks of threads but not the threads
            self._vector = AsyncVectorEnv(makers, shared_memory=False, context="spawn")
        except (EOFError, OSError) as error:
            cause = "does the program start only under `if __name__ == '__main__':`?"
            raise WorkerDied(f"{env_id}: a worker process ended before it began; {cause}") from error
        atexit.register(self.close)  # the processes do not hear Python's own way to end them
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
        """End the processes, by force where one does not listen."""
        if self._vector.closed:
            return
        atexit.unregister(self.close)
        with suppress(Exception):  # one has ended before, which AsyncVectorEnv says in many ways
            self._vector.call("finish")
        self._vector.closed = True  # AsyncVectorEnv's own close waits for those that have died
        for process in self._vector.processes:
            process.kill()
            process.join()

    def _home(self, i: int) -> int:
        return next(number for number, block in enumerate(self._blocks) if i in block)

    def _ask(self, method: str, each: Sequence[tuple[Any, ...]] | None = None) -> list[Any]:
        """What a method of every block's copies returns, with arguments of its own each."""
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
    """Makes a block where AsyncVectorEnv asks for an environment: in each process, and in ours to see the spaces."""

    def __init__(self, env_id: str, number: int, count: int, home: int):
        self.env_id, self.number, self.count, self.home = env_id, number, count, home

    def __call__(self) -> gymnasium.Env:
        if os.getpid() != self.home:
            for one in (signal.SIGINT, signal.SIGTERM):  # the process that trains hears them, and ends this one
                signal.signal(one, signal.SIG_IGN)
            torch.set_num_threads(1)
            plugins.loaded()
        return _CopiesEnv(self.env_id, self.number, self.count)


class _CopiesEnv(gymnasium.Env):
    """Copies, made when they are asked for the first time."""

    observation_space = action_space = Discrete(1)

    def __init__(self, env_id: str, number: int, count: int):
        self._settings, self._number = (env_id, count), number
        self._copies: Copies | None = None

    def ask(self, method: str, each: Sequence[tuple[Any, ...]]) -> Any:
        """What a method of the copies returns, or the error it ends in; `each` has every block's arguments."""
        try:
            self._copies = self._copies or Copies(*self._settings)
            return getattr(self._copies, method)(*each[self._number])
        except Exception as error:
            return error

    def finish(self) -> None:
        """Close the copies."""
        if self._copies:
            self._copies.close()
