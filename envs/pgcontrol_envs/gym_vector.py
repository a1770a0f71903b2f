"""The name by which datasets recorded up to November 2026 find our tasks in Gymnasium."""

from pgcontrol_envs.to_gymnasium import GymEnv, GymVectorEnv

__all__ = ["GymEnv", "GymVectorEnv"]
