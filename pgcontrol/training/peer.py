"""Train Stable-Baselines3's PPO instead of ours, in a run folder with a log and the final policy.

It trains on its own copies of an environment that Gymnasium makes. Its final policy is converted to one of ours, so
that it can be scored, filmed and exported in the same way.
"""

import dataclasses
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from importlib import metadata
from importlib.util import find_spec
from statistics import fmean
from typing import Any

import gymnasium
import torch
from pgcontrol_envs.names import GymName, split
from pgcontrol_envs.task import python_warnings
from torch import Tensor, nn

from pgcontrol.learning.rule import Diverged
from pgcontrol.machine.tensors import named
from pgcontrol.measures.curves import RETURN
from pgcontrol.options import InputError
from pgcontrol.play.density import joint_names
from pgcontrol.runs import checkpoint
from pgcontrol.runs.config import TRACELESS, Config, Part, configure, flat, nested, plugins_of
from pgcontrol.runs.folder import RunFolder
from pgcontrol.runs.load import make_env, make_policy, policy_spec
from pgcontrol.text import one_line
from pgcontrol.training.session import OnUpdate, Run, Session, ended, session

PACKAGE = "stable_baselines3"
# settings that each peer supports
HEARD = {"sb3-as-shipped": {"env", "seed", "total_steps", "peer"}}
HEARD["sb3"] = HEARD["sb3-as-shipped"] | {"num_envs", "rollout_steps", "hidden", "critic_hidden", "scale_reward"}
HEARD["sb3"] |= {"head.initial_std", *(f"algorithm.{name}" for name in ("gamma", "gae_lambda", "clip", "minibatch"))}
HEARD["sb3"] |= {f"algorithm.{name}" for name in ("epochs", "learning_rate", "decay")}
IDLE = {"eval_every", "eval_episodes", "compile", "env_workers"}  # these settings do not change what is learned
# Without normalisation, a peer does not clip observations, but our policies do. So observations are scaled down by this
# factor, and the weights of the first layer scaled up. It is a power of two, so that nothing is rounded.
SMALL = 2.0**-20
LOGGED = ("train/approx_kl", "train/clip_fraction", "train/explained_variance", "train/entropy_loss")


def installed() -> bool:
    """Whether Stable-Baselines3 is installed (extra `peers`)."""
    return find_spec(PACKAGE) is not None


def check(config: Config) -> None:
    """Refuse settings and tasks that the config's peer does not support.

    Raises:
        InputError: one line with the setting.
    """
    _gym_name(config)
    usual = flat(nested(configure({"env": config.env, "peer": config.peer})))
    for key, value in flat(nested(config)).items():
        if key not in HEARD[config.peer].union(TRACELESS, IDLE) and value != usual.get(key, value):
            raise InputError(f"{key} = {value!r}: peer {config.peer!r} does not support it")


def has(env_id: str) -> bool:
    """Whether peers can train on a task: Gymnasium has it."""
    return env_id.startswith("gym:") or split(env_id)[0] in gymnasium.registry


def _gym_name(config: Config) -> GymName:
    """The environment as Gymnasium makes it. Raises InputError if Gymnasium does not have it."""
    if config.env.startswith("gym:"):
        return GymName.parse(config.env)
    name, args = split(config.env)
    if not has(config.env):
        works = "Gymnasium's eleven MuJoCo tasks, such as Hopper-v5, and gym:ID or gym:MODULE:ID"
        raise InputError(f"env = {config.env!r}: peer {config.peer!r} trains only on {works}")
    return GymName(None, name, args)


def ppo(config: Config) -> Any:
    """Create a PPO of Stable-Baselines3 on the CPU, without output.

    Args:
        config: with `peer` sb3-as-shipped: the defaults of Stable-Baselines3, one environment, no normalisation; with
            sb3: the config's sizes and steps, its initial σ if the head has one, and normalised observations and
            rewards as ours (VecNormalize).

    Raises:
        InputError: it is not installed, or the environment's observations or actions are not vectors of floats.
    """
    name = _gym_name(config)
    if not installed():
        raise InputError(f"peer = {config.peer!r} needs Stable-Baselines3: pip install 'pgcontrol[peers]'")
    from stable_baselines3 import PPO
    from stable_baselines3.common.env_util import make_vec_env
    from stable_baselines3.common.vec_env import VecNormalize

    with closing(make_env(config.env, 1, config.seed)) as env:  # also checks the spaces and the bounds
        if shapes := env.shapes:
            here = f"{list(shapes.obs)} and {list(shapes.action)}{' whole numbers' * shapes.whole}"
            needs = f"peer {config.peer!r} needs vectors of floats as observations and actions"
            raise InputError(f"env = {config.env!r}: {needs}; here they are {here}")
    ours, like_ours = config.algorithm.options, config.peer == "sb3"
    with python_warnings():
        copies: Any = make_vec_env(name.id, config.num_envs if like_ours else 1, seed=config.seed, env_kwargs=name.args)
    settings: dict[str, Any] = {}
    if like_ours:
        copies = VecNormalize(copies, norm_reward=config.scale_reward, gamma=ours.gamma)
        sizes = {"pi": list(config.hidden), "vf": list(config.critic_hidden)}
        settings = {
            "n_steps": config.rollout_steps,
            "batch_size": ours.minibatch,
            "n_epochs": ours.epochs,
            "gamma": ours.gamma,
            "gae_lambda": ours.gae_lambda,
            "clip_range": ours.clip,
            "learning_rate": lambda left: ours.learning_rate * (max(left, 0.0) if ours.decay == "linear" else 1.0),
            "policy_kwargs": {"net_arch": sizes},
        }
    model = silent(PPO("MlpPolicy", copies, seed=config.seed, device="cpu", **settings))
    if like_ours:
        std = getattr(config.head.options, "initial_std", 1.0)
        model.policy.log_std.data.copy_((std * _half(model)).log())
    return model


def silent(model: Any) -> Any:
    """Disable a model's logger, which would create a temporary folder. Returns the model."""
    from stable_baselines3.common.logger import Logger

    model.set_logger(Logger(folder=None, output_formats=[]))
    return model


def learn(model: Any) -> int:
    """Run one rollout and one update. Returns the number of environment steps."""
    before = model.num_timesteps
    model.learn(1, reset_num_timesteps=False)
    return model.num_timesteps - before


def train(config: Config, quiet: bool = True, on_update: OnUpdate | None = None) -> Run:
    """Train a peer in a new run folder. It cannot be resumed. See `pgcontrol.train`.

    Raises:
        InputError: see `ppo` and `check`, or the run folder exists.
        Diverged: numbers became infinite or NaN.
    """
    check(config)
    model = ppo(config)
    with closing(make_env(config.env, 1, config.seed)) as env, RunFolder.create(config).alone() as folder:
        versions = folder.manifest()["versions"] | {PACKAGE: metadata.version(PACKAGE)}
        folder.write_manifest(versions=versions, threads={"physics": 1, "torch": 1}, compiled=False, reproducible=True)
        title = f"{config.env} {config.peer} seed {config.seed} -> {folder.path}"
        status, began = "failed", time.perf_counter()
        try:
            with session(folder, config, title, config.total_steps, quiet=quiet) as live:
                watch = _watch(model, config, live, on_update)
                try:
                    model.learn(config.total_steps, watch, log_interval=sys.maxsize)
                except ValueError as error:  # raised by torch's distributions
                    raise Diverged(f"{PACKAGE}: {one_line(error)}") from None
                finally:
                    folder.write_manifest(seconds=round(time.perf_counter() - began, 1))
                status, display = "stopped" if watch.stopped else "finished", live[0]
                if status == "stopped":
                    display.say(f"stopped at step {model.num_timesteps:,}: a peer's run cannot be resumed")
                else:
                    spec, tensors = _policy(model, config, env)
                    meta = {"policy": spec, "algorithm": config.peer, "steps": model.num_timesteps}
                    meta |= {"plugins": plugins_of(config, algorithm=False)}
                    checkpoint.save(folder.checkpoint(model.num_timesteps), named("policy.", tensors), meta)
                    display.say(ended(folder, config, status, joint_names(env)))
        except Diverged:
            status = "diverged"
            ended(folder, config, status, joint_names(env))
            raise
        finally:
            model.get_env().close()
            folder.write_manifest(status=status, steps=model.num_timesteps)
        return Run(folder.path, model.num_timesteps, status)


def _watch(model: Any, config: Config, live: Session, on_update: OnUpdate | None) -> Any:
    """A callback for Stable-Baselines3: it can stop the training at every step, and logs a row after every rollout."""
    from stable_baselines3.common.callbacks import BaseCallback

    display, log, interrupt = live
    began = time.perf_counter()

    class Listener(BaseCallback):
        stopped = enough = False

        def _on_step(self) -> bool:
            self.stopped = bool(interrupt) or self.enough
            return not self.stopped

        def _on_rollout_end(self) -> None:
            seconds, steps = time.perf_counter() - began, model.num_timesteps
            row = {name: float(value) for name, value in model.logger.name_to_value.items() if name in LOGGED}
            row |= {"train/std": float((model.policy.log_std.detach().exp() / _half(model)).mean())}
            row |= {"time/time_elapsed": seconds, "time/fps": steps / seconds}
            if episodes := model.ep_info_buffer:
                row |= {RETURN: fmean(float(e["r"]) for e in episodes)}
                row |= {"rollout/ep_len_mean": fmean(float(e["l"]) for e in episodes)}
            log.write(steps, row)
            display.update(steps, row, left=max(config.total_steps - steps, 0) / row["time/fps"])
            self.enough = on_update is not None and on_update(row) is True

    return Listener()


def _half(model: Any) -> Tensor:
    """Half the range of each joint, [A]."""
    space = model.action_space
    return torch.from_numpy((space.high - space.low) / 2).float()


@torch.no_grad()
def _policy(model: Any, config: Config, env: Any) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Convert the peer's policy to one of ours: returns its specification and its tensors by name.

    The mean and σ of our Gaussian are in half-ranges, relative to the centre of the bounds; the peer's are in units of
    the action.
    """
    nets, rms = model.policy.mlp_extractor, getattr(model.get_vec_normalize_env(), "obs_rms", None)
    head = type(config.head.options)(min_std=1e-6, max_std=1e6)  # its σ has no bounds
    made_of = dataclasses.replace(
        config, hidden=_sizes(nets.policy_net), critic_hidden=_sizes(nets.value_net), head=Part("gaussian", head)
    )
    middle, half = (env.action_high + env.action_low) / 2, _half(model)
    out, value, log_std = model.policy.action_net, model.policy.value_net, model.policy.log_std
    tensors = {f"actor_trunk.{name}": tensor for name, tensor in nets.policy_net.state_dict().items()}
    tensors |= {f"critic_trunk.{name}": tensor for name, tensor in nets.value_net.state_dict().items()}
    tensors |= {"head.mean.weight": out.weight / half.unsqueeze(1), "head.mean.bias": (out.bias - middle) / half}
    tensors |= {"head.log_std": log_std - half.log(), "critic.out.weight": value.weight, "critic.out.bias": value.bias}
    if rms is None:
        mean, var, count = torch.zeros(env.obs_size).double(), torch.full((env.obs_size,), SMALL**-2).double(), 1.0
        scale = var.rsqrt()
        for name in ("actor_trunk.0.weight", "critic_trunk.0.weight"):
            tensors[name] = tensors[name] / SMALL
    else:
        mean, var, count = torch.from_numpy(rms.mean), torch.from_numpy(rms.var), float(rms.count)
        scale = (var + model.get_vec_normalize_env().epsilon).rsqrt()
    moments = {"mean": mean, "var": var, "scale": scale, "count": torch.tensor(count).double()}
    spec = policy_spec(made_of, env)
    return spec, make_policy(spec, seed=0).state_dict() | tensors | named("normaliser.", moments)


def _sizes(net: Sequence[nn.Module]) -> tuple[int, ...]:
    return tuple(layer.out_features for layer in net if isinstance(layer, nn.Linear))
