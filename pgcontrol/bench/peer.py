"""Stable-Baselines3's PPO, to be compared with: as shipped, or with the settings of a config of ours."""

import math
from importlib.util import find_spec
from typing import Any

from pgcontrol_envs.task import python_warnings

from pgcontrol.runs.config import Config

PACKAGE = "stable_baselines3"


def installed() -> bool:
    """Whether the peer is there: extra `peers`."""
    return find_spec(PACKAGE) is not None


def ppo(config: Config, like_ours: bool, seed: int = 0) -> Any:
    """A PPO of Stable-Baselines3 on the CPU, silent, ready to `learn`.

    Args:
        config: of PPO, whose task to train.
        like_ours: with the config's sizes and step size, the first σ where its head has one, and observations and
            rewards normalised as ours are (by VecNormalize); or else its defaults, one environment and all of it raw.
        seed: everything random follows from it.
    """
    from stable_baselines3 import PPO
    from stable_baselines3.common.env_util import make_vec_env
    from stable_baselines3.common.logger import Logger
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
    model = PPO("MlpPolicy", env, seed=seed, device="cpu", **settings)
    model.set_logger(Logger(folder=None, output_formats=[]))  # its own makes a folder in the temporary one
    return model
