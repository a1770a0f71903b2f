"""Random numbers, with one stream per env, so that an env's numbers do not depend on the other envs."""

import zlib
from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np
from gymnasium.utils.seeding import np_random

from pgcontrol_envs.arrays import Array

# constants of SplitMix64 (Steele, Lea & Flood 2014, "Fast splittable pseudorandom number generators"): the increment,
# and the multipliers of its finaliser
GOLDEN, MIX = np.uint64(0x9E3779B97F4A7C15), (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
SHIFTS = np.uint64(30), np.uint64(27), np.uint64(31)
_UNUSED = np.uint64(11)  # 64 bits minus the 53 of a float64


class Streams:
    """The streams of n envs. Env i has Gymnasium's `np_random(seed + i)` and uses it as Gymnasium's env does.

    Attributes:
        generators: the generator of each env.
    """

    def __init__(self, generators: Sequence[Any]):
        self.generators = list(generators)

    @classmethod
    def seeded(cls, num_envs: int, seed: int | None = None) -> Self:
        """New streams for num_envs envs; seed None: entropy from the operating system."""
        return cls([cls.generator(None if seed is None else seed + i) for i in range(num_envs)])

    @staticmethod
    def generator(seed: int | None) -> Any:
        """A new generator for one env."""
        return np_random(seed)[0]

    def reseed(self, env: int, seed: int) -> None:
        """Restart an env's stream from a seed."""
        self.generators[env] = self.generator(seed)

    def follow(self, generator: np.random.Generator, seed: int | None) -> None:
        """Draw from the generator of a single Gymnasium env, which has just been reset with or without a seed."""
        self.generators[0] = generator

    def narrow(self, ids: Array) -> Self:
        """The streams of envs ids [n] only; drawing from them advances the same generators."""
        return type(self)([self.generators[i] for i in ids.tolist()])

    def uniform(self, low: float, high: float, size: int) -> Array:
        """[n, size] float64, uniform in [low, high)."""
        drawn = [generator.uniform(low, high, size) for generator in self.generators]
        return np.array(drawn).reshape(-1, size)  # also without any env

    def normal(self, size: int) -> Array:
        """[n, size] float64, standard normal."""
        return np.array([generator.standard_normal(size) for generator in self.generators]).reshape(-1, size)

    def until(self, accept: Callable[[Array], Array], draw: Callable[[Self], Array]) -> Array:
        """Rejection sampling: draw [n, ...] from these streams, and draw the rows again that `accept` rejects."""
        drawn = draw(self)
        while (refused := ~accept(drawn)).any():
            drawn[refused] = draw(self.narrow(np.flatnonzero(refused)))
        return drawn

    def state(self) -> list[dict[str, Any]]:
        """The state of every stream, as JSON values."""
        return [state_of(generator) for generator in self.generators]

    def load_state(self, state: Sequence[dict[str, Any]]) -> None:
        """Continue from what state() returned."""
        for generator, saved in zip(self.generators, state, strict=True):
            restore(generator, saved)


class LegacyStreams(Streams):
    """The streams of n envs as in dm_control: env i has `np.random.RandomState(seed + i)`."""

    @staticmethod
    def generator(seed: int | None) -> np.random.RandomState:
        """Uses the seed modulo 2^32: RandomState accepts no larger seeds."""
        return np.random.RandomState(None if seed is None else seed % 2**32)

    def follow(self, generator: np.random.Generator, seed: int | None) -> None:
        """Restart if there is a seed; Gymnasium's generator is of another kind and cannot be used."""
        if seed is not None:
            self.reseed(0, seed)


def state_of(stream: np.random.Generator | np.random.RandomState) -> dict[str, Any]:
    """The state of a stream with any bit generator, as JSON values."""
    return _plain(_state(stream))


def restore(stream: np.random.Generator | np.random.RandomState, saved: dict[str, Any]) -> None:
    """Continue from what state_of() returned."""
    state = _like(saved, _state(stream))
    if isinstance(stream, np.random.RandomState):
        stream.set_state(state)
    else:
        stream.bit_generator.state = state


def _state(stream: np.random.Generator | np.random.RandomState) -> dict[str, Any]:
    if isinstance(stream, np.random.RandomState):
        return dict(stream.get_state(legacy=False))  # type: ignore[reportArgumentType]
    return dict(stream.bit_generator.state)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


def _like(saved: Any, pattern: Any) -> Any:
    """Saved values, converted to arrays where the pattern has arrays."""
    if isinstance(pattern, dict):
        return {key: _like(saved[key], one) for key, one in pattern.items()}
    return np.array(saved, pattern.dtype) if isinstance(pattern, np.ndarray) else saved


class Noise:
    """The randomness inside the steps of N envs: sensor noise, pushes, new commands.

    Counter-based: a number is a function of the env's key, the step of its episode, and the name of the purpose. So one
    call serves all envs; results depend neither on the number of envs nor on the order of calls; a state that is
    observed twice gives the same numbers; and only a few integers per env must be saved.

    Attributes:
        state: int64 [N, 4]: the env's own key, its total number of steps, and the key and step of its episode. A copied
            episode continues with the noise of its source; the next episode uses the env's own key again.
    """

    def __init__(self, num_envs: int, seed: int | None = None):
        self.state = np.zeros((num_envs, 4), np.int64)
        first = np.random.SeedSequence().generate_state(1, np.uint64)[0] if seed is None else np.uint64(seed % 2**64)
        self.state[:, 0] = _keys(first + np.arange(num_envs, dtype=np.uint64))
        self._places: dict[tuple[str, int], np.ndarray] = {}
        self._now, self._counters = b"", np.empty((num_envs, 1), np.uint64)
        self.restart(slice(None))

    def reseed(self, env: int, seed: int) -> None:
        """Give an env the key of a seed; it is used from the next episode on."""
        self.state[env, :2] = _keys(np.array([seed % 2**64], np.uint64))[0], 0

    def restart(self, ids: Array | slice) -> None:
        """Start an episode in envs ids [n]."""
        self.state[ids, 1] += 1
        self.state[ids, 2:] = self.state[ids, :2]

    def advance(self, ids: Array | None = None) -> None:
        """Advance all envs, or envs ids [n], by one step."""
        self.state[slice(None) if ids is None else ids, 1::2] += 1

    def uniform(self, name: str, low: Array, high: Array, size: int) -> Array:
        """[N, size] float64, uniform in [low, high); both may be scalars or [size]; `name` is the purpose."""
        return low + (high - low) * self._unit(name, size)

    def normal(self, name: str, size: int) -> Array:
        """[N, size] float64, standard normal (Box & Muller 1958); `name` is the purpose."""
        one, two = np.split(self._unit(name, 2 * size), 2, axis=1)
        return np.sqrt(-2 * np.log1p(-one)) * np.cos(2 * np.pi * two)

    def _unit(self, name: str, size: int) -> np.ndarray:
        if (places := self._places.get((name, size))) is None:
            first = np.uint64(zlib.crc32(name.encode()) << 32)
            places = self._places[name, size] = _scramble(first + np.arange(size, dtype=np.uint64))
        if (now := self.state.tobytes()) != self._now:  # shared by all draws in the same state
            key, step = self.state[:, 2].view(np.uint64), self.state[:, 3].view(np.uint64)
            self._now, self._counters = now, _scramble(key + step * GOLDEN)[:, None]
        return (_scramble(self._counters + places) >> _UNUSED) * 2.0**-53


def _keys(seeds: np.ndarray) -> np.ndarray:
    """int64 keys of uint64 seeds; consecutive seeds have unrelated keys."""
    return _scramble(_scramble(seeds + GOLDEN)).view(np.int64)


def _scramble(x: np.ndarray) -> np.ndarray:
    """SplitMix64's finaliser for an array of uint64; products wrap around."""
    x = (x ^ (x >> SHIFTS[0])) * MIX[0]
    x = (x ^ (x >> SHIFTS[1])) * MIX[1]
    return x ^ (x >> SHIFTS[2])
