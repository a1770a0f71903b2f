"""Hopper: a one-legged planar hopper, rewarded for speed while upright (Erez, Tassa, Todorov 2011; Gymnasium's v5)."""

from pgcontrol_envs.arrays import Array, join
from pgcontrol_envs.locomotion import Upright
from pgcontrol_envs.task import Camera


class Hopper(Upright):
    """Hop forwards. Ends when the torso is low or tilted, or the state beyond bounds. Observes [N, 11]."""

    id = "Hopper-v5"
    xml = "hopper.xml"
    camera = Camera(track="torso", distance=3.0)

    def terminated(self) -> Array:
        """Unless the torso is above 0.7 m, tilted by less than 0.2 rad, and all but x and height within ±100."""
        bounded = (abs(join(self.posture[:, 1:], self.velocity)) < 100).all(-1)
        return ~((self.height > 0.7) & (abs(self.angle) < 0.2) & bounded)
