"""Asynchronous training: worker processes collect rollouts and update weights in shared memory independently.

Hogwild (Niu et al. 2011) as in A3C (Mnih et al. 2016): a worker copies the shared weights, collects a rollout, runs the
rule on its copy and adds the *difference* to the shared weights, without a lock and divided by the number of workers.
Reason for the division: meanwhile the other workers have updated the weights as often, and if several workers correct
the same error in full, they overshoot (staleness-aware steps: Zhang et al. 2016, arXiv 1511.05950). With undivided
differences, two workers with critics that fit their rollouts are at the limit of stability: x ← x − x_before.
The workers share the optimisers' moments (shared RMSprop, Mnih et al. 2016, section 4) and the scale of rewards; the
last worker overwrites them. Any rule can be used without changes. The order of updates depends on the machine, so runs
are not reproducible bit for bit. A resumed run begins new episodes.
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

from pgcontrol.learning.merging import FinishedEpisode
from pgcontrol.learning.rule import Diverged
from pgcontrol.machine.signals import HANGUP
from pgcontrol.machine.tensors import named, under
from pgcontrol.moments import Normaliser, RewardScale
from pgcontrol.options import InputError
from pgcontrol.runs.config import configure, nested
from pgcontrol.training.learner import Learner

# result of one worker's update: environment steps, metrics, finished episodes
News = tuple[int, dict[str, float], list[FinishedEpisode]]
REPORT = 2048  # environment steps per row of metrics.jsonl


class WorkerFailed(RuntimeError):
    """A worker process ended unexpectedly."""


class Shared(NamedTuple):
    """Data that all processes share.

    Attributes:
        weights: `theta` and the optimisers' states, in shared memory; see `moving`.
        normaliser, scale: of observations and rewards. Moments are in shared memory; changing them requires the lock.
        steps: environment steps of all workers: a synchronised number with the lock.
        stop: an event; if it is set, workers end after their current update.
        news: a queue of News, or of an exception that ended a worker.
    """

    weights: dict[str, Tensor]
    normaliser: Normaliser
    scale: RewardScale
    steps: Any
    stop: Any
    news: Any


def require_processes(algorithm: str) -> None:
    """Check that worker processes can be started from this process.

    Raises:
        InputError: they cannot; the message says why, and how to change that.
    """
    here, file = multiprocessing.current_process(), getattr(sys.modules["__main__"], "__file__", None)
    if getattr(here, "_inheriting", False):  # a child process that is still starting
        raise InputError(f"{algorithm} starts processes that run the script: train below if __name__ == '__main__'")
    if here.daemon:
        pool = "concurrent.futures.ProcessPoolExecutor can, multiprocessing.Pool cannot"
        raise InputError(f"{algorithm} starts processes, which a daemonic process may not: {pool}")
    if file and not Path(file).exists():
        raise InputError(f"{algorithm} starts processes that run the script, but {file} is not a file; save it as one")


class Workers:
    """Computes a Learner's updates in worker processes: starts them, collects their results, and ends them."""

    def __init__(self, learner: Learner):
        self.learner = learner
        learner.policy.theta.share_memory_()  # the modules' weights are views of it
        learner.policy.normaliser.share_memory()
        learner.collector.reward_scale.share_memory()
        self.processes: list[Any] = []
        self.shared = self._start()

    def update(self) -> dict[str, float]:
        """Wait for the next REPORT steps of all workers together. Returns one row with means of their metrics.

        Raises:
            Diverged, FloatingPointError: numbers in a worker became infinite or NaN.
            WorkerFailed: a worker's process died.
        """
        learner, began = self.learner, time.perf_counter()
        columns, steps, updates = collections.defaultdict[str, list[float]](list), 0, 0
        count = min(REPORT, learner.config.total_steps - learner.steps)
        for played, metrics, episodes in self._listen():
            for name, value in metrics.items():
                columns[name].append(value)
            learner.episodes.extend(episodes)
            steps, updates = steps + played, updates + 1
            if steps >= count:
                break
        row = {name: fmean(values) for name, values in columns.items()}
        return learner.count(row, steps, updates, time.perf_counter() - began)

    def widen(self, std: float) -> None:
        """Not possible, because workers have copies of the policy. `Learner` refuses it before a run begins."""
        raise NotImplementedError

    def save(self, folder: Path) -> None:
        """See `Learner.save`. Workers continue meanwhile, so the saved weights may mix several updates."""
        take(self.learner, self.shared.weights)
        self.learner.save(folder)

    def close(self) -> None:
        """End the workers; kill those that do not end within 10 seconds."""
        self.shared.stop.set()
        deadline = time.monotonic() + 10
        while any(w.is_alive() for w in self.processes) and time.monotonic() < deadline:
            with suppress(queue.Empty):  # a worker cannot end while its news is unread
                self.shared.news.get(timeout=0.05)
        for process in self.processes:
            process.kill()
            process.join()
        self.learner.close()

    def _start(self) -> Shared:
        context = multiprocessing.get_context("spawn")  # a fork copies the locks of threads, but not the threads
        learner, config = self.learner, self.learner.config
        count = learner.processes
        weights = {n: t if n == "theta" else t.clone().share_memory_() for n, t in moving(learner).items()}
        news = context.Queue(4 * count)  # bounded, so that workers wait until their results are read
        steps, stop = context.Value("q", learner.steps), context.Event()
        shared = Shared(weights, learner.policy.normaliser, learner.collector.reward_scale, steps, stop, news)
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
    """The tensors that workers update together: `theta`, and the states of the rule and of the critic's warm-up."""
    critic = learner.prior.critic_fit.state() if learner.prior else {}
    return {"theta": learner.policy.theta} | named("rule.", learner.rule.state()) | named("prior.", critic)


def take(learner: Learner, weights: dict[str, Tensor]) -> None:
    """Copy tensors from `moving` into a learner."""
    learner.policy.theta.copy_(weights["theta"])
    learner.rule.load_state(under("rule.", weights))
    if learner.prior:
        learner.prior.critic_fit.load_state(under("prior.", weights))


def update(worker: Learner, shared: Shared) -> dict[str, float]:
    """One update of a worker: copy the weights, collect, learn, add the difference. Returns its metrics.

    The head's decoding and the range of the critic's values are not refitted, because they must be the same in all
    workers.
    """
    began = time.perf_counter()
    before = {name: tensor.clone() for name, tensor in shared.weights.items()}
    take(worker, before)
    worker.policy.normaliser.load_state_dict(shared.normaliser.state_dict())
    worker.collector.reward_scale.continue_from(shared.scale)  # one critic needs one scale
    rollout = worker.collect()
    row = worker.learn(rollout, rollout.estimate(worker.estimator))
    with shared.steps.get_lock():
        bounded = shared.normaliser.update(rollout.raw_obs[~rollout.idle], worker.settled)
        shared.scale.continue_from(worker.collector.reward_scale)
    row |= worker.outliers(rollout, bounded)
    difference = worker.policy.theta - before["theta"]
    shared.weights["theta"].add_(difference, alpha=1 / worker.processes)
    for name, tensor in moving(worker).items():
        if name != "theta":
            shared.weights[name].copy_(tensor)
    return worker.report(rollout, row, began)


def work(settings: dict[str, Any], shared: Shared, fixed: dict[str, Tensor]) -> None:
    """The main function of a worker: updates until the budget is used, `stop` is set, or the parent process ends.

    Args:
        settings: settings of the worker's Learner.
        shared: data that all processes share.
        fixed: the initial states of the policy and the prior.
    """
    for number in (signal.SIGINT, signal.SIGTERM, *HANGUP):
        signal.signal(number, signal.SIG_IGN)  # the main process handles them and sets `stop`
    torch.set_num_threads(1)
    parent = multiprocessing.parent_process()
    try:
        worker = Learner(configure(settings), compiled=False, fresh=False)
    except InputError as error:  # code below __name__ == '__main__', for example a registration, does not run here
        shared.news.put(InputError(f"in a worker process, which only imports the script: {error}"))
        return
    worker.policy.load_state_dict(under("policy.", fixed))
    if worker.prior:
        worker.prior.load_state(under("prior.", fixed))

    def running() -> bool:
        return not shared.stop.is_set() and parent is not None and parent.is_alive()

    while running() and shared.steps.value < worker.config.total_steps:
        news: News | Exception
        try:
            before = worker.steps = shared.steps.value  # schedules use the steps of all workers
            row = update(worker, shared)
            news = worker.steps - before, row, list(worker.episodes)
            worker.episodes.clear()
            with shared.steps.get_lock():
                shared.steps.value += worker.steps - before
        except (Diverged, FloatingPointError, BrokenEnv) as error:
            news = error
        while running():
            with suppress(queue.Full):
                shared.news.put(news, timeout=1.0)
                break
        if isinstance(news, Exception):
            break
    worker.close()
