"""Stable-Baselines3's PPO for comparison: with its defaults, or with the settings of one of our configs."""

import math
from importlib.util import find_spec
from typing import Any

import gymnasium
from pgcontrol_envs.task import python_warnings

from pgcontrol.options import InputError
from pgcontrol.runs.config import Config

PACKAGE = "stable_baselines3"


def installed() -> bool:
    """Whether Stable-Baselines3 is installed: extra `peers`."""
    return find_spec(PACKAGE) is not None


def ppo(config: Config, like_ours: bool, seed: int = 0) -> Any:
    """A PPO of Stable-Baselines3 on the CPU, without output, ready to `learn`.

    Args:
        config: a config of PPO; its task is trained.
        like_ours: use the config's sizes and step size, the initial σ if its head has one, and normalise observations
            and rewards as we do (with VecNormalize). False: its defaults, one environment, no normalisation.
        seed: seed of all random streams.
    """
    from stable_baselines3 import PPO
    from stable_baselines3.common.env_util import make_vec_env
    from stable_baselines3.common.vec_env import VecNormalize

    ours = config.algorithm.options
    with python_warnings():
        env: Any = make_vec_env(config.env, config.num_envs if like_ours else 1, seed=seed)
    settings: dict[str, Any] = {}
    if like_ours:
        env = VecNormalize(env, norm_reward=config.scale_reward, gamma=ours.gamma)
        sizes = {"pi": list(config.hidden), "vf": list(config.critic_hidden)}
        std = getattr(config.head.options, "initial_std", 1.0)
        settings = {
            "n_steps": config.rollout_steps,
            "batch_size": ours.minibatch,
            "n_epochs": ours.epochs,
            "gamma": ours.gamma,
            "gae_lambda": ours.gae_lambda,
            "clip_range": ours.clip,
            "learning_rate": lambda left: ours.learning_rate * (left if ours.decay == "linear" else 1.0),
            "policy_kwargs": {"net_arch": sizes, "log_std_init": math.log(std)},
        }
    return _silent(PPO("MlpPolicy", env, seed=seed, device="cpu", **settings))


def on_worlds(env_id: str, num_envs: int, threads: int, steps: int) -> dict[str, Any]:
    """Its PPO with the same settings on Gymnasium's env (separate copies), and on our batched env.

    Args:
        env_id: a task that Gymnasium has as well.
        num_envs: number of environments of both.
        threads: physics threads of our env, which is also measured with one thread.
        steps: steps per environment between two updates; an update makes 10 epochs with two minibatches.

    Raises:
        InputError: Gymnasium has no such task.
    """
    from pgcontrol_envs import sb3
    from stable_baselines3 import PPO
    from stable_baselines3.common.env_util import make_vec_env

    if env_id not in gymnasium.registry:
        raise InputError(f"bench sb3: Gymnasium has no task {env_id}, so there is nothing to compare with")
    with python_warnings():
        envs = {"its own make_vec_env": make_vec_env(env_id, num_envs, seed=0)}
    for count in sorted({1, threads}):
        name = f"pgcontrol_envs.sb3, {count} physics thread{'s' * (count > 1)}"
        envs[name] = sb3.make(env_id, num_envs, seed=0, threads=count)
    settings = {"n_steps": steps, "batch_size": max(2, steps * num_envs // 2), "device": "cpu", "seed": 0}
    return {name: _silent(PPO("MlpPolicy", env, **settings)) for name, env in envs.items()}


def learn(model: Any) -> int:
    """A rollout and an update; returns the number of environment steps."""
    before = model.num_timesteps
    model.learn(1, reset_num_timesteps=False)
    return model.num_timesteps - before


def _silent(model: Any) -> Any:
    from stable_baselines3.common.logger import Logger

    model.set_logger(Logger(folder=None, output_formats=[]))  # the default creates a temporary folder
    return model
