"""Coloured noise: exploration that is correlated in time, with power spectrum 1/f^β.

(Eberhard et al. 2023, "Pink noise is all you need", off-policy; Hollenstein et al. 2024, arXiv 2312.11091, in PPO.)
"""

from collections.abc import Iterator
from typing import Any, ClassVar

import torch
from torch import Generator, Tensor

from pgcontrol.heads.base import Head
from pgcontrol.machine.draws import BELOW_ONE, FromNumbers
from pgcontrol.options import InputError

# choices per sequence, as in the code of the PPO paper: about one episode of Gymnasium's tasks
PERIOD = 1024


def power_law(beta: float, period: int, shape: tuple[int, ...], rng: Generator) -> Tensor:
    """Independent Gaussian sequences with spectrum 1/f^β (Timmer & König 1995), [period, *shape].

    Every number is standard normal for any β. The correlation of two numbers depends only on their distance in time.
    The mean has the power of the lowest frequency.

    Args:
        beta: 0: white, 1: pink, 2: red.
        period: length of the sequences; even.
        shape: shape of the numbers at one time.
    """
    scale = torch.arange(period // 2 + 1).clamp_min(1) ** (-beta / 2)
    waves = torch.randn(len(scale), *shape, 2, generator=rng)
    real = [0, -1]  # the mean and the highest frequency are real; the real part has all the power
    waves[real] *= torch.tensor([2**0.5, 0.0])
    power = 4 * scale**2  # together with the negative frequency
    power[real] /= 2
    waves *= (scale / power.sum().sqrt()).view(-1, *[1] * (waves.ndim - 1))
    return torch.fft.irfft(torch.view_as_complex(waves), n=period, dim=0, norm="forward")


def _uniform(draws: FromNumbers, *shape: Any) -> Tensor:
    """Φ(z) in [0, 1), as torch.rand."""
    return torch.special.ndtr(draws.take(*shape).double()).float().clamp_max(BELOW_ONE)


def _normal(draws: FromNumbers, *shape: Any) -> Tensor:
    return draws.take(*shape).float()


def _exponential(draws: FromNumbers, into: Tensor) -> Tensor:
    """−log Φ(z). The torch method works in place; here only the result is used."""
    return (-torch.special.log_ndtr(draws.take(into.shape).double())).to(into.dtype)


class FromNormals(FromNumbers):
    """Converts standard normal numbers z to random draws, one z per draw, so that slow z give slow draws."""

    MIDDLE, KIND = 0.0, "normal"
    TRANSFORMS: ClassVar = {torch.rand: _uniform, torch.randn: _normal, torch.Tensor.exponential_: _exponential}


class ColouredNoise:
    """Coloured noise for a head's successive choices in N environments; its numbers are coloured independently.

    At each time it has the same distribution as the head's own noise, so log-probabilities do not change. A new
    sequence starts every `PERIOD` choices. Episodes may begin anywhere in a sequence, as in the code of both papers. As
    the noise is stationary, separate sequences for episodes would have the same distribution.
    """

    def __init__(self, head: Head, beta: float, num_envs: int, rng: Generator):
        """Raises InputError if the head's noise uses a random draw that cannot be computed from normal numbers."""
        self.head, self.beta, self.num_envs, self.rng = head, beta, num_envs, rng
        self.size = normals(head)
        self.begin()

    def begin(self) -> None:
        """Draw the next sequence. A checkpoint only needs `origin`, the generator's state before it."""
        self.origin, self.place = self.rng.get_state(), 0  # `place`: index of the next choice in the sequence
        self.sequence = power_law(self.beta, PERIOD, (self.num_envs, self.size), self.rng)

    def end(self) -> None:
        """Start a new sequence with the next choice."""
        self.place = PERIOD

    def take(self, count: int) -> Iterator[Tensor]:
        """Yield the noise of the next `count` choices in blocks [n, N, ...]."""
        while count:
            if self.place == PERIOD:
                self.begin()
            numbers = self.sequence[self.place : self.place + count]
            self.place, count = self.place + len(numbers), count - len(numbers)
            with FromNormals(numbers.flatten(0, 1)):
                noise = self.head.noise(len(numbers) * self.num_envs, self.rng)
            yield noise.unflatten(0, (-1, self.num_envs))

    def state(self) -> dict[str, Tensor]:
        """Tensors for a checkpoint."""
        return {"origin": self.origin, "place": torch.tensor(self.place)}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Continue from `state`. The generator's state does not change."""
        kept = self.rng.get_state()
        self.rng.set_state(state["origin"])
        self.begin()
        self.rng.set_state(kept)
        self.place = int(state["place"])


def normals(head: Head) -> int:
    """The number of normal numbers that a head's noise needs for one choice.

    Raises:
        InputError: see `ColouredNoise`.
    """
    try:
        with FromNormals() as counted:
            head.noise(1, Generator())
    except NotImplementedError as error:
        raise InputError(f"noise_beta: the noise of head {head.name!r} cannot be coloured: {error}") from None
    return counted.used
