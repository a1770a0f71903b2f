"""A lower bound for the memory that a training needs, computed from its settings before anything is allocated.

It counts environments, rollouts, networks with their optimiser, and data that the rule keeps, such as a replay buffer.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from pgcontrol_envs import VecEnv, find
from pgcontrol_envs.warp_physics import Warp, bytes_per_env
from torch import nn

from pgcontrol.learning.noise import PERIOD, normals
from pgcontrol.machine import devices, memory
from pgcontrol.machine.ranks import ALONE, Ranks
from pgcontrol.machine.threads import seeded
from pgcontrol.options import InputError
from pgcontrol.runs import catalog
from pgcontrol.runs.cloning import CloneConfig
from pgcontrol.runs.config import Config

ENVIRONMENT = 3_000  # bytes of one environment of Hopper-v5; others take more
PROCESS = 100_000_000  # bytes of a process that has imported torch
# bytes per weight: the weight, its gradient and Adam's moments, before and after a step; float32
WEIGHT = 4 * 8
# bytes per observation entry of a sample: raw observations before, after and during normalisation, float64, and the
# policy's, float32; and bytes per sample
OBSERVED, SAMPLE = 8 * 4 + 4 * 2, 100
NOISE = 4 * 3  # bytes per number of coloured noise: the number, its Fourier coefficient, and the previous sequence


def require_training(config: Config, env: VecEnv | None = None, ranks: Ranks = ALONE) -> None:
    """Refuse a training that would not fit into the memory of this process's device.

    Args:
        config: all settings.
        env: the environments; None: they do not exist yet, and one entry per observation is assumed.
        ranks: the processes of the run. On its own device, each has its part of the environments, and the rollouts of
            all.

    Raises:
        InputError: names the setting that needs most memory, and the largest value that would fit.
    """
    row, options = catalog.algorithms()[config.algorithm.name], config.algorithm.options
    obs_size = env.obs_size + env.privileged if env else 1
    head, params = _head(config, env) if env else (_nothing, 0)
    noise = _noise(config, env) if env and config.noise_beta else 0
    critic, _ = _layer(lambda features: catalog.critics()[config.critic.name](features, config.critic.options))
    own = {f"algorithm.{f.name}": getattr(options, f.name) for f in dataclasses.fields(options)}
    own = {name: value for name, value in own.items() if type(value) is int and value > 0}
    sizes = {"num_envs": config.num_envs, "rollout_steps": config.rollout_steps, **_widest(config), **own}
    sizes |= {"env_workers": config.env_workers} if config.env_workers else {}
    device, environment = devices.named(config.device, ranks), float(ENVIRONMENT)
    if config.physics == "warp":
        environment += _world(config)
    if device.type != "cpu":  # each process has a device of its own; on a CPU, all share the machine's memory
        environment /= ranks.size
    taken = environment * config.num_envs if env and config.physics == "warp" else 0

    def needed(sizes: Mapping[str, int]) -> float:
        given = {name.removeprefix("algorithm."): value for name, value in sizes.items() if name in own}
        now = dataclasses.replace(options, **given)
        samples = sizes["num_envs"] * sizes["rollout_steps"]
        hidden, critic_hidden = (_within(config, name, sizes) for name in ("hidden", "critic_hidden"))
        weights = _weights("trunk", config, obs_size, hidden) + head(_last(hidden, obs_size))
        if values := critic(_last(critic_hidden, obs_size)):
            weights += _weights("critic_trunk", config, obs_size, critic_hidden) + values
        sample = OBSERVED * obs_size + 4 * 3 * params + 4 * 2 * max([*hidden, *critic_hidden], default=0) + SAMPLE
        one = WEIGHT * weights + sample * samples + environment * sizes["num_envs"]
        one += NOISE * PERIOD * noise * sizes["num_envs"]
        one += row.rule.memory(now, samples, config.total_steps, obs_size)
        processes = row.sampling.processes(now)
        return one * processes + PROCESS * (sizes.get("env_workers", 0) + processes - 1)

    memory.require("a training", needed, sizes, devices.available(device) + taken)


def _world(config: Config) -> int:
    """Bytes of one environment on MuJoCo Warp. Raises InputError; see `make_env`."""
    try:
        return bytes_per_env(find(config.env)().model, Warp(nconmax=config.nconmax, njmax=config.njmax))
    except ValueError as error:
        raise InputError(f"{config.env}: {error}") from None


def require_clone(config: CloneConfig, steps: int, env: VecEnv) -> None:
    """Refuse a clone that would not fit into memory, given the dataset's `steps`; see `require_training`."""
    head, params = _head(config, env)
    horizon = getattr(config.head.options, "horizon", 1)
    sizes = {"steps of the dataset": max(steps, 1), "minibatch": config.minibatch, **_widest(config)}

    def needed(sizes: Mapping[str, int]) -> float:
        hidden = _within(config, "hidden", sizes)
        weights = _weights("trunk", config, env.obs_size, hidden) + head(_last(hidden, env.obs_size))
        # observations in float64 and float32, concatenated, normalised; actions, the actions of each chunk, and choices
        step = (8 * 2 + 4) * env.obs_size + 4 * env.action_low.numel() * (1 + 2 * horizon) + SAMPLE
        batch = sizes["minibatch"] * (4 * env.obs_size + 4 * 3 * params + 4 * 2 * sum(hidden))
        return WEIGHT * weights + step * sizes["steps of the dataset"] + batch

    memory.require("a clone", needed, sizes)


def _head(config: Config | CloneConfig, env: VecEnv) -> tuple[Callable[[int], int], int]:
    kind, options = catalog.heads()[config.head.name], config.head.options
    return _layer(lambda features: kind(features, env.action_low, env.action_high, options))


def _noise(config: Config, env: VecEnv) -> int:
    """The number of random numbers in the head's noise for one choice."""
    kind, options = catalog.heads()[config.head.name], config.head.options
    with seeded(0):
        return normals(kind(1, env.action_low, env.action_high, options))


def _layer(make: Callable[[int], nn.Module]) -> tuple[Callable[[int], int], int]:
    """(number of features -> number of weights, number of outputs) of a head or a critic.

    The module is created with one and with two features: the number of weights is linear in the number of features.
    """
    with seeded(0), torch.no_grad():
        few = [make(features) for features in (1, 2)]
        made = few[0](torch.zeros(1, 1)).numel()
    first, second = (sum(p.numel() for p in one.parameters()) for one in few)
    return (lambda features: first + (features - 1) * (second - first)), made


def _nothing(features: int) -> int:
    return 0


def _weights(part: str, config: Any, inputs: int, hidden: Sequence[int]) -> int:
    chosen = getattr(config, part)
    return catalog.trunks()[chosen.name].weights(inputs, hidden, chosen.options)


def _widest(config: Any) -> dict[str, int]:
    """The largest width of each network, by setting; only `hidden` if both networks have the same widths."""
    sizes = {name: getattr(config, name, ()) for name in ("hidden", "critic_hidden")}
    return {k: max(sizes[k]) for k in sizes if sizes[k] and (k == "hidden" or sizes[k] != sizes["hidden"])}


def _within(config: Any, name: str, sizes: Mapping[str, int]) -> list[int]:
    """The widths of a network, limited to the value in `sizes`."""
    most = sizes.get(name, sizes.get("hidden", 0))
    return [min(width, most) for width in getattr(config, name)]


def _last(hidden: Sequence[int], inputs: int) -> int:
    return hidden[-1] if hidden else inputs
