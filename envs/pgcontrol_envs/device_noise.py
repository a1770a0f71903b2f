"""The counter-based noise of `random_streams.Noise` as torch tensors on a device: the same numbers, to rounding."""

import zlib

import numpy as np
import torch
from torch import Tensor

from pgcontrol_envs.arrays import Array
from pgcontrol_envs.random_streams import GOLDEN, MIX, SHIFTS, Noise

UNUSED = 11  # 64 bits minus the 53 of a float64


class DeviceNoise:
    """The noise of N envs on a device. See `Noise`; ids are bool masks [N], and None means all.

    Attributes:
        state: int64 [N, 4], as in `Noise`.
    """

    def __init__(self, num_envs: int, seed: int | None, device: torch.device):
        self.state = torch.from_numpy(Noise(num_envs, seed).state).to(device)
        self._places: dict[tuple[str, int], Tensor] = {}

    def reseed(self, env: int, seed: int) -> None:
        """Give an env the key of a seed; it is used from the next episode on."""
        key = Noise(1, seed).state[0, 0]
        self.state[env, :2] = torch.tensor([key, 0], dtype=torch.int64)

    def restart(self, ids: Tensor) -> None:
        """Start an episode in the envs of the mask."""
        self.state[:, 1] += ids
        self.state[:, 2:] = torch.where(ids.unsqueeze(1), self.state[:, :2], self.state[:, 2:])

    def advance(self, ids: Tensor | None = None) -> None:
        """Advance all envs, or those of the mask, by one step."""
        self.state[:, 1::2] += 1 if ids is None else ids.unsqueeze(1)

    def uniform(self, name: str, low: Array, high: Array, size: int) -> Tensor:
        """[N, size] float32, uniform in [low, high); both may be scalars or [size]; `name` is the purpose."""
        return low + (high - low) * self._unit(name, size)

    def normal(self, name: str, size: int) -> Tensor:
        """[N, size] float32, standard normal (Box & Muller 1958); `name` is the purpose."""
        one, two = self._unit(name, 2 * size).chunk(2, 1)
        return (-2 * torch.log1p(-one)).sqrt() * torch.cos(2 * torch.pi * two)

    def _unit(self, name: str, size: int) -> Tensor:
        if (places := self._places.get((name, size))) is None:
            first = torch.arange(size, device=self.state.device) + _signed(zlib.crc32(name.encode()) << 32)
            places = self._places[name, size] = _scramble(first)
        counters = _scramble(self.state[:, 2] + self.state[:, 3] * _signed(int(GOLDEN))).unsqueeze(1)
        unit = _shifted(_scramble(counters + places), UNUSED).double() * 2.0**-53
        return unit.float().clamp_max(1 - 2.0**-24)  # rounding to float32 could give 1


def _signed(x: int) -> int:
    """The int64 with the bits of a uint64."""
    return int(np.uint64(x).view(np.int64))


def _shifted(x: Tensor, by: int) -> Tensor:
    """Shift int64 right as uint64: fill with zeros, not with the sign."""
    return (x >> by) & ((1 << (64 - by)) - 1)


def _scramble(x: Tensor) -> Tensor:
    """SplitMix64's finaliser for int64 with the bits of uint64; products wrap around."""
    for shift, factor in zip(SHIFTS, MIX, strict=False):
        x = (x ^ _shifted(x, int(shift))) * _signed(int(factor))
    return x ^ _shifted(x, int(SHIFTS[-1]))
