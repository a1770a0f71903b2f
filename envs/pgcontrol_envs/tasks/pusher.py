"""Pusher: a seven-joint arm that pushes a cylinder to a goal (Gymnasium's v5)."""

import torch
from torch import Tensor

from pgcontrol_envs.physics import Physics
from pgcontrol_envs.streams import Streams
from pgcontrol_envs.task import Camera, Task, Terms, cost


class Pusher(Task):
    """Bring the object to the goal. Never terminates."""

    id = "Pusher-v5"
    xml = "pusher_v5.xml"
    frame_skip = 5
    time_limit = 100
    derived = ("xpos",)
    camera = Camera(distance=2.5, elevation=-35.0, azimuth=180.0, lookat=(0.3, -0.3, -0.2))

    def bind(self, physics: Physics) -> None:
        """The arm's angles and velocities, places of tip, object and goal."""
        self.arm = physics.qpos[:, :7], physics.qvel[:, :7]
        bodies = "tips_arm", "object", "goal"
        self.tip, self.object, self.goal = (physics.bind("xpos")[:, self.body(name)] for name in bodies)

    def reset(self, physics: Physics, ids: Tensor, rng: Streams) -> None:
        """Default posture, nearly at rest; the object on the table, more than 0.17 m from the goal."""
        qpos = self.init_qpos.repeat(len(ids), 1)
        qpos[:, -4:-2] = rng.until(
            lambda place: place.norm(dim=-1) > 0.17,
            lambda some: torch.cat((some.uniform(-0.3, 0, 1), some.uniform(-0.2, 0.2, 1)), -1),
        )
        qpos[:, -2:] = 0
        qvel = rng.uniform(-5e-3, 5e-3, self.nv)
        qvel[:, -4:] = 0
        physics.qpos[ids], physics.qvel[ids] = qpos, qvel

    def observe(self) -> Tensor:
        """Joint angles and velocities, places of tip, object and goal [N, 23]."""
        return torch.cat((*self.arm, self.tip, self.object, self.goal), -1)

    def reward(self, action: Tensor, before: None, terminated: Tensor) -> tuple[Tensor, Terms]:
        """Minus the object's distance to the goal and half of that to the tip, less the cost of control."""
        dist, near = -(self.object - self.goal).norm(dim=-1), -0.5 * (self.object - self.tip).norm(dim=-1)
        ctrl = cost(0.1, action)
        return dist + ctrl + near, {"reward_dist": dist, "reward_ctrl": ctrl, "reward_near": near}
