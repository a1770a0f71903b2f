"""Pusher: a seven-joint arm that pushes a cylinder to a goal (Gymnasium's v5)."""

from pgcontrol_envs.arrays import Array, join, norm
from pgcontrol_envs.task import Camera, Physics, Streams, Task, Terms


class Pusher(Task):
    """Bring the object to the goal. Never terminates.

    Attributes:
        reward_near_weight: factor of the distance from the tip to the object.
        reward_dist_weight: factor of the distance from the object to the goal.
        reward_control_weight: factor of |action|².
    """

    id = "Pusher-v5"
    xml = "pusher_v5.xml"
    settings = ("reward_near_weight", "reward_dist_weight", "reward_control_weight")
    frame_skip = 5
    time_limit = 100
    reward_near_weight = 0.5
    reward_dist_weight = 1.0
    reward_control_weight = 0.1
    derived = ("xpos",)
    camera = Camera(distance=2.5, elevation=-35.0, azimuth=180.0, lookat=(0.2, -0.45, -0.15))

    def bind(self, physics: Physics) -> None:
        """Keep views of the arm's angles and velocities, and the positions of tip, object and goal."""
        self.arm = physics.qpos[:, :7], physics.qvel[:, :7]
        bodies = "tips_arm", "object", "goal"
        self.tip, self.object, self.goal = (physics.bind("xpos")[:, self.body(name)] for name in bodies)

    def reset(self, physics: Physics, ids: Array, rng: Streams) -> None:
        """The arm nearly at rest; the object on the table, more than 0.17 m from the goal."""
        physics.qpos[ids, -4:-2] = rng.until(
            lambda place: norm(place) > 0.17,
            lambda some: join(some.uniform(-0.3, 0, 1), some.uniform(-0.2, 0.2, 1)),
        )
        physics.qpos[ids, -2:] = 0
        physics.qvel[ids] = rng.uniform(-5e-3, 5e-3, self.model.nv)
        physics.qvel[ids, -4:] = 0

    def observe(self) -> Array:
        """Joint angles and velocities, positions of tip, object and goal [N, 23]."""
        return join(*self.arm, self.tip, self.object, self.goal)

    def reward(self, action: Array, before: None, terminated: Array) -> tuple[Array, Terms]:
        """Minus the object's distances to the goal and (half the weight) to the tip, minus the control cost."""
        dist = -self.reward_dist_weight * norm(self.object - self.goal)
        near = -self.reward_near_weight * norm(self.object - self.tip)
        ctrl = -self.reward_control_weight * (action**2).sum(-1)
        return dist + ctrl + near, {"reward_dist": dist, "reward_ctrl": ctrl, "reward_near": near}
