"""From a checkpoint to a policy: what `load`, evaluation, video and export build on."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pgcontrol_envs
import torch
from torch import Tensor

from pgcontrol import catalog
from pgcontrol.options import InputError, pick, read_options
from pgcontrol.policy import Policy
from pgcontrol.runs import checkpoint
from pgcontrol.runs.cloning import CloneConfig
from pgcontrol.runs.config import Config, Part


def policy_spec(config: Config | CloneConfig, obs_size: int, low: Tensor, high: Tensor) -> dict[str, Any]:
    """What a policy is made of, as JSON values."""
    parts = {part: {"name": p.name, **dataclasses.asdict(p.options)} for part, p in _parts(config).items()}
    sizes = {"obs_size": obs_size, "low": low.tolist(), "high": high.tolist(), "hidden": list(config.hidden)}
    # through JSON, so that it equals what a checkpoint gives back
    return json.loads(json.dumps({"env": config.env} | sizes | parts))


def _parts(config: Config | CloneConfig) -> dict[str, Part]:
    return {"head": config.head, "critic": config.critic}


def make_policy(spec: dict[str, Any], seed: int) -> Policy:
    """A new policy, its weights drawn from `seed` alone."""
    tables = {"head": catalog.heads(), "critic": catalog.critics()}
    classes, options = {}, {}
    for part, table in tables.items():
        chosen = dict(spec[part])
        classes[part] = pick(part, chosen.pop("name"), table)
        options[part] = classes[part].Options(**read_options(classes[part].Options, chosen, f"{part}."))
    features = spec["hidden"][-1] if spec["hidden"] else spec["obs_size"]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        head = classes["head"](features, torch.tensor(spec["low"]), torch.tensor(spec["high"]), options["head"])
        critic = classes["critic"](features, options["critic"])
        return Policy(spec["obs_size"], spec["hidden"], head, critic)


def restore(policy: Policy, tensors: dict[str, Tensor], where: Path) -> None:
    """Copy a checkpoint's weights and normaliser into a policy.

    Raises:
        InputError: tensors are missing or of other shapes; names the first.
    """
    state = policy.state_dict()
    for name, tensor in state.items():
        saved = tensors.get(f"policy.{name}")
        if saved is None or saved.shape != tensor.shape:
            found = "missing" if saved is None else f"of shape {tuple(saved.shape)}"
            raise InputError(f"{where}: tensor policy.{name} is {found}; expected shape {tuple(tensor.shape)}")
        tensor.copy_(saved)


def make_env(env_id: str, num_envs: int, seed: int, threads: int = 0) -> pgcontrol_envs.VecEnv:
    """A VecEnv; what the user got wrong becomes an InputError."""
    try:
        return pgcontrol_envs.make(env_id, num_envs, seed=seed, threads=threads)
    except ValueError as error:
        raise InputError(str(error)) from None


def load_with_meta(where: str | Path) -> tuple[Policy, dict[str, Any]]:
    """The policy of a run folder (its newest checkpoint) or of one checkpoint folder, and what its meta.json says.

    Raises:
        InputError: nothing there to load; one line that says why.
    """
    folder = checkpoint.latest(Path(where))
    saved = checkpoint.load(folder)
    try:
        policy = make_policy(saved.meta["policy"], seed=0)
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{folder} is damaged: meta.json does not say what the policy is made of ({error})") from None
    restore(policy, saved.tensors, folder)
    return policy, saved.meta


def load(where: str | Path) -> Policy:
    """The policy alone; see `load_with_meta`."""
    return load_with_meta(where)[0]
