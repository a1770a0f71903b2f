"""Cheetah: a planar two-legged runner (Wawrzynski 2009; from the suite)."""

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
        """Also keeps a view of the torso's speed."""
        super().bind(physics)
        self.speed = physics.bind("sensordata")[:, self.sensors("torso_subtreelinvel")[0]]

    def start(self, physics: Physics, ids: Array, rng: Streams) -> None:
        """Random joint angles within their ranges, then 200 steps in which the body comes to rest."""
        limited = np.flatnonzero(self.model.jnt_limited)
        low, high = self.model.jnt_range[limited].T
        # dm_control finishes a step that began at the defaults, so this applies the motion of that step
        physics.step(1, ids)
        drift = self.model.opt.timestep * physics.qvel[ids]
        physics.qpos[ids[:, None], limited] = rng.uniform(low, high, len(limited)) + drift[:, limited]
        physics.step(199, ids, self.stage)
        physics.time[ids] = 0

    def observe(self) -> Array:
        """Positions except x, velocities [N, 17]."""
        return join(self.posture, self.velocity)

    def score(self) -> Array:
        """Proportional to the speed, up to 10 m/s."""
        return tolerance(self.speed, 10, inf, 10, "linear", 0)
