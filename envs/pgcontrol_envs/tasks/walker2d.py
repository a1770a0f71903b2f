"""Walker2d: a planar biped, rewarded for speed while upright (Erez, Tassa, Todorov 2011; Gymnasium's v5)."""

from pgcontrol_envs.locomotion import Upright
from pgcontrol_envs.task import Array, Camera


class Walker2d(Upright):
    """Walk forwards. Ends when the torso leaves its range of height or tilt. Observes [N, 17]."""

    id = "Walker2d-v5"
    xml = "walker2d_v5.xml"
    camera = Camera(track="torso", distance=4.0)

    def terminated(self) -> Array:
        """Unless the torso is between 0.8 m and 2 m, tilted by less than 1 rad."""
        return ~((self.height > 0.8) & (self.height < 2.0) & (abs(self.angle) < 1.0))
