"""HumanoidStandup: the humanoid lying on its back, rewarded for height (Tassa, Erez, Todorov 2012; Gymnasium's v5)."""

import warnings
from math import inf

from pgcontrol_envs.task import Array, Terms
from pgcontrol_envs.tasks.humanoid import HumanoidBody


class HumanoidStandup(HumanoidBody):
    """Stand up. Never terminates.

    Attributes:
        uph_cost_weight: has no effect, as in Gymnasium's v5; setting it causes a warning.
        impact_cost_weight: factor of the sum of squared contact forces.
        impact_cost_range: range to which the impact cost is clipped.
    """

    id = "HumanoidStandup-v5"
    xml = "humanoidstandup.xml"
    settings = ("uph_cost_weight", "impact_cost_weight", "impact_cost_range")
    unnamed = 1.0
    uph_cost_weight = 1.0
    impact_cost_weight = 5e-7
    impact_cost_range = (-inf, 10.0)

    def __init__(self) -> None:
        super().__init__()
        if self.uph_cost_weight != 1:
            warnings.warn(f"{self.id}: uph_cost_weight has no effect, as in Gymnasium's env", stacklevel=2)

    def reward(self, action: Array, before: None, terminated: Array) -> tuple[Array, Terms]:
        """The torso's height divided by the physics timestep, plus 1, minus the control and impact costs."""
        linup = self.height / self.model.opt.timestep
        ctrl, impact = self.control_cost(), self.contact_cost(self.impact_cost_weight, self.impact_cost_range)
        terms = {"reward_linup": linup, "reward_quadctrl": ctrl, "reward_impact": impact}
        return linup + ctrl + impact + self.unnamed, terms
