"""Cheetah: a planar two-legged runner (Wawrzynski 2009; the suite's)."""

from math import inf

import numpy as np

from pgcontrol_envs.arrays import Array, join
from pgcontrol_envs.suite.base import SuiteTask
from pgcontrol_envs.suite.tolerance import tolerance
from pgcontrol_envs.task import Camera, Physics, Streams


class CheetahRun(SuiteTask):
    """Run forwards, at 10 m/s. Observes [N, 17]."""

    id = "dm:cheetah-run"
    xml = "cheetah.xml"
    frame_skip = 1
    unobserved = 1
    derived = ("sensordata",)
    camera = Camera(track="torso", distance=4.0, elevation=-10.0)

    def bind(self, physics: Physics) -> None:
        """The torso's speed, too."""
        super().bind(physics)
        self.speed = physics.bind("sensordata")[:, self.sensors("torso_subtreelinvel")[0]]

    def start(self, physics: Physics, ids: Array, rng: Streams) -> None:
        """Joints anywhere in their ranges, after 200 steps in which the body comes to rest."""
        limited = np.flatnonzero(self.model.jnt_limited)
        low, high = self.model.jnt_range[limited].T
        # dm_control completes a step that it began at the defaults: what moves in it is what would move there
        physics.step(1, ids)
        drift = self.model.opt.timestep * physics.qvel[ids]
        physics.qpos[ids[:, None], limited] = rng.uniform(low, high, len(limited)) + drift[:, limited]
        physics.step(199, ids, self.stage)
        physics.time[ids] = 0

    def observe(self) -> Array:
        """Positions but x, velocities [N, 17]."""
        return join(self.posture, self.velocity)

    def score(self) -> Array:
        """In proportion to the speed, up to 10 m/s."""
        return tolerance(self.speed, 10, inf, 10, "linear", 0)
