"""Old module name: datasets recorded up to November 2026 refer to our Gymnasium environments by it."""

from pgcontrol_envs.to_gymnasium import GymEnv, GymVectorEnv

__all__ = ["GymEnv", "GymVectorEnv"]
