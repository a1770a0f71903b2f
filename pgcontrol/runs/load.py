"""Load policies from checkpoints, and create their environments."""

import dataclasses
import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pgcontrol_envs
import torch
from pgcontrol_envs.reflection import NoImage
from pgcontrol_envs.task import Mirror
from pgcontrol_envs.vector import Shapes
from pgcontrol_envs.warp_physics import Warp
from torch import Tensor

from pgcontrol.machine.threads import seeded
from pgcontrol.options import InputError, pick
from pgcontrol.parts import require_named, require_plugins
from pgcontrol.policy import Policy
from pgcontrol.runs import checkpoint
from pgcontrol.runs.cloning import CloneConfig
from pgcontrol.runs.config import PARTS, Config, Part, flat, nested, read_part, with_arguments
from pgcontrol.text import one_line
from pgcontrol.trunks.base import Trunk

# parts of a policy: all except the algorithm
TABLES = {part: table for part, (table, _) in PARTS.items() if part != "algorithm"}

AVERAGE = "average"  # name of the tensor of mean weights [P] in checkpoints of runs with `average_from`

# episodes that are played in parallel: Humanoid-v5 takes 16 MB of address space per environment, with Gymnasium 28 MB
AT_ONCE = 128


def policy_spec(config: Config | CloneConfig, env: pgcontrol_envs.VecEnv) -> dict[str, Any]:
    """The specification of a policy, as JSON values. It has `shapes` only if observations or actions are not flat."""
    made_of = {"env", "hidden", "critic_hidden", *TABLES}
    spec = {name: value for name, value in nested(config).items() if name in made_of}
    spec |= {"obs_size": env.obs_size, "low": env.action_low.tolist(), "high": env.action_high.tolist()}
    spec |= {"shapes": env.shapes} if env.shapes else {}
    spec |= {"privileged": env.privileged} if env.privileged else {}
    if config.symmetric:
        try:
            mirror = env.task.mirror() if env.task else None
        except NoImage as error:
            raise InputError(
                f"symmetric = True: the model of {config.env} is not symmetric: {error}; use symmetric = False"
            ) from None
        if mirror is None:
            raise InputError(f"symmetric = True: {config.env} does not define a mirror image (Task.mirror)")
        spec["mirror"] = [[np.asarray(part, int).tolist() for part in parts] for parts in mirror]
        spec["mirrored_as"] = TABLES["head"]()[config.head.name].mirrored_as
    return whole(json.loads(json.dumps(spec)))  # through JSON, so that it equals the spec in a checkpoint


def whole(spec: dict[str, Any]) -> dict[str, Any]:
    """Add what specs in older checkpoints lack: tanh layers, and a critic network like the policy's."""
    spec = _filled(spec)
    for part in TABLES:  # with every option, in the current order
        chosen, _ = _part(part, spec[part])
        spec[part] = json.loads(json.dumps({"name": chosen.name} | dataclasses.asdict(chosen.options)))
    return spec


def _filled(spec: dict[str, Any]) -> dict[str, Any]:
    spec = {"trunk": {"name": "mlp"}} | ({"mirrored_as": 1} if spec.get("mirror") else {}) | spec
    return {"critic_trunk": spec["trunk"], "critic_hidden": spec.get("hidden")} | spec


def _part(part: str, kept: Mapping[str, Any]) -> tuple[Part, Any]:
    """A part of a spec, and its class."""
    given = {key.removeprefix(f"{part}."): value for key, value in flat({part: kept}).items()}
    name = given.pop(part)
    cls = pick(part, name, TABLES[part]())
    return read_part(part, name, cls, given), cls


def make_policy(spec: dict[str, Any], seed: int) -> Policy:
    """Create the policy of a `policy_spec`, also of an older version. The initial weights depend only on `seed`.

    Raises:
        InputError: a setting is invalid, or torch's default dtype is not float32.
    """
    if (dtype := torch.get_default_dtype()) != torch.float32:
        raise InputError(f"torch's default dtype is {dtype}; policies need torch.set_default_dtype(torch.float32)")
    spec = _filled(spec)
    parts = {part: _part(part, spec[part]) for part in TABLES}
    classes = {part: cls for part, (_, cls) in parts.items()}
    options = {part: chosen.options for part, (chosen, _) in parts.items()}
    size, hidden, critic_hidden = spec["obs_size"], spec["hidden"], spec["critic_hidden"]
    privileged = spec.get("privileged", 0)
    seen = size + privileged  # inputs of the critic
    with seeded(seed):
        bounds = torch.tensor(spec["low"]), torch.tensor(spec["high"])
        head = classes["head"](Trunk.features(size, hidden), *bounds, options["head"])
        critic = classes["critic"](Trunk.features(seen, critic_hidden), options["critic"])
        trunk = functools.partial(classes["trunk"], size, hidden, options["trunk"])

        def critic_trunk() -> Trunk:
            try:
                return classes["critic_trunk"](seen, critic_hidden, options["critic_trunk"])
            except InputError as error:  # the trunk calls its sizes `hidden`
                raise InputError(f"critic_{error}") from None

        mirror = Mirror(*spec["mirror"]) if spec.get("mirror") else None
        if mirror and not head.mirrors():
            able = ", ".join(name for name, cls in TABLES["head"]().items() if cls.mirrors())
            raise InputError(f"symmetric = True: head {head.name!r} does not define `mirror`; these heads do: {able}")
        if mirror and spec["mirrored_as"] != head.mirrored_as:
            raise InputError(f"the mirror image of head {head.name!r} was another one when this policy was trained")
        policy = Policy(size, trunk, head, critic_trunk, critic, privileged, mirror)
    if shapes := spec.get("shapes"):
        policy.shapes = Shapes(tuple(shapes[0]), tuple(shapes[1]), shapes[2])
    return policy


def restore(policy: Policy, tensors: dict[str, Tensor], where: Path) -> None:
    """Copy a checkpoint's weights and normaliser into a policy.

    Raises:
        InputError: tensors are missing or have other shapes; the message names the first one.
    """
    state = policy.state_dict()
    for name, tensor in state.items():
        saved = tensors.get(f"policy.{name}")
        if saved is None or saved.shape != tensor.shape:
            found = "missing" if saved is None else f"of shape {tuple(saved.shape)}"
            raise InputError(f"{where}: tensor policy.{name} is {found}; expected shape {tuple(tensor.shape)}")
        tensor.copy_(saved)


def make_env(
    env_id: str, num_envs: int, seed: int, threads: int = 0, workers: int = 0, warp: Warp | None = None
) -> pgcontrol_envs.VecEnv:
    """Create a VecEnv; see `pgcontrol_envs.make`.

    Raises:
        InputError: a name or setting is invalid, a plug-in has not been loaded, or MuJoCo Warp is not installed.
    """
    try:
        require_named(env_id)
        return pgcontrol_envs.make(env_id, num_envs, seed, threads, workers, warp)
    except ValueError as error:
        raise InputError(str(error)) from error


def env_to_play(
    env_id: str,
    episodes: int,
    seed: int,
    threads: int = 0,
    workers: int = 0,
    spare: pgcontrol_envs.VecEnv | None = None,
) -> pgcontrol_envs.VecEnv:
    """A VecEnv for playing episodes: one environment per episode, at most `AT_ONCE`.

    If a process can hold the environment only once, this is `spare`, or one new environment if there is no `spare`.

    Raises:
        InputError: see `make_env`.
    """
    try:
        return make_env(env_id, min(episodes, AT_ONCE), seed, threads, workers)
    except InputError as error:
        if not isinstance(error.__cause__, pgcontrol_envs.OneEngine):
            raise
        return spare or make_env(env_id, 1, seed)


def changed(env_id: str, settings: Mapping[str, Any]) -> str:
    """The name of a run's environment with other settings `env.NAME`, to play its policy under other conditions.

    Raises:
        InputError: JSON cannot represent a value.
    """
    return with_arguments({"env": env_id} | dict(settings))["env"]


def load_with_meta(where: str | Path) -> tuple[Policy, dict[str, Any]]:
    """The policy and the contents of meta.json of a checkpoint folder, or of a run folder's newest checkpoint.

    The policy has averaged weights if the run averages them.

    Raises:
        InputError: there is nothing to load; one line gives the reason.
    """
    folder = checkpoint.latest(Path(where))
    tensors, meta = checkpoint.load(folder)
    try:
        require_plugins(meta.get("plugins", {}), where)
        _require_sizes(meta["policy"], tensors)
        policy = make_policy(meta["policy"], seed=0)
    except InputError:
        raise
    except Exception as error:  # values of a wrong type can raise any exception
        why = f"meta.json does not describe a policy ({type(error).__name__}: {one_line(error)})"
        raise InputError(f"{folder} is damaged: {why}") from None
    restore(policy, tensors, folder)
    if (mean := tensors.get(AVERAGE)) is not None:
        if mean.shape != policy.theta.shape:
            raise InputError(f"{folder}: tensor {AVERAGE} has shape {tuple(mean.shape)}; expected {len(policy.theta)}")
        policy.theta.copy_(mean)
    return policy, meta


def _require_sizes(spec: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Check, before memory is allocated, that the policy has no more weights than its tensors have numbers."""
    numbers = sum(tensor.numel() for name, tensor in tensors.items() if name.startswith("policy."))
    inputs = spec["obs_size"] + spec.get("privileged", 0)
    widest = max(inputs, len(spec["low"]), *spec["hidden"], *spec.get("critic_hidden", ()))
    if widest > numbers:
        raise ValueError(f"a layer of {widest} units, but all tensors together have {numbers} numbers")
    filled = _filled(dict(spec))
    chosen, kind = _part("trunk", filled["trunk"])
    if (weights := kind.weights(spec["obs_size"], spec["hidden"], chosen.options)) > numbers:
        raise ValueError(f"a network of {weights} weights, but all tensors together have {numbers} numbers")


def load(where: str | Path) -> Policy:
    """The policy of a run or clone. It has averaged weights if the run averages them.

    Args:
        where: the run folder, for its newest checkpoint, or a checkpoint, such as `runs/x/checkpoints/step_000100352`.

    Raises:
        InputError: there is nothing to load; one line gives the reason.
    """
    return load_with_meta(where)[0]
