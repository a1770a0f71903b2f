"""Hopper: a one-legged planar hopper, rewarded for speed while upright (Erez, Tassa, Todorov 2011; Gymnasium's v5)."""

from math import inf

from pgcontrol_envs.arrays import Array, join, within
from pgcontrol_envs.locomotion import Planar
from pgcontrol_envs.task import Camera, Physics


class Hopper(Planar):
    """Hop forwards. Ends when the torso is too low or tilted, or the state exceeds its bounds. Observes [N, 11].

    Attributes:
        healthy_state_range: range of all state variables except x and height.
    """

    id = "Hopper-v5"
    xml = "hopper.xml"
    settings = ("healthy_state_range",)
    healthy_z_range = (0.7, inf)
    healthy_angle_range = (-0.2, 0.2)
    healthy_state_range = (-100.0, 100.0)
    camera = Camera(track=1, distance=3.0)

    def bind(self, physics: Physics) -> None:
        """Also keeps a view of the positions except x and height."""
        super().bind(physics)
        self.rest = physics.qpos[:, 2:]

    def healthy(self) -> Array:
        """Above 0.7 m, tilted by less than 0.2 rad, and all variables except x and height within ±100."""
        bounded = within(join(self.rest, self.velocity), self.healthy_state_range).all(-1)
        return super().healthy() & bounded
