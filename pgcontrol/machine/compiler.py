"""Compiling an update rule's step: when it pays, how, and where the compiled code is kept."""

import atexit
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pgcontrol.machine import trees
from pgcontrol.text import one_line

SECONDS_TO_COMPILE = 20.0  # a run's graphs, the gradient step and the policy's call, for the first time
SECONDS_SAVED = 1.2e-3  # by them in a gradient step (1.0 to 1.2 ms measured, minibatch 64 to 256; acting: 0.1 ms)

Function = Callable[..., Any]


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
    return next(filter(None, map(shutil.which, (os.environ.get("CXX", ""), "g++", "clang++"))), None)


def cache() -> Path:
    """The user's folder for compiled code, which outlives a reboot; without one, a folder for this process alone."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"))
    folder = home / "pgcontrol" / "inductor"
    try:
        if not home.is_absolute():  # nobody's home is known
            raise OSError
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError:
        made = Path(tempfile.mkdtemp(prefix="pgcontrol-"))
        atexit.register(shutil.rmtree, made, ignore_errors=True)
        return made


def _tanh(x: Tensor) -> Tensor:
    """tanh x = 1 − 2 / (e^2x + 1): the compiler's own tanh costs four times as much; both err by some 1e-7."""
    return 1 - 2 / (torch.exp(2 * x) + 1)


CHEAPER = {torch.ops.aten.tanh.default: _tanh}  # operations that a compiled graph computes in another way


class Compilation:
    """Whether the functions of one run are compiled: all of them, or none as soon as one cannot be.

    So one word in a manifest says how a run computes.
    """

    def __init__(self, wanted: bool):
        self.on = wanted

    def __call__(self, function: Function, state: Sequence[Tensor] = ()) -> Function:
        """`function` as it is, or as a `Graph` where functions are compiled."""
        return Graph(function, state, self) if self.on else function


EAGER = Compilation(False)  # nothing is compiled


class Graph:
    """A pure function of tensors, traced operation by operation at its first call and compiled for those shapes.

    The function may differentiate inside (`torch.autograd.grad`). It takes and gives tensors and (named) tuples of
    them. Every call must bring the shapes of the first. Tracing below the modules, without torch.compile's front end,
    spares every call the guards, and every start most of the time that a warm cache leaves. That part of torch may
    change with any release: what then fails to compile runs as it is, with a warning.
    """

    def __init__(self, function: Function, state: Sequence[Tensor] = (), compilation: Compilation | None = None):
        """`state`: tensors that the function reads besides its arguments; changed in place, they are read anew."""
        self.function = function
        self.state = list(state)
        self.compilation = compilation or Compilation(True)
        self._compiled: Function | None = None
        self._result: Any = None  # an iterator of tensors -> what the function gives

    def __call__(self, *args: Any) -> Any:
        """`function(*args)`."""
        if not self.compilation.on:
            return self.function(*args)
        if self._compiled is not None:
            return self._call(args)
        try:
            self._compiled = self._compile(args)
            return self._call(args)
        except Exception as error:  # torch promises nothing here
            self.compilation.on = False
            reason = one_line(f"{type(error).__name__}: {error}", 200)
            trouble = f"torch {torch.__version__} cannot compile this run, which goes on slower"
            warnings.warn(f"{trouble}: {reason}", stacklevel=2)
            return self.function(*args)

    def _call(self, args: tuple[Any, ...]) -> Any:
        assert self._compiled is not None
        with torch.no_grad():
            return self._result(iter(self._compiled(*trees.leaves(args), *self.state)))

    def trace(self, *args: Any) -> Any:
        """What will be compiled, as it runs uncompiled: a function of the tensors in `args` and then of `state`."""
        from torch.fx.experimental.proxy_tensor import make_fx

        given = trees.leaves(args)

        def function(*tensors: Tensor) -> list[Tensor]:
            result = self.function(*trees.like(args, iter(tensors[: len(given)])))
            self._result = trees.shape_of(result)
            return trees.leaves(result)

        # the tracer knows tensors by identity: what `function` reads of `state` becomes an input, not a constant
        with torch.no_grad():
            return make_fx(function, decomposition_table=CHEAPER)(*given, *self.state)

    def _compile(self, args: tuple[Any, ...]) -> Function:
        if "TORCHINDUCTOR_CACHE_DIR" not in os.environ:
            os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(cache())
        # only runs that compile pay for importing the compiler, a second
        from torch._inductor import config, standalone_compile

        # rows of a larger tensor must not pass on their offset
        args = trees.each(lambda x: x.detach().clone(), args)
        with torch.no_grad(), config.patch(cpp_wrapper=True):
            inputs: list[Any] = [*trees.leaves(args), *self.state]
            return standalone_compile(self.trace(*args), inputs, dynamic_shapes="from_example_inputs")
