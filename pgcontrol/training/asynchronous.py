"""Asynchronous training: worker processes that collect and step on their own, on weights in shared memory.

Hogwild (Niu et al. 2011) as in A3C (Mnih et al. 2016): a worker copies the shared weights, plays a rollout, runs the
rule on its copy and adds the *difference* to the shared weights, without a lock, divided by the number of workers: the
others have moved the weights meanwhile, by as many updates, and steps that answer an error which others have answered
too overshoot (staleness-aware steps: Zhang et al. 2016, arXiv 1511.05950). Whole differences of two workers, each with
a critic that is fitted to its rollout, stand at the edge of stability: x ← x − x_before. The optimisers' moments are
shared (shared RMSprop, Mnih et al. 2016, section 4), and are those of whoever came last. Any rule will do; none knows
that it runs here. Which worker comes first is the machine's to say: runs are not reproducible to the bit, and a
resumed one begins new episodes.
"""

from __future__ import annotations

import collections
import dataclasses
import queue
import signal
import time
from collections.abc import Iterator
from statistics import fmean
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.multiprocessing as multiprocessing
from torch import Tensor

from pgcontrol.learning.rollout import Episode, Rollout
from pgcontrol.learning.updates import Diverged
from pgcontrol.machine.signals import HANGUP
from pgcontrol.policy import Normaliser
from pgcontrol.runs.config import Config, configure, nested
from pgcontrol.training.trainer import Trainer

REPORT = 2048
"""Environment steps that one row of metrics.jsonl sums up."""


class WorkerFailed(RuntimeError):
    """A worker process ended that should not have."""


class Shared(NamedTuple):
    """What all processes see."""

    weights: dict[str, Tensor]
    """`theta` and the rule's state, in shared memory."""
    normaliser: Normaliser
    """Its moments in shared memory; changed under the lock only."""
    steps: Any
    """Environment steps played by all workers: a synchronised number, whose lock is the lock."""
    stop: Any
    """An event: workers end after the update they are in."""
    news: Any
    """A queue of News, or of an exception that ended a worker."""


class News(NamedTuple):
    """What came of one worker's update."""

    steps: int
    row: dict[str, float]
    episodes: list[Episode]


class AsyncTrainer(Trainer):
    """Watches over the workers: starts them, gathers their news, saves the shared weights, and ends them."""

    reproducible = False

    def __init__(self, config: Config, compiled: bool | None = None, fresh: bool = True):
        # a thread for each worker; --threads is for evaluations
        super().__init__(dataclasses.replace(config, threads=config.threads or 1), compiled, fresh)
        self.policy.theta.share_memory_()  # the modules' weights are views of it
        self.policy.normaliser.share_memory()
        self.shared: Shared | None = None
        self.workers: list[Any] = []

    def update(self) -> dict[str, float]:
        """The next REPORT steps of all workers together, as one row: means of their metrics.

        Raises:
            Diverged, FloatingPointError: numbers stopped being finite in a worker.
            WorkerFailed: a worker's process died.
        """
        if self.shared is None:
            self.shared = self._start()
        began, rows, gathered = time.perf_counter(), list[dict[str, float]](), 0
        wanted = min(REPORT, self.config.total_steps - self.steps)
        for news in self._listen(self.shared):
            rows.append(news.row)
            gathered += news.steps
            self.episodes.extend(news.episodes)
            if gathered >= wanted:
                break
        self.steps += gathered
        self.updates += len(rows)
        self.seconds += time.perf_counter() - began
        columns = collections.defaultdict(list)
        for row in rows:
            for name, value in row.items():
                columns[name].append(value)
        return {name: fmean(values) for name, values in columns.items()} | self._account()

    def save(self, folder: Any) -> None:
        """See `Trainer.save`. Workers go on meanwhile: the weights are those of no single moment, as any worker's."""
        if self.shared is not None:
            self.rule.load_state({k[5:]: v for k, v in self.shared.weights.items() if k.startswith("rule.")})
        super().save(folder)

    def close(self) -> None:
        """End the workers, by force if they do not listen."""
        if self.shared is not None:
            self.shared.stop.set()
            patience = time.monotonic() + 10
            while any(w.is_alive() for w in self.workers) and time.monotonic() < patience:
                try:  # a worker cannot end while its news is unread
                    self.shared.news.get(timeout=0.05)
                except queue.Empty:
                    continue
            for worker in self.workers:
                worker.kill()
                worker.join()
        super().close()

    def _start(self) -> Shared:
        context = multiprocessing.get_context("spawn")  # a fork would take over threads' locks but not the threads
        count = self.config.algorithm.options.workers
        state = {f"rule.{name}": tensor.clone().share_memory_() for name, tensor in self.rule.state().items()}
        shared = Shared(
            weights={"theta": self.policy.theta} | state,
            normaliser=self.policy.normaliser,
            steps=context.Value("q", self.steps),
            stop=context.Event(),
            news=context.Queue(4 * count),  # bounded: workers wait while nobody reads
        )
        for number in range(count):
            seed = int(np.random.SeedSequence([self.config.seed, self.steps, number]).generate_state(1, np.uint64)[0])
            settings = nested(self.config) | {"seed": seed >> 1, "threads": 1}
            self.workers.append(context.Process(target=work, args=(settings, shared), daemon=True))
            self.workers[-1].start()
        return shared

    def _listen(self, shared: Shared) -> Iterator[News]:
        while True:
            for number, worker in enumerate(self.workers):
                if worker.exitcode:
                    raise WorkerFailed(f"worker {number} ended with exit code {worker.exitcode}")
            try:
                news = shared.news.get(timeout=1.0)
            except queue.Empty:
                continue
            if isinstance(news, Exception):
                raise news
            yield news


class Worker(Trainer):
    """One worker: a Trainer whose weights come from shared memory before an update and go back as a difference."""

    def __init__(self, config: Config, shared: Shared):
        super().__init__(config, compiled=False)
        self.shared = shared

    def update(self) -> dict[str, float]:
        """Pull, collect, step, push."""
        shared, own = self.shared, self.policy
        before = {name: tensor.clone() for name, tensor in shared.weights.items()}
        own.theta.copy_(before["theta"])
        own.normaliser.load_state_dict(shared.normaliser.state_dict())
        self.rule.load_state({name[5:]: tensor for name, tensor in before.items() if name.startswith("rule.")})
        row = super().update()
        shared.weights["theta"].add_(own.theta - before["theta"], alpha=1 / self.config.algorithm.options.workers)
        for name, tensor in self.rule.state().items():
            shared.weights[f"rule.{name}"].copy_(tensor)
        return row

    def _adapt(self, rollout: Rollout, target: Tensor, progress: float) -> None:
        """Nothing: the workers decode alike and value alike only while nobody refits."""

    def _take_in(self, obs: Tensor) -> None:
        with self.shared.steps.get_lock():
            self.shared.normaliser.update(obs)


def work(settings: dict[str, Any], shared: Shared) -> None:
    """A worker process: updates until the budget is used, it is told to stop, or its parent is gone."""
    for number in (signal.SIGINT, signal.SIGTERM, *HANGUP):
        signal.signal(number, signal.SIG_IGN)  # the trainer hears them, and says when to stop
    torch.set_num_threads(1)
    config = configure(settings)
    parent = multiprocessing.parent_process()
    worker = Worker(config, shared)

    def wanted() -> bool:
        return not shared.stop.is_set() and parent is not None and parent.is_alive()

    while wanted() and shared.steps.value < config.total_steps:
        news: News | Exception
        try:
            before = worker.steps = shared.steps.value  # schedules follow what all have played
            row = worker.update()
            news = News(worker.steps - before, _of_the_update(row), list(worker.episodes))
            worker.episodes.clear()
            with shared.steps.get_lock():
                shared.steps.value += news.steps
        except (Diverged, FloatingPointError) as error:
            news = error
        while wanted():
            try:
                shared.news.put(news, timeout=1.0)
                break
            except queue.Full:
                continue
        if isinstance(news, Exception):
            break
    worker.close()


def _of_the_update(row: dict[str, float]) -> dict[str, float]:
    """Without what only the trainer knows: episodes and time over all workers."""
    own = ("rollout/ep_", "time/iterations", "time/time_elapsed")
    return {name: value for name, value in row.items() if not name.startswith(own)}
