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

    def reset(self, physics: Physics, ids: Tensor, rng: Streams) -> None:
        """Upright, positions and velocities off by up to 0.01."""
        physics.qpos[ids] = self.init_qpos + rng.uniform(-0.01, 0.01, self.model.nq)
        physics.qvel[ids] = rng.uniform(-0.01, 0.01, self.model.nv)

    def observe(self, physics: Physics) -> Tensor:
        """Positions, velocities [N, 4]."""
        return torch.cat((physics.qpos, physics.qvel), -1)

    def reward(self, physics: Physics, action: Tensor, before: None, terminated: Tensor) -> tuple[Tensor, Terms]:
        """1 unless the episode ends."""
        survive = (~terminated).double()
        return survive, {"reward_survive": survive}

    def terminated(self, physics: Physics) -> Tensor:
        """The pole fell, or something is not finite."""
        return (physics.qpos[:, 1].abs() > 0.2) | ~self.observe(physics).isfinite().all(-1)
