"""Random numbers, one stream an env, so that what an env draws does not depend on its neighbours."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from gymnasium.utils.seeding import np_random

from pgcontrol_envs.arrays import Array


class Streams:
    """The streams of n envs; env i's is Gymnasium's `np_random(seed + i)`, consumed as Gymnasium's env consumes it.

    Attributes:
        generators: each env's.
    """

    def __init__(self, generators: Sequence[np.random.Generator]):
        self.generators = list(generators)

    @classmethod
    def seeded(cls, num_envs: int, seed: int | None = None) -> "Streams":
        """Fresh streams for num_envs envs; seed None takes entropy from the operating system."""
        return cls([np_random(None if seed is None else seed + i)[0] for i in range(num_envs)])

    def reseed(self, env: int, seed: int) -> None:
        """Start env's stream again from seed."""
        self.generators[env] = np_random(seed)[0]

    def narrow(self, ids: Array) -> "Streams":
        """The streams of the envs ids [n] only; drawing from them advances the same generators."""
        return type(self)([self.generators[i] for i in ids.tolist()])

    def uniform(self, low: float, high: float, size: int) -> Array:
        """[n, size] float64, uniform in [low, high)."""
        return np.array([generator.uniform(low, high, size) for generator in self.generators])

    def normal(self, size: int) -> Array:
        """[n, size] float64, standard normal."""
        return np.array([generator.standard_normal(size) for generator in self.generators])

    def until(self, accept: Callable[[Array], Array], draw: Callable[["Streams"], Array]) -> Array:
        """Rejection sampling: draw [n, ...] from these streams, and again from those of the rows accept refuses."""
        drawn = draw(self)
        while (refused := ~accept(drawn)).any():
            drawn[refused] = draw(self.narrow(np.flatnonzero(refused)))
        return drawn

    def state(self) -> list[dict[str, Any]]:
        """The state of every stream, as JSON can hold it."""
        return [dict(generator.bit_generator.state) for generator in self.generators]

    def load_state(self, state: Sequence[dict[str, Any]]) -> None:
        """Continue from what state() returned."""
        for generator, saved in zip(self.generators, state, strict=True):
            generator.bit_generator.state = saved
