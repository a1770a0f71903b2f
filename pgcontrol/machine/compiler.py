"""Compiling an update rule's step: when it pays, how, and where the compiled code is kept."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

SECONDS_TO_COMPILE = 20.0
"""What compiling a run's graphs, the gradient step and the policy's call, costs the first time."""
SECONDS_SAVED = 1.2e-3
"""What they save a gradient step (1.0 to 1.2 ms measured, minibatch 64 to 256; acting: 0.1 ms)."""


def decide(mode: str, gradient_steps: int) -> bool:
    """Whether a run should compile its step.

    `auto` compiles when the run is long enough to earn back what compiling costs cold, and a C++ compiler is there.
    What the cache holds plays no part: compiled and eager weights differ by rounding, and the same config must give
    the same weights.

    Args:
        mode: `--compile`: auto, on or off.
        gradient_steps: how many the run will make.
    """
    if mode != "auto":
        return mode == "on"
    return compiler() is not None and gradient_steps * SECONDS_SAVED > SECONDS_TO_COMPILE


def compiler() -> str | None:
    """The C++ compiler that torch would find, or None."""
    return next(
        (found for name in (os.environ.get("CXX"), "g++", "clang++") if name and (found := shutil.which(name))), None
    )


def _tanh(x: Tensor) -> Tensor:
    """tanh x = 1 − 2 / (e^2x + 1): the compiler's own tanh costs four times as much; both err by some 1e-7."""
    return 1 - 2 / (torch.exp(2 * x) + 1)


CHEAPER = {torch.ops.aten.tanh.default: _tanh}
"""Operations that a compiled graph computes in another way."""


class Graph:
    """A pure function of tensors, traced operation by operation at its first call and compiled for those shapes.

    The function may differentiate inside (`torch.autograd.grad`) and gives a tuple of tensors. Every call must bring
    the shapes of the first. Tracing below the modules, without torch.compile's front end, spares every call the guards
    (0.1 ms here), and every start most of the time that a warm cache leaves.
    """

    def __init__(self, function: Callable[..., tuple[Tensor, ...]], state: Sequence[Tensor] = ()):
        """`state`: tensors that the function reads besides its arguments; changed in place, they are read anew."""
        self.function = function
        self.state = list(state)
        self._compiled: Callable[..., Any] | None = None

    def __call__(self, *args: Tensor) -> tuple[Tensor, ...]:
        """`function(*args)`."""
        if self._compiled is None:
            self._compiled = self._compile(args)
        with torch.no_grad():
            return self._compiled(*args, *self.state)

    def trace(self, *args: Tensor) -> Any:
        """What will be compiled, as it runs uncompiled: a function of `args` and then `state`."""
        from torch.fx.experimental.proxy_tensor import make_fx

        # the tracer knows tensors by identity: what `function` reads of `state` becomes an input, not a constant
        with torch.no_grad():
            return make_fx(lambda *all: self.function(*all[: len(args)]), decomposition_table=CHEAPER)(
                *args, *self.state
            )

    def _compile(self, args: tuple[Tensor, ...]) -> Callable[..., Any]:
        _use_cache()
        # only runs that compile pay for importing the compiler, a second
        from torch._inductor import config, standalone_compile

        args = tuple(x.detach().clone() for x in args)  # rows of a larger tensor must not pass on their offset
        with torch.no_grad(), config.patch(cpp_wrapper=True):
            return standalone_compile(self.trace(*args), [*args, *self.state], dynamic_shapes="from_example_inputs")


def _use_cache() -> None:
    """Point torch's compiler at the user's cache folder, where compiled code outlives a reboot."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(cache / "pgcontrol" / "inductor"))
