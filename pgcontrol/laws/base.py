"""Laws, how to find them, and how they report measured values."""

import inspect
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor
from torch.autograd.gradcheck import GradcheckError, gradcheck


class Broken(AssertionError):
    """A part breaks a law; one line names the method, the measured value and the expected one."""


class NotJudged(Exception):
    """A law cannot be judged for a part; one line gives the reason."""


Law = Callable[[Any], None]  # takes a part from the `make` of its file, and does not change it


def law(function: Callable[..., None]) -> Callable[..., None]:
    """Mark a function as a law."""
    function.is_law = True  # pyright: ignore[reportFunctionMemberAccess]
    return function


def laws_of(module: ModuleType) -> dict[str, Law]:
    """The laws in a file, by name, in order."""
    return {name: one for name, one in vars(module).items() if inspect.isfunction(one) and hasattr(one, "is_law")}


def words(name: str) -> str:
    """A law's name as text."""
    return name.replace("_", " ")


def rng(seed: int = 0) -> Generator:
    """A new random stream."""
    return torch.Generator().manual_seed(seed)


def require(holds: Any, what: str) -> None:
    """Raise Broken unless it holds."""
    if not holds:
        raise Broken(what)


def shaped(method: str, got: Any, letters: str, shape: Sequence[int], dtype: torch.dtype) -> None:
    """Check that a method returned a tensor with this shape (in letters such as [B, A]) and dtype."""
    if isinstance(got, Tensor) and got.shape == tuple(shape) and got.dtype == dtype:
        return
    came = f"{list(got.shape)} {_name(got.dtype)}" if isinstance(got, Tensor) else type(got).__name__
    raise Broken(f"{method} returned {came}; expected {letters} = {list(shape)} {_name(dtype)}")


def finite(method: str, got: Tensor, when: str = "") -> None:
    """Check that there is no infinite or NaN entry."""
    if not (fine := torch.as_tensor(got).isfinite()).all():
        raise Broken(f"{method}: {int((~fine).sum())} of {fine.numel()} numbers are infinite or NaN{when}")


def within(what: str, measured: Any, expected: Any, room: Any) -> None:
    """Check that each entry of `measured` differs from the expected one by at most `room`; reports the worst entry."""
    given = (torch.as_tensor(one).detach() for one in (measured, expected, room))
    measured, expected, room = torch.broadcast_tensors(*given)
    off = (measured.double() - expected.double()).abs()
    if (off <= room).all():
        return
    # find the worst entry; NaN counts as worst
    worst = int((off - room).nan_to_num(nan=torch.inf).flatten().argmax())
    place = [int(i) for i in np.unravel_index(worst, measured.shape)] if measured.ndim else []
    came, meant, most = (float(x.flatten()[worst]) for x in (measured, expected, room))
    where = f" at {place}" if place else ""
    raise Broken(f"{what}: {came:.6g}{where}, expected {meant:.6g} to within {most:.2g}")


def differentiable(method: str, function: Callable[[Tensor], Tensor], at: Tensor) -> None:
    """Check a function's gradient at a float64 point that requires it against finite differences."""
    try:
        gradcheck(function, at)
    except GradcheckError as error:
        raise Broken(f"{method}: {' '.join(str(error).split())[:300]}") from None


def same(what: str, one: Tensor, other: Tensor) -> None:
    """Check that two tensors are bit-identical."""
    if one.shape != other.shape:
        raise Broken(f"{what}: shapes {list(one.shape)} and {list(other.shape)}")
    if not torch.equal(one, other):
        differ = ~(one == other)
        first = [int(i) for i in differ.nonzero()[0]]
        raise Broken(f"{what}: {int(differ.sum())} of {differ.numel()} numbers differ, first {first}")


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
