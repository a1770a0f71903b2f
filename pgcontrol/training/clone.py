"""Behavioural cloning: fits a policy with any head to a dataset by maximum likelihood."""

import dataclasses
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from pgcontrol.data import actions
from pgcontrol.data.dataset import Dataset
from pgcontrol.data.writer import Episode
from pgcontrol.learning.optimiser import decayed
from pgcontrol.learning.rule import Diverged
from pgcontrol.machine import compiler
from pgcontrol.machine.tensors import named, under
from pgcontrol.options import InputError
from pgcontrol.policy import Policy
from pgcontrol.runs import checkpoint, memory
from pgcontrol.runs.cloning import CloneConfig, configure_clone
from pgcontrol.runs.config import plugins_of
from pgcontrol.runs.folder import RunFolder
from pgcontrol.runs.load import env_to_play, make_env, make_policy, policy_spec, restore
from pgcontrol.runs.log import Display
from pgcontrol.text import one_line
from pgcontrol.training.learner import stream_seeds
from pgcontrol.training.likelihood import AT_ONCE, Likelihood, Samples
from pgcontrol.training.session import Run, Session, session
from pgcontrol.training.train import scored

CHECKS = 100  # largest number of measurements of the held-out likelihood
KEPT = 10  # number of checkpoints in a fit with all its steps


class Data(NamedTuple):
    """The data of a clone.

    Attributes:
        fitted, held_out: whole episodes, for training and for validation.
        notes: entries about the dataset for the manifest.
    """

    fitted: list[Episode]
    held_out: list[Episode]
    notes: dict[str, Any]


def clone(config: CloneConfig | Mapping[str, Any], *, quiet: bool = True) -> Run:
    """Fit a policy to a dataset, in a new run folder. After Ctrl-C, `resume` can continue.

    The moments of the observation normaliser and a learned tokenizer come only from the training episodes. The final
    weights are those with the best held-out likelihood.

    Args:
        config: a CloneConfig, or dotted settings such as `{"dataset": "demos", "head": "binned", "head.bins": 41}`.
        quiet: show no progress.

    Raises:
        InputError: a setting is invalid, the dataset does not fit the task, or the run folder exists.
        Diverged: the likelihood became infinite or NaN.
    """
    config = config if isinstance(config, CloneConfig) else configure_clone(config)
    config, data, policy, spec = _open(config)
    seeds = stream_seeds(config.seed)
    obs, action = windows(data.fitted, policy.head.horizon, config.dataset)
    policy.head.prepare(actions.chunks, seeds["adapting"], policy.head.to_unit(action))
    policy.normaliser.update(obs)
    samples = _samples(config, data, policy)
    compilation = compiler.Compilation(compiler.decide(config.compile, config.steps))
    with RunFolder.create(config).alone() as folder:
        folder.write_manifest(seeds=seeds, compiled=compilation.on, **data.notes, samples=len(samples[0].obs))
        fit = Likelihood(policy, config.max_grad_norm, seeds["minibatches"], compilation)
        return _run(folder, config, spec, fit, samples, quiet)


def resume_clone(run_dir: str | Path, *, quiet: bool = True) -> Run:
    """Resume a clone from its newest checkpoint. The result is the same as without the interruption.

    Raises:
        InputError: there is no clone, it has finished, its checkpoint is damaged, or the dataset has changed.
        Diverged: the likelihood became infinite or NaN.
    """
    with RunFolder.of(Path(run_dir)).alone() as folder:
        manifest = folder.manifest()
        if manifest.get("status") == "finished":
            raise InputError(folder.use_of_clone())
        settings = {key: value for key, value in folder.settings().items() if not key.startswith("critic")}
        config, data, policy, spec = _open(configure_clone(settings))  # a clone has no critic
        changed = [name for name, value in data.notes.items() if name in manifest and manifest[name] != value]
        if changed:
            raise InputError(
                f"{config.dataset} has changed since {folder.path} was fitted to it: other {', '.join(changed)}"
            )
        where = checkpoint.latest(Path(run_dir))
        tensors, meta = checkpoint.load(where)
        restore(policy, tensors, where)
        samples = _samples(config, data, policy)
        compilation = compiler.Compilation(bool(manifest.get("compiled")))
        fit = Likelihood(policy, config.max_grad_norm, 0, compilation)
        try:
            fit.load_state(under("fit.", tensors), meta["fit"])
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise InputError(f"{where} cannot be resumed: {type(error).__name__}: {one_line(error)}") from None
        return _run(folder, config, spec, fit, samples, quiet)


def _open(config: CloneConfig) -> tuple[CloneConfig, Data, Policy, dict[str, Any]]:
    """Returns (config with its task, data, policy with its initial weights, specification of the policy)."""
    data = Dataset(config.dataset, config.clip_actions)
    if (env_id := config.env or data.env) is None:
        raise InputError(f"{data.where} does not name its task, or the task does not exist here; set --env")
    config = dataclasses.replace(config, env=env_id)
    seeds = stream_seeds(config.seed)
    env = make_env(config.env, 1, 0)
    low, high = env.action_low, env.action_high
    data.require_env(config.env, env.obs_size, low.numpy(), high.numpy())
    try:
        memory.require_clone(config, data.steps, env)
        spec = policy_spec(config, env)
        spec.pop("privileged", None)  # a dataset holds only the policy's observations
    finally:
        env.close()
    fitted, held_out = split(list(data.episodes()), config.held_out, seeds["sampling"])
    notes = {"dataset": data.metadata.get("dataset_id"), "routes": dict(data.routes())}
    notes |= {"episodes": len(fitted), "held_out": len(held_out)}
    notes |= {"clipped_actions": data.clipped} if config.clip_actions else {}
    return config, Data(fitted, held_out, notes), make_policy(spec, seeds["weights"]), spec


def _run(
    folder: RunFolder, config: CloneConfig, spec: dict[str, Any], fit: Likelihood, samples: list[Samples], quiet: bool
) -> Run:
    """Fit until all steps are taken, the held-out likelihood stops improving, or a signal arrives."""
    status, began = "failed", time.perf_counter()
    before = folder.manifest().get("seconds") or 0.0

    def save() -> None:
        tensors, state = fit.state()
        tensors = named("policy.", fit.policy.state_dict()) | named("fit.", tensors)
        meta = {"policy": spec, "algorithm": config.method, "steps": fit.steps, "dataset": config.dataset, "fit": state}
        checkpoint.save(folder.checkpoint(fit.steps), tensors, meta | {"plugins": plugins_of(config, algorithm=False)})

    try:
        title = f"{config.env} {config.head.name} clone of {config.dataset} -> {folder.path}"
        with session(folder, config, title, config.steps, fit.steps, quiet) as live:
            display, log, _ = live
            why = _fit(fit, config, samples, live, save)
            status = "stopped" if why == "stopped" else "finished"
            reached = f", held-out nll {fit.best['eval/nll']:.3f}" if fit.best else ""
            display.say(f"{why}; the clone has the weights of step {fit.best_step:,}{reached}")
            if status == "finished":
                seed = stream_seeds(config.seed)["evaluation"]
                log.write(fit.best_step, fit.best | _evaluate(fit.policy, config, seed, display))
                display.say(folder.use_of_clone())
            else:
                display.say(f"to resume: {folder.command('resume')}")
            save()
    except Diverged:
        status = "diverged"
        raise
    finally:
        seconds = round(before + time.perf_counter() - began, 1)
        result = {"steps": fit.steps, "best_step": fit.best_step, "compiled": fit.compilation.on}
        folder.write_manifest(status=status, seconds=seconds, **result)
    return Run(folder.path, fit.best_step, status)


def _fit(fit: Likelihood, config: CloneConfig, samples: list[Samples], live: Session, save: Callable[[], None]) -> str:
    """Fit the policy, and save checkpoints. Returns the reason why it ended.

    The policy gets the weights with the best held-out likelihood.
    """
    every, (display, log, interrupt) = max(1, config.steps // CHECKS), live
    train, test = samples
    first, began = fit.steps, time.perf_counter()
    while True:
        rate = decayed(config, fit.steps / config.steps)
        metrics = fit.climb(train, config.minibatch, rate)
        if fit.steps % every == 0 or fit.steps >= config.steps:
            row = fit.judge(test) | {"train/learning_rate": float(rate), "train/grad_norm": metrics.of("grad_norm")}
            row["time/fps"] = (fit.steps - first) / (time.perf_counter() - began)
            log.write(fit.steps, row)
            display.update(fit.steps, row, left=(config.steps - fit.steps) / row["time/fps"])
            if fit.steps >= config.steps:
                return "all steps taken"
            if fit.steps - fit.best_step >= config.patience * every:
                return "held-out likelihood no longer improves"
            if fit.steps % (every * (CHECKS // KEPT)) == 0:
                save()
        if interrupt:
            return "stopped"


def _evaluate(policy: Policy, config: CloneConfig, seed: int, display: Display) -> dict[str, float]:
    if not config.eval_episodes:
        return {}
    env = env_to_play(config.env, config.eval_episodes, seed, config.threads)
    row, _ = scored(env, policy, seed, record=False, count=config.eval_episodes)
    env.close()
    words = {"mean_reward": "return", "success": "success", "route_entropy": "route entropy"}
    for name, what in {"": "mode", "_sampled": "samples"}.items():
        shown = {word: row[f"eval/{key}{name}"] for key, word in words.items() if f"eval/{key}{name}" in row}
        display.say(f"by {what}: {', '.join(f'{word} {number:.3g}' for word, number in shown.items())}")
    return row


def split(episodes: list[Episode], share: float, seed: int) -> tuple[list[Episode], list[Episode]]:
    """Split episodes into training and held-out ones. `share` is the fraction to hold out, at least one episode.

    Raises:
        InputError: there is only one episode.
    """
    if len(episodes) < 2:
        raise InputError("the dataset has one episode; it needs another one to hold out")
    order = np.random.default_rng(seed).permutation(len(episodes))
    count = min(max(1, round(share * len(episodes))), len(episodes) - 1)
    return [episodes[i] for i in sorted(order[count:])], [episodes[i] for i in sorted(order[:count])]


def windows(episodes: list[Episode], horizon: int, name: str) -> tuple[Tensor, Tensor]:
    """All states with the next `horizon` actions: observations [M, O], actions [M, H, A].

    Raises:
        InputError: all episodes are shorter than `horizon`.
    """
    obs, chunks = [], []
    for episode in episodes:
        count = _count(episode, horizon)
        if count:
            obs.append(episode.obs[:count])
            chunks.append(np.stack([episode.action[h : h + count] for h in range(horizon)], 1))
    if not obs:
        raise InputError(f"head.horizon = {horizon}: longer than the episodes of {name}, or than the held-out ones")
    return torch.from_numpy(np.concatenate(obs)), torch.from_numpy(np.concatenate(chunks))


def _count(episode: Episode, horizon: int) -> int:
    return max(0, len(episode.reward) - horizon + 1)


def weigh(episodes: list[Episode], fitted: list[Episode], temperature: float | None, horizon: int) -> Tensor:
    """Weights of the episodes' samples, [M], with mean 1 over the training samples.

    exp(return / (temperature · standard deviation of returns)) for each episode: reward-weighted regression (Peters &
    Schaal 2007, section 3). Without a temperature, all weights are 1.
    """
    counts = torch.tensor([_count(episode, horizon) for episode in episodes])
    if temperature is None:
        return torch.ones(int(counts.sum()))
    ours, theirs = (np.array([episode.reward.sum() for episode in some]) for some in (fitted, episodes))
    # held-out episodes may be better than all training ones: limit their weight to e^80, which float32 can represent
    exponents = [(x - ours.max()) / (temperature * max(ours.std(), 1e-8)) for x in (ours, theirs)]
    fit, weights = (np.exp(np.minimum(x, 80.0)) for x in exponents)
    mean = np.average(fit, weights=[_count(e, horizon) for e in fitted])
    return torch.from_numpy(weights / mean).repeat_interleave(counts).float()


@torch.no_grad()
def _samples(config: CloneConfig, data: Data, policy: Policy) -> list[Samples]:
    """The samples for training and the held-out ones."""
    samples, horizon = [], policy.head.horizon
    for episodes in data.fitted, data.held_out:
        obs, action = windows(episodes, horizon, config.dataset)
        choice = torch.cat([policy.head.encode(part) for part in action.split(AT_ONCE)])
        weight = weigh(episodes, data.fitted, config.temperature, horizon)
        samples.append(Samples(policy.normaliser(obs), choice, weight))
    return samples
