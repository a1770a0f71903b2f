"""HalfCheetah: a planar two-legged runner, rewarded for speed (Wawrzyński 2009; Gymnasium's v5)."""

from pgcontrol_envs.locomotion import Locomotion
from pgcontrol_envs.task import Camera


class HalfCheetah(Locomotion):
    """Run forwards. Never terminates. Observes positions without x, velocities [N, 17]."""

    id = "HalfCheetah-v5"
    xml = "half_cheetah.xml"
    frame_skip = 5
    reset_noise = 0.1
    normal_velocities = True
    ctrl_cost_weight = 0.1
    camera = Camera(track=1, distance=4.0)
