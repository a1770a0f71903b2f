"""MuJoCo tasks, batched with mujoco.batch. Importing this package registers them with Gymnasium as pgcontrol/<id>."""

from pgcontrol_envs.make import make
from pgcontrol_envs.tasks import built_in, catalog, find
from pgcontrol_envs.to_gymnasium import register
from pgcontrol_envs.vector import BrokenEnv, OneEngine, Step, UnknownEnv, VecEnv

__all__ = ["BrokenEnv", "OneEngine", "Step", "UnknownEnv", "VecEnv", "catalog", "find", "make"]

register(built_in())
