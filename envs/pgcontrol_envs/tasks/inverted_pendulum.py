"""InvertedPendulum: a pole on a cart, rewarded for staying upright (Barto, Sutton, Anderson 1983; Gymnasium's v5)."""

from math import inf

from pgcontrol_envs.task import Array, Camera, Reflection, Task, Terms


class InvertedPendulum(Task):
    """Balance the pole. Ends when it tilts by more than 0.2 rad. Observes positions and velocities [N, 4]."""

    id = "InvertedPendulum-v5"
    xml = "inverted_pendulum.xml"
    settings = ("reset_noise_scale",)
    frame_skip = 2
    reset_noise = 0.01
    camera = Camera(distance=2.04, lookat=(0.0, 0.0, 0.2))

    def reflection(self) -> Reflection:
        """The x direction for its opposite. The pole leans by 2 mrad at its angle 0."""
        return Reflection(self.model, "x", near=1e-3, alike=5e-3)

    def reward(self, action: Array, before: None, terminated: Array) -> tuple[Array, Terms]:
        """1 for each step without a fall."""
        return 1.0 * ~terminated, {"reward_survive": 1.0 * ~terminated}

    def terminated(self) -> Array:
        """Whether the pole has fallen, or a value is not finite."""
        return ~((abs(self.posture[:, 1]) <= 0.2) & (abs(self.observe()) < inf).all(-1))
