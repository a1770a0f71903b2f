"""Swimmer: a three-link snake in a viscous fluid, rewarded for speed (Coulom 2002; Gymnasium's v5)."""

from pgcontrol_envs.locomotion import Locomotion
from pgcontrol_envs.task import Camera, Reflection


class Swimmer(Locomotion):
    """Swim towards +x. Never terminates. Observes positions without x and y, velocities [N, 8]."""

    id = "Swimmer-v5"
    xml = "swimmer.xml"
    frame_skip = 4
    reset_noise = 0.1
    unobserved = 2
    ctrl_cost_weight = 1e-4
    camera = Camera(track=1, distance=5.0, elevation=-60.0)

    def reflection(self) -> Reflection:
        """Left for right."""
        return Reflection(self.model)
