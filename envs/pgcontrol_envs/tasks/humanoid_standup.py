"""HumanoidStandup: the humanoid lying on its back, rewarded for height (Tassa, Erez, Todorov 2012; Gymnasium's v5)."""

from torch import Tensor

from pgcontrol_envs.physics import Physics
from pgcontrol_envs.streams import Streams
from pgcontrol_envs.task import Camera, Task, Terms, squared_sum
from pgcontrol_envs.tasks.humanoid import BODY_FIELDS, observe_body, reset_body


class HumanoidStandup(Task):
    """Stand up. Never terminates."""

    id = "HumanoidStandup-v5"
    xml = "humanoidstandup.xml"
    frame_skip = 5
    derived = BODY_FIELDS
    camera = Camera(track="torso", distance=4.0)

    def reset(self, physics: Physics, ids: Tensor, rng: Streams) -> None:
        """On its back, off by up to 0.01."""
        reset_body(physics, ids, rng, self.init_qpos)

    def observe(self, physics: Physics) -> Tensor:
        """The whole body's state [N, 348]."""
        return observe_body(physics)

    def reward(self, physics: Physics, action: Tensor, before: None, terminated: Tensor) -> tuple[Tensor, Terms]:
        """The torso's height over the physics timestep, 1 for nothing, less the costs of control and of impact."""
        linup = physics.qpos[:, 2] / self.model.opt.timestep
        ctrl = -0.1 * squared_sum(physics.ctrl)
        impact = -(5e-7 * squared_sum(physics.bind("cfrc_ext").flatten(1))).clamp(max=10)
        return linup + ctrl + impact + 1, {"reward_linup": linup, "reward_quadctrl": ctrl, "reward_impact": impact}
