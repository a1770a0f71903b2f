"""Walker2d: a planar biped, rewarded for speed while upright (Erez, Tassa, Todorov 2011; Gymnasium's v5)."""

from pgcontrol_envs.locomotion import Planar
from pgcontrol_envs.task import Camera, Reflection


class Walker2d(Planar):
    """Walk forwards. Ends when the torso's height or tilt leaves its range. Observes [N, 17]."""

    id = "Walker2d-v5"
    xml = "walker2d_v5.xml"
    healthy_z_range = (0.8, 2.0)
    healthy_angle_range = (-1.0, 1.0)
    camera = Camera(track=1, distance=4.0)

    def reflection(self) -> Reflection:
        """One leg for the other."""
        return Reflection(self.model, swapped={"thigh": "thigh_left"})
