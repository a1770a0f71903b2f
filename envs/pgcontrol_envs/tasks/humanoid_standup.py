"""HumanoidStandup: the humanoid lying on its back, rewarded for height (Tassa, Erez, Todorov 2012; Gymnasium's v5)."""

from pgcontrol_envs.task import Array, Terms
from pgcontrol_envs.tasks.humanoid import HumanoidBody


class HumanoidStandup(HumanoidBody):
    """Stand up. Never terminates."""

    id = "HumanoidStandup-v5"
    xml = "humanoidstandup.xml"
    unnamed = 1.0

    def reward(self, action: Array, before: None, terminated: Array) -> tuple[Array, Terms]:
        """The torso's height over the physics timestep, 1 for nothing, less the costs of control and of impact."""
        linup = self.height / self.model.opt.timestep
        ctrl, impact = -0.1 * (self.ctrl**2).sum(-1), (-5e-7 * (self.forces**2).sum(-1)).clip(-10)
        terms = {"reward_linup": linup, "reward_quadctrl": ctrl, "reward_impact": impact}
        return linup + ctrl + impact + self.unnamed, terms
