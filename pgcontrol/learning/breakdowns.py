"""Steps after which a simulation could not go on, with what is needed to see them again."""

from typing import NamedTuple

from pgcontrol_envs import Step, VecEnv
from torch import Tensor

MOST = 10  # breakdowns of a session whose states are kept; further ones are counted only


class Breakdown(NamedTuple):
    """A step that led to something infinite or NaN, or in which the simulation became unstable.

    Attributes:
        env: which of the N environments.
        played: environment steps that the collector had played before the choice.
        why: in words.
        state: in which the step began, see `VecEnv.before`; None where the environment cannot say.
        action: [A].
        obs: [O], what was observed in that state.
    """

    env: int
    played: int
    why: str
    state: dict[str, Tensor] | None
    action: Tensor
    obs: Tensor


class Breakdowns:
    """The first breakdowns of a session.

    Attributes:
        count: all of them so far.
    """

    def __init__(self) -> None:
        self.count = 0
        self._kept: list[Breakdown] = []

    def note(self, env: VecEnv, i: int, first: int, played: int, step: Step, obs: Tensor, action: Tensor) -> None:
        """Keep the step just made by environment i under `action` [A] where `obs` [O] was seen.

        `first` is the number that environment 0 of `env` has among those of all ranks.
        """
        self.count += 1
        if self.count > MOST:
            return
        inputs = (~step.obs[i].isfinite()).nonzero().flatten().tolist()
        if step.unstable is not None and step.unstable[i]:
            why = "the simulation became unstable"
        elif inputs:
            why = f"input {inputs[0]} of the observation is {step.obs[i, inputs[0]]}"
        else:
            why = f"the reward is {step.reward[i]}"
        self._kept.append(Breakdown(first + i, played, why, env.before(i), action.clone(), obs.clone()))

    def keep(self, found: list[Breakdown]) -> None:
        """Keep what was taken before, or what another rank has noted."""
        self._kept += found

    def take(self) -> list[Breakdown]:
        """Those that nobody has taken yet."""
        taken, self._kept = self._kept, []
        return taken
