"""Cloning: any head fitted to a dataset by its own log-probability."""

import dataclasses
import math
import time
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Generator, Tensor

from pgcontrol.data import actions
from pgcontrol.data.dataset import Dataset, Episode
from pgcontrol.learning.optimiser import GradientStep, decayed, fresh_adam
from pgcontrol.learning.rule import Diverged, require_finite_weights
from pgcontrol.machine import compiler, trees
from pgcontrol.machine.tensors import named
from pgcontrol.options import InputError
from pgcontrol.policy import Policy
from pgcontrol.runs import checkpoint
from pgcontrol.runs.cloning import CloneConfig, configure_clone
from pgcontrol.runs.config import plugins_of
from pgcontrol.runs.folder import RunFolder
from pgcontrol.runs.load import env_to_play, make_env, make_policy, policy_spec
from pgcontrol.runs.log import Display
from pgcontrol.training.learner import stream_seeds
from pgcontrol.training.train import Run, Session, scored, session

CHECKS = 100  # how often the held-out likelihood is measured at most
AT_ONCE = 8192  # samples that a measurement or an encoding takes at a time


class Samples(NamedTuple):
    """M pairs of what was seen and what was done, in the policy's terms.

    Attributes:
        obs: [M, O] float32, normalised.
        choice: [M, *choice_spec.shape].
        weight: [M], of mean 1 over what is fitted.
    """

    obs: Tensor
    choice: Tensor
    weight: Tensor


class Likelihood:
    """Steps up the weighted mean log-probability: the score function's objective with weights for advantages."""

    def __init__(self, policy: Policy, max_grad_norm: float, compilation: compiler.Compilation = compiler.EAGER):
        self.policy, self.adam = policy, fresh_adam(policy)
        self.step = GradientStep(policy, self.loss, max_grad_norm, scaled=False, compilation=compilation)

    def loss(self, theta: Tensor, samples: Samples) -> tuple[Tensor, dict[str, Tensor]]:
        """−E[w log π(choice)] under weights `theta` [P], a scalar in nats a choice; nothing else."""
        log_prob = self.policy.head.log_prob(self.policy.distribution(theta, samples.obs), samples.choice)
        return -(samples.weight * log_prob).mean(), {}

    @torch.no_grad()
    def measure(self, theta: Tensor, samples: Samples) -> float:
        """The loss over all samples."""
        parts = trees.split(samples, AT_ONCE)
        return sum(float(self.loss(theta, part)[0]) * len(part.obs) for part in parts) / len(samples.obs)


def clone(config: CloneConfig | Mapping[str, Any], *, quiet: bool = True) -> Run:
    """Fit a policy to a dataset, in a new run folder; Ctrl-C keeps the best weights so far.

    The observation normaliser's moments and a learned tokenizer come from the fitted episodes alone. Weights are those
    of the best held-out likelihood.

    Args:
        config: a CloneConfig, or dotted settings such as `{"dataset": "demos", "head": "binned", "head.bins": 41}`.
        quiet: show no progress.

    Raises:
        InputError: a setting is wrong, the dataset does not fit the task, or the run folder exists.
        Diverged: the likelihood became infinite or NaN.
    """
    config = config if isinstance(config, CloneConfig) else configure_clone(config)
    data = Dataset(config.dataset)
    if (env_id := config.env or data.env) is None:
        raise InputError(f"{data.where} does not name its task, or one that is not to be had here; say --env")
    config = dataclasses.replace(config, env=env_id)
    seeds = stream_seeds(config.seed)
    env = make_env(config.env, 1, 0)
    low, high = env.action_low, env.action_high
    data.require_env(config.env, env.obs_size, low.numpy(), high.numpy())
    spec = policy_spec(config, env)
    env.close()
    policy = make_policy(spec, seeds["weights"])
    fitted, held_out = split(list(data.episodes()), config.held_out, seeds["sampling"])
    pairs = [windows(part, policy.head.horizon, config.dataset) for part in (fitted, held_out)]
    (obs, action), _ = pairs
    policy.head.prepare(actions.chunks, seeds["adapting"], policy.head.to_unit(action))
    policy.normaliser.update(obs)
    weights = [weigh(part, fitted, config.temperature, policy.head.horizon) for part in (fitted, held_out)]
    train, test = (_samples(policy, *pair, weight) for pair, weight in zip(pairs, weights, strict=True))

    folder = RunFolder.create(config)
    compilation = compiler.Compilation(compiler.decide(config.compile, config.steps))
    sizes = {"episodes": len(fitted), "held_out": len(held_out), "samples": len(train.obs)}
    origin = {"dataset": data.metadata.get("dataset_id"), "routes": data.routes()}
    folder.write_manifest(seeds=seeds, compiled=compilation.on, **origin, **sizes)
    status, steps, began = "failed", 0, time.perf_counter()
    try:
        title = f"{config.env} {config.head.name} clone of {data.where}, {len(fitted)} episodes -> {folder.path}"
        with session(folder, config, title, config.steps, quiet=quiet) as live:
            display, log, _ = live
            fit = Likelihood(policy, config.max_grad_norm, compilation)
            batches = _minibatches(train, config.minibatch, torch.Generator().manual_seed(seeds["minibatches"]))
            best, steps, status = _fit(fit, config, batches, test, live)
            log.write(steps, best | _evaluate(policy, config, seeds["evaluation"], display))
            tensors = named("policy.", policy.state_dict())
            meta = {"policy": spec, "algorithm": config.method, "steps": steps, "dataset": config.dataset}
            meta["plugins"] = plugins_of(config, algorithm=False)
            checkpoint.save(folder.checkpoint(steps), tensors, meta)
            display.say(f"to train on from it: pgcontrol train {config.env} --prior {folder.path}")
    except Diverged:
        status = "diverged"
        raise
    finally:
        seconds = round(time.perf_counter() - began, 1)
        folder.write_manifest(status=status, steps=steps, seconds=seconds, compiled=compilation.on)
    return Run(folder.path, steps, status)


def _fit(
    fit: Likelihood, config: CloneConfig, batches: Iterator[Samples], test: Samples, live: Session
) -> tuple[dict[str, Any], int, str]:
    """The policy's weights to those of the best held-out likelihood: their row of metrics, their step, the status."""
    policy, every = fit.policy, max(1, config.steps // CHECKS)
    display, log, interrupt = live
    theta, best, losses, began = policy.theta.clone(), dict[str, Any](), list[Tensor](), time.perf_counter()
    best_theta, best_step = theta, 0
    for step, batch in enumerate(batches, start=1):
        rate = decayed(config, (step - 1) / config.steps)
        theta, fit.adam, metrics = fit.step(theta, fit.adam, rate, batch)
        losses.append(metrics.values[:1])
        if step % every and step < config.steps and not interrupt:
            continue
        row = {"train/nll": float(torch.cat(losses).mean()), "eval/nll": fit.measure(theta, test)}
        row |= {"train/learning_rate": float(rate), "train/grad_norm": metrics.of("grad_norm")}
        if not all(math.isfinite(number) for number in row.values()):
            raise Diverged(f"the likelihood became {row['train/nll']} by gradient step {step}")
        require_finite_weights(policy, theta)
        row |= _describe(policy, theta, test) | {"time/fps": step / (time.perf_counter() - began)}
        losses.clear()
        if not best or row["eval/nll"] < best["eval/nll"]:
            best, best_theta, best_step = row, theta, step
        log.write(step, row)
        display.update(step, row, left=(config.steps - step) / row["time/fps"])
        stale = step - best_step >= config.patience * every
        if step >= config.steps or interrupt or stale:
            why = "stopped" if interrupt else "no better for long" if stale else "all steps taken"
            display.say(f"{why}: the weights of step {best_step:,}, held-out nll {best['eval/nll']:.3f}")
            break
    policy.theta.copy_(best_theta)
    return best, best_step, "stopped" if interrupt else "finished"


def _minibatches(samples: Samples, size: int, rng: Generator) -> Iterator[Samples]:
    """The samples in one permutation after the other, always `size` of them."""
    order = torch.empty(0, dtype=torch.int64)
    while True:
        while len(order) < size:
            order = torch.cat((order, torch.randperm(len(samples.obs), generator=rng)))
        yield trees.rows(samples, order[:size])
        order = order[size:]


@torch.no_grad()
def _describe(policy: Policy, theta: Tensor, test: Samples) -> dict[str, float]:
    """What the head says of itself in held-out states, and how far its mode is from what was done there."""
    head, few = policy.head, slice(None, AT_ONCE)
    params = policy.distribution(theta, test.obs[few])
    done, mode = head.decode(test.choice[few]), head.decode(head.mode(params))
    described = head.describe(params)
    error = (head.to_unit(mode) - head.to_unit(done)).square().mean().sqrt()
    row = {f"head/{name}": float(value) for name, value in described.items()}
    return row | {"train/std": float(described["std"]), "eval/error": float(error)}


def _evaluate(policy: Policy, config: CloneConfig, seed: int, display: Display) -> dict[str, float]:
    if not config.eval_episodes:
        return {}
    env = env_to_play(config.env, config.eval_episodes, seed, config.threads)
    row, _ = scored(env, policy, seed, record=False, count=config.eval_episodes)
    env.close()
    words = {"mean_reward": "return", "success": "success", "route_entropy": "route entropy"}
    for name, what in {"": "mode", "_sampled": "samples"}.items():
        said = {word: row[f"eval/{key}{name}"] for key, word in words.items() if f"eval/{key}{name}" in row}
        display.say(f"by {what}: {', '.join(f'{word} {number:.3g}' for word, number in said.items())}")
    return row


def split(episodes: list[Episode], share: float, seed: int) -> tuple[list[Episode], list[Episode]]:
    """Episodes to fit to, and those held out: a share of them, at least one, drawn by `seed`.

    Raises:
        InputError: a single episode.
    """
    if len(episodes) < 2:
        raise InputError("a dataset of one episode: there must be another to hold out")
    order = np.random.default_rng(seed).permutation(len(episodes))
    count = min(max(1, round(share * len(episodes))), len(episodes) - 1)
    return [episodes[i] for i in sorted(order[count:])], [episodes[i] for i in sorted(order[:count])]


def windows(episodes: list[Episode], horizon: int, name: str) -> tuple[Tensor, Tensor]:
    """Every state with the `horizon` actions from there on: observations [M, O], actions [M, H, A].

    Raises:
        InputError: no episode is that long.
    """
    obs, chunks = [], []
    for episode in episodes:
        count = _count(episode, horizon)
        if count:
            obs.append(episode.obs[:count])
            chunks.append(np.stack([episode.action[h : h + count] for h in range(horizon)], 1))
    if not obs:
        raise InputError(f"head.horizon = {horizon}: longer than the episodes of {name}, or of those held out")
    return torch.from_numpy(np.concatenate(obs)), torch.from_numpy(np.concatenate(chunks))


def _count(episode: Episode, horizon: int) -> int:
    return max(0, len(episode.reward) - horizon + 1)


def weigh(episodes: list[Episode], fitted: list[Episode], temperature: float | None, horizon: int) -> Tensor:
    """What each of the episodes' samples weighs, [M], of mean 1 over the fitted ones.

    exp(return / (temperature · deviation)), reward-weighted regression (Peters & Schaal 2007, section 3), of whole
    episodes; 1 without a temperature.
    """
    counts = torch.tensor([_count(episode, horizon) for episode in episodes])
    if temperature is None:
        return torch.ones(int(counts.sum()))
    returns = np.array([episode.reward.sum() for episode in fitted])
    scale = temperature * max(returns.std(), 1e-8)
    mean = np.average(np.exp((returns - returns.max()) / scale), weights=[_count(e, horizon) for e in fitted])
    weights = [math.exp((episode.reward.sum() - returns.max()) / scale) / mean for episode in episodes]
    return torch.tensor(weights).repeat_interleave(counts).float()


@torch.no_grad()
def _samples(policy: Policy, obs: Tensor, action: Tensor, weight: Tensor) -> Samples:
    choice = torch.cat([policy.head.encode(part) for part in action.split(AT_ONCE)])
    return Samples(policy.normaliser(obs), choice, weight)
