"""Steps that broke a simulation, with the data that is needed to replay them."""

from typing import NamedTuple

from pgcontrol_envs import Step, VecEnv
from torch import Tensor

MOST = 10  # breakdowns per session that are kept; further ones are only counted


class Breakdown(NamedTuple):
    """A step that gave infinite or NaN values, or in which the simulation became unstable.

    Attributes:
        env: index of the environment.
        played: environment steps that the collector had played before the choice.
        why: the reason, as text.
        state: the state before the step, see `VecEnv.before`; None if the environment cannot provide it.
        action: [A].
        obs: [O], the observation of that state.
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
        count: number of all breakdowns so far.
    """

    def __init__(self) -> None:
        self.count = 0
        self._kept: list[Breakdown] = []

    def note(self, env: VecEnv, i: int, first: int, played: int, step: Step, obs: Tensor, action: Tensor) -> None:
        """Record the latest step of environment i, with its `action` [A] and the observation before it, `obs` [O].

        `first` is the index of environment 0 of `env` among the environments of all ranks.
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
        """Add breakdowns that were taken before, or that another rank recorded."""
        self._kept += found

    def take(self) -> list[Breakdown]:
        """Return the breakdowns since the last call, and remove them."""
        taken, self._kept = self._kept, []
        return taken
