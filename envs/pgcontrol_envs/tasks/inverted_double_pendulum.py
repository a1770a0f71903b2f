"""InvertedDoublePendulum: two poles on a cart, rewarded for a high tip (after Barto et al. 1983; Gymnasium's v5)."""

from pgcontrol_envs.arrays import Array, cos, join, sin
from pgcontrol_envs.task import Camera, Mirror, Physics, Reflection, Task, Terms


class InvertedDoublePendulum(Task):
    """Balance both poles. Ends when the tip is no higher than 1 m.

    Attributes:
        healthy_reward: reward for each step that does not end in a fall.
    """

    id = "InvertedDoublePendulum-v5"
    xml = "inverted_double_pendulum.xml"
    settings = ("healthy_reward", "reset_noise_scale")
    frame_skip = 5
    reset_noise = 0.1
    normal_velocities = True
    healthy_reward = 10.0
    derived = ("site_xpos", "qfrc_constraint")
    camera = Camera(distance=4.1225, lookat=(0.0, 0.0, 0.6))

    def bind(self, physics: Physics) -> None:
        """Keep views of the cart's x and constraint force, the poles' angles, velocities, and the tip's position."""
        self.cart, self.force = physics.qpos[:, :1], physics.bind("qfrc_constraint")[:, :1]
        self.angles, self.velocity = physics.qpos[:, 1:], physics.qvel
        self.tip_x, _, self.tip_height = physics.bind("site_xpos")[:, 0].T

    def observe(self) -> Array:
        """Cart's x, sines and cosines of angles; velocities and the cart's constraint force, clipped to ±10 [N, 9]."""
        rest = self.velocity.clip(-10, 10), self.force.clip(-10, 10)
        return join(self.cart, sin(self.angles), cos(self.angles), *rest)

    def reflection(self) -> Reflection:
        """The x direction for its opposite."""
        return Reflection(self.model, "x")

    def mirror(self) -> Mirror:
        """All entries change their signs, except the cosines."""
        return Mirror((tuple(range(9)), (-1, -1, -1, 1, 1, -1, -1, -1, -1)), self.reflection().controls)

    def reward(self, action: Array, before: None, terminated: Array) -> tuple[Array, Terms]:
        """The reward for being up, minus penalties on the tip's distance from (0, 2 m) and on the poles' speeds."""
        survive = self.healthy_reward * ~terminated
        distance = -(0.01 * self.tip_x**2 + (self.tip_height - 2) ** 2)
        velocity = -(1e-3 * self.velocity[:, 1] ** 2 + 5e-3 * self.velocity[:, 2] ** 2)
        terms = {"reward_survive": survive, "distance_penalty": distance, "velocity_penalty": velocity}
        return survive + distance + velocity, terms

    def terminated(self) -> Array:
        """Whether the tip has fallen."""
        return self.tip_height <= 1
