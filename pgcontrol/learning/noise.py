"""Coloured noise: choices whose randomness is correlated in time, with a power spectrum of 1/f^β.

(Eberhard et al. 2023, "Pink noise is all you need", off-policy; Hollenstein et al. 2024, arXiv 2312.11091, in PPO.)
"""

from collections.abc import Iterator
from typing import Any, ClassVar

import torch
from torch import Generator, Tensor

from pgcontrol.heads.base import Head
from pgcontrol.machine.draws import FromNumbers
from pgcontrol.options import InputError

# choices a sequence lasts, as in the PPO paper's code: about an episode of Gymnasium's tasks
PERIOD = 1024


def power_law(beta: float, period: int, shape: tuple[int, ...], rng: Generator) -> Tensor:
    """Gaussian sequences with a spectrum of 1/f^β (Timmer & König 1995), [period, *shape], independent of each other.

    Every number is standard normal, whatever β, and how two are correlated depends on how far apart they are alone. The
    mean has the power of the lowest frequency.

    Args:
        beta: 0: white, 1: pink, 2: red.
        period: even.
        shape: of the sequences' numbers at one time.
    """
    scale = torch.arange(period // 2 + 1).clamp_min(1) ** (-beta / 2)
    waves = torch.randn(len(scale), *shape, 2, generator=rng)
    real = [0, -1]  # the mean and the fastest wave have no phase, and all their power in one number
    waves[real] *= torch.tensor([2**0.5, 0.0])
    power = 4 * scale**2  # of a wave with its mirror image at the negative frequency
    power[real] /= 2
    waves *= (scale / power.sum().sqrt()).view(-1, *[1] * (waves.ndim - 1))
    return torch.fft.irfft(torch.view_as_complex(waves), n=period, dim=0, norm="forward")


def _uniform(draws: FromNumbers, *shape: Any) -> Tensor:
    """Φ(z), in [0, 1) as torch.rand's: float32 would round to 1."""
    return torch.special.ndtr(draws.take(*shape).double()).float().clamp_max(1 - 2**-24)


def _normal(draws: FromNumbers, *shape: Any) -> Tensor:
    return draws.take(*shape).float()


def _exponential(draws: FromNumbers, into: Tensor) -> Tensor:
    """−log Φ(z). In place for torch; here the result counts."""
    return (-torch.special.log_ndtr(draws.take(into.shape).double())).to(into.dtype)


class FromNormals(FromNumbers):
    """Draws from standard normal numbers z, one each: a slow z is a slow draw."""

    MIDDLE, KIND = 0.0, "normal"
    TRANSFORMS: ClassVar = {torch.rand: _uniform, torch.randn: _normal, torch.Tensor.exponential_: _exponential}


class ColouredNoise:
    """A head's noise for choice after choice in N environments, every number of it coloured on its own.

    At any one time it has the distribution of the head's own noise, so log-probabilities stay what they are. One
    sequence follows another every `PERIOD` choices. Episodes begin anywhere in it, as in both papers' code: the noise
    is stationary, so a sequence of its own would look the same to an episode.
    """

    def __init__(self, head: Head, beta: float, num_envs: int, rng: Generator):
        """Raises:
        InputError: the head's noise is made of a draw that has no normal number behind it.
        """
        self.head, self.beta, self.num_envs, self.rng = head, beta, num_envs, rng
        self.size = normals(head)
        self.begin()

    def begin(self) -> None:
        """Draw the next sequence; `origin`, the generator's state before, is all that a checkpoint need hold of it."""
        self.origin, self.place = self.rng.get_state(), 0  # `place`: that of the next choice in the sequence
        self.sequence = power_law(self.beta, PERIOD, (self.num_envs, self.size), self.rng)

    def end(self) -> None:
        """The next choice begins another sequence."""
        self.place = PERIOD

    def take(self, count: int) -> Iterator[Tensor]:
        """The noise of the next `count` choices, [n, N, ...] at a time."""
        while count:
            if self.place == PERIOD:
                self.begin()
            numbers = self.sequence[self.place : self.place + count]
            self.place, count = self.place + len(numbers), count - len(numbers)
            with FromNormals(numbers.flatten(0, 1)):
                noise = self.head.noise(len(numbers) * self.num_envs, self.rng)
            yield noise.unflatten(0, (-1, self.num_envs))

    def state(self) -> dict[str, Tensor]:
        """Tensors to checkpoint."""
        return {"origin": self.origin, "place": torch.tensor(self.place)}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Continue where `state` left; the generator's own state is left alone."""
        kept = self.rng.get_state()
        self.rng.set_state(state["origin"])
        self.begin()
        self.rng.set_state(kept)
        self.place = int(state["place"])


def normals(head: Head) -> int:
    """How many normal numbers make a head's noise for one choice.

    Raises:
        InputError: see `ColouredNoise`.
    """
    try:
        with FromNormals() as counted:
            head.noise(1, Generator())
    except NotImplementedError as error:
        raise InputError(f"noise_beta: the noise of head {head.name!r} cannot be coloured: {error}") from None
    return counted.used
