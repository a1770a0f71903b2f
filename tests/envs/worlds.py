"""Gymnasium envs of unusual shapes; importing this registers them."""

import gymnasium
import numpy as np
from gymnasium.spaces import Box


class Picture(gymnasium.Env):
    """Observations and actions are matrices of unusual types."""

    observation_space = Box(0, 255, (4, 5), np.uint8)
    action_space = Box(-1, 1, (2, 3), np.float64)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.np_random.integers(0, 256, (4, 5), np.uint8), {}

    def step(self, action):
        assert action.shape == (2, 3)
        assert action.dtype == np.float64
        return np.full((4, 5), 7, np.uint8), float(action.sum()), False, False, {}


class Unbounded(Picture):
    action_space = Box(-np.inf, np.inf, (2,), np.float32)


for name in ("Picture", "Unbounded"):
    gymnasium.register(f"{name}-v0", entry_point=f"{__name__}:{name}", max_episode_steps=9)
gymnasium.register("Homeless-v0", entry_point="no_such_module:Thing")
