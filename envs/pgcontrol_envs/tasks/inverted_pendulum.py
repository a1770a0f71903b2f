"""InvertedPendulum: a pole on a cart, rewarded for staying upright (Barto, Sutton, Anderson 1983; Gymnasium's v5)."""

import torch
from torch import Tensor

from pgcontrol_envs.physics import Physics
from pgcontrol_envs.streams import Streams
from pgcontrol_envs.task import Camera, Task, Terms


class InvertedPendulum(Task):
    """Balance the pole. Ends when it tilts by more than 0.2 rad."""

    id = "InvertedPendulum-v5"
    xml = "inverted_pendulum.xml"
    frame_skip = 2
    camera = Camera(distance=2.04, lookat=(0.0, 0.0, 0.2))

    def bind(self, physics: Physics) -> None:
        """Positions, the pole's angle, velocities."""
        self.position, self.angle, self.velocity = physics.qpos, physics.qpos[:, 1], physics.qvel

    def reset(self, physics: Physics, ids: Tensor, rng: Streams) -> None:
        """Upright, positions and velocities off by up to 0.01."""
        noise = rng.uniform(-0.01, 0.01, self.nq + self.nv)
        physics.qpos[ids], physics.qvel[ids] = self.init_qpos + noise[:, : self.nq], noise[:, self.nq :]

    def observe(self) -> Tensor:
        """Positions, velocities [N, 4]."""
        return torch.cat((self.position, self.velocity), -1)

    def reward(self, action: Tensor, before: None, terminated: Tensor) -> tuple[Tensor, Terms]:
        """1 for not falling."""
        survive = (~terminated).double()
        return survive, {"reward_survive": survive.clone()}

    def terminated(self) -> Tensor:
        """The pole fell, or something is not finite."""
        return ~((self.angle.abs() <= 0.2) & self.observe().isfinite().all(-1))
