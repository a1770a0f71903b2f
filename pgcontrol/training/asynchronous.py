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

import collections
import queue
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.multiprocessing as multiprocessing
from pgcontrol_envs import BrokenEnv
from torch import Tensor

from pgcontrol.learning.rollout import FinishedEpisode
from pgcontrol.learning.rule import Diverged
from pgcontrol.machine.signals import HANGUP
from pgcontrol.machine.tensors import named, under
from pgcontrol.moments import Normaliser
from pgcontrol.options import InputError
from pgcontrol.runs.config import configure, nested
from pgcontrol.training.learner import Learner

# what came of one worker's update: environment steps, metrics, finished episodes
News = tuple[int, dict[str, float], list[FinishedEpisode]]
REPORT = 2048  # environment steps that one row of metrics.jsonl sums up


class WorkerFailed(RuntimeError):
    """A worker process ended that should not have."""


class Shared(NamedTuple):
    """What all processes see.

    Attributes:
        weights: `theta` and the optimisers' states, in shared memory; see `moving`.
        normaliser: its moments in shared memory; changed under the lock only.
        steps: environment steps played by all workers: a synchronised number, whose lock is the lock.
        stop: an event: workers end after the update they are in.
        news: a queue of News, or of an exception that ended a worker.
    """

    weights: dict[str, Tensor]
    normaliser: Normaliser
    steps: Any
    stop: Any
    news: Any


def require_processes(algorithm: str) -> None:
    """Make sure that worker processes can be started from here.

    Raises:
        InputError: says why not, and what would do.
    """
    here, file = multiprocessing.current_process(), getattr(sys.modules["__main__"], "__file__", None)
    if getattr(here, "_inheriting", False):  # as multiprocessing itself asks: a child that is still being started
        raise InputError(f"{algorithm} starts processes that run the script: train below if __name__ == '__main__'")
    if here.daemon:
        pool = "concurrent.futures.ProcessPoolExecutor can, multiprocessing.Pool cannot"
        raise InputError(f"{algorithm} starts processes, which a daemonic process may not: {pool}")
    if file and not Path(file).exists():
        raise InputError(f"{algorithm} starts processes that run the script, but {file} is not a file; save it as one")


class Workers:
    """Makes a Learner's updates by worker processes: starts them, gathers their news, and ends them."""

    def __init__(self, learner: Learner):
        self.learner = learner
        learner.policy.theta.share_memory_()  # the modules' weights are views of it
        learner.policy.normaliser.share_memory()
        self.processes: list[Any] = []
        self.shared = self._start()

    def update(self) -> dict[str, float]:
        """The next REPORT steps of all workers together, as one row: means of their metrics.

        Raises:
            Diverged, FloatingPointError: numbers stopped being finite in a worker.
            WorkerFailed: a worker's process died.
        """
        learner, began = self.learner, time.perf_counter()
        columns, steps, updates = collections.defaultdict[str, list[float]](list), 0, 0
        wanted = min(REPORT, learner.config.total_steps - learner.steps)
        for played, metrics, episodes in self._listen():
            for name, value in metrics.items():
                columns[name].append(value)
            learner.episodes.extend(episodes)
            steps, updates = steps + played, updates + 1
            if steps >= wanted:
                break
        row = {name: fmean(values) for name, values in columns.items()}
        return learner.count(row, steps, updates, time.perf_counter() - began)

    def widen(self, std: float) -> None:
        """Workers have copies of the policy: `Learner` refuses this before a run begins."""
        raise NotImplementedError

    def save(self, folder: Path) -> None:
        """See `Learner.save`. Workers go on meanwhile: the weights are those of no single moment, as any worker's."""
        take(self.learner, self.shared.weights)
        self.learner.save(folder)

    def close(self) -> None:
        """End the workers, by force if they do not listen."""
        self.shared.stop.set()
        patience = time.monotonic() + 10
        while any(w.is_alive() for w in self.processes) and time.monotonic() < patience:
            with suppress(queue.Empty):  # a worker cannot end while its news is unread
                self.shared.news.get(timeout=0.05)
        for process in self.processes:
            process.kill()
            process.join()
        self.learner.close()

    def _start(self) -> Shared:
        context = multiprocessing.get_context("spawn")  # a fork would take over threads' locks but not the threads
        learner, config = self.learner, self.learner.config
        count = config.algorithm.options.workers
        weights = {n: t if n == "theta" else t.clone().share_memory_() for n, t in moving(learner).items()}
        news = context.Queue(4 * count)  # bounded: workers wait while nobody reads
        steps, stop = context.Value("q", learner.steps), context.Event()
        shared = Shared(weights, learner.policy.normaliser, steps, stop, news)
        fixed = named("policy.", learner.policy.state_dict())
        fixed |= named("prior.", learner.prior.state() if learner.prior else {})
        for number in range(count):
            seed = int(np.random.SeedSequence([config.seed, learner.steps, number]).generate_state(1, np.uint64)[0])
            settings = nested(config) | {"seed": seed >> 1, "threads": 1}
            self.processes.append(context.Process(target=work, args=(settings, shared, fixed), daemon=True))
            self.processes[-1].start()
        return shared

    def _listen(self) -> Iterator[News]:
        while True:
            for number, process in enumerate(self.processes):
                if process.exitcode:
                    hint = "" if self.learner.updates else "; a script must train below if __name__ == '__main__'"
                    raise WorkerFailed(f"worker {number} ended with exit code {process.exitcode}{hint}")
            try:
                news = self.shared.news.get(timeout=1.0)
            except queue.Empty:
                continue
            if isinstance(news, Exception):
                raise news
            yield news


def moving(learner: Learner) -> dict[str, Tensor]:
    """What the workers move together: `theta`, and the states of the rule and of a critic that a prior warms up."""
    critic = learner.prior.critic_fit.state() if learner.prior else {}
    return {"theta": learner.policy.theta} | named("rule.", learner.rule.state()) | named("prior.", critic)


def take(learner: Learner, weights: dict[str, Tensor]) -> None:
    """Give a learner what `moving` gave."""
    learner.policy.theta.copy_(weights["theta"])
    learner.rule.load_state(under("rule.", weights))
    if learner.prior:
        learner.prior.critic_fit.load_state(under("prior.", weights))


def update(worker: Learner, shared: Shared) -> dict[str, float]:
    """One update of a worker: pull the weights, collect, learn, push the difference; its metrics.

    What the head decodes by and the range of values stay: the workers decode alike and value alike only while nobody
    refits.
    """
    began = time.perf_counter()
    before = {name: tensor.clone() for name, tensor in shared.weights.items()}
    take(worker, before)
    worker.policy.normaliser.load_state_dict(shared.normaliser.state_dict())
    rollout = worker.collect()
    row = worker.learn(rollout, rollout.estimate(worker.estimator))
    with shared.steps.get_lock():
        bounded = shared.normaliser.update(rollout.raw_obs[~rollout.idle], worker.settled)
    row |= worker.outliers(rollout, bounded)
    difference = worker.policy.theta - before["theta"]
    shared.weights["theta"].add_(difference, alpha=1 / worker.config.algorithm.options.workers)
    for name, tensor in moving(worker).items():
        if name != "theta":
            shared.weights[name].copy_(tensor)
    return worker.report(rollout, row, began)


def work(settings: dict[str, Any], shared: Shared, fixed: dict[str, Tensor]) -> None:
    """A worker process: updates until the budget is used, it is asked to stop, or its parent is gone.

    Args:
        settings: of the worker's own Learner.
        shared: what all processes see.
        fixed: the policy's state and the prior's as the workers begin.
    """
    for number in (signal.SIGINT, signal.SIGTERM, *HANGUP):
        signal.signal(number, signal.SIG_IGN)  # the learner hears them, and says when to stop
    torch.set_num_threads(1)
    parent = multiprocessing.parent_process()
    try:
        worker = Learner(configure(settings), compiled=False, fresh=False)
    except InputError as error:  # what the script does below __name__ == '__main__', such as registering, it does not
        shared.news.put(InputError(f"in a worker process, which only imports the script: {error}"))
        return
    worker.policy.load_state_dict(under("policy.", fixed))
    if worker.prior:
        worker.prior.load_state(under("prior.", fixed))

    def wanted() -> bool:
        return not shared.stop.is_set() and parent is not None and parent.is_alive()

    while wanted() and shared.steps.value < worker.config.total_steps:
        news: News | Exception
        try:
            before = worker.steps = shared.steps.value  # schedules follow what all have played
            row = update(worker, shared)
            news = worker.steps - before, row, list(worker.episodes)
            worker.episodes.clear()
            with shared.steps.get_lock():
                shared.steps.value += worker.steps - before
        except (Diverged, FloatingPointError, BrokenEnv) as error:
            news = error
        while wanted():
            with suppress(queue.Full):
                shared.news.put(news, timeout=1.0)
                break
        if isinstance(news, Exception):
            break
    worker.close()
