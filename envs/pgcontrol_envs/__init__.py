"""MuJoCo worlds, batched over mujoco.batch, with a Gymnasium face."""

from pgcontrol_envs.make import UnknownEnv, make
from pgcontrol_envs.tasks import catalog
from pgcontrol_envs.vector import Step, VecEnv

__all__ = ["Step", "UnknownEnv", "VecEnv", "catalog", "make"]
