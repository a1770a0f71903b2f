"""Compiles the step of an update rule: decides whether it pays, and stores the compiled code."""

import atexit
import logging
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pgcontrol.machine import instructions, trees
from pgcontrol.machine.files import checksum
from pgcontrol.text import one_line

SECONDS_TO_COMPILE = 20.0  # for a run's graphs (the gradient step and acting), without a cache
# per gradient step (measured: 1.0 to 1.2 ms for PPO with minibatches of 64 to 256, 0.7 to 0.9 ms for a critic alone;
# acting: 0.1 ms)
SECONDS_SAVED = 1.2e-3

Function = Callable[..., Any]


def decide(mode: str, gradient_steps: int) -> bool:
    """Whether a run should compile its step.

    `auto` compiles if the run is long enough to save the time of a cold compilation, and if there is a C++ compiler.
    The cache's content is ignored: compiled and eager weights differ by rounding, and the same config must give the
    same weights.

    Args:
        mode: `--compile`: auto, on or off.
        gradient_steps: number of gradient steps of the run.
    """
    if mode != "auto":
        return mode == "on"
    return compiler() is not None and gradient_steps * SECONDS_SAVED > SECONDS_TO_COMPILE


def compiler() -> str | None:
    """The C++ compiler that torch would use, or None."""
    return next(filter(None, map(shutil.which, (os.environ.get("CXX", ""), "g++", "clang++"))), None)


def cache() -> Path:
    """The user's cache folder for compiled code; if there is none, a temporary folder for this process.

    Each kind of processor has its own. torch finds its code by the graph alone: code for vectors of another width would
    be used, and give NaN, if machines share the user's home.
    """
    home = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"))
    kind = checksum(f"{instructions.used()} {instructions.features()}")[:12]
    folder = home / "pgcontrol" / "inductor" / kind
    try:
        if not home.is_absolute():  # the home folder is unknown
            raise OSError
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError:
        made = Path(tempfile.mkdtemp(prefix="pgcontrol-"))
        atexit.register(shutil.rmtree, made, ignore_errors=True)
        return made


def _tanh(x: Tensor) -> Tensor:
    """tanh x = 1 − 2 / (e^2x + 1): four times as fast as the compiler's own tanh; errors of both are about 1e-7."""
    return 1 - 2 / (torch.exp(2 * x) + 1)


CHEAPER = {torch.ops.aten.tanh.default: _tanh}  # replacements of operations in a compiled graph


class Compilation:
    """Whether the functions of one run are compiled: all of them, or none as soon as one fails.

    So a single value in the manifest describes the run.
    """

    def __init__(self, wanted: bool):
        self.on = wanted

    def __call__(self, function: Function, state: Sequence[Tensor] = ()) -> Function:
        """`function` itself, or a `Graph` of it if compilation is on."""
        return Graph(function, state, self) if self.on else function


EAGER = Compilation(False)  # nothing is compiled


class Graph:
    """A pure function of tensors, traced operation by operation at its first call and compiled for those shapes.

    The function may differentiate inside (`torch.autograd.grad`). Arguments and results are tensors and (named) tuples
    of them. Every call must have the shapes of the first one. Tracing below the modules, without torch.compile's front
    end, avoids guards in every call and most of the start-up time with a warm cache. This part of torch may change with
    any release: a function that cannot be compiled runs uncompiled, with a warning.
    """

    def __init__(self, function: Function, state: Sequence[Tensor] = (), compilation: Compilation | None = None):
        """`state`: tensors that the function reads in addition to its arguments. They may be changed in place."""
        self.function = function
        self.state = list(state)
        self.compilation = compilation or Compilation(True)
        self._compiled: Function | None = None
        self._result: Any = None  # an iterator of tensors -> the function's result

    def __call__(self, *args: Any) -> Any:
        """`function(*args)`."""
        if not self.compilation.on:
            return self.function(*args)
        if self._compiled is not None:
            return self._call(args)
        try:
            self._compiled = self._compile(args)
            return self._call(args)
        except Exception as error:  # torch gives no guarantees here
            self.compilation.on = False
            reason = one_line(f"{type(error).__name__}: {error}", 200)
            trouble = f"torch {torch.__version__} cannot compile this run, which continues uncompiled and slower"
            warnings.warn(f"{trouble}: {reason}", stacklevel=2)
            return self.function(*args)

    def _call(self, args: tuple[Any, ...]) -> Any:
        assert self._compiled is not None
        with torch.no_grad():
            return self._result(iter(self._compiled(*trees.leaves(args), *self.state)))

    def trace(self, *args: Any) -> Any:
        """The function to compile, in uncompiled form; its inputs are the tensors of `args`, then `state`."""
        from torch.fx.experimental.proxy_tensor import make_fx

        given = trees.leaves(args)

        def function(*tensors: Tensor) -> list[Tensor]:
            result = self.function(*trees.like(args, iter(tensors[: len(given)])))
            self._result = trees.shape_of(result)
            return trees.leaves(result)

        # the tracer identifies tensors by identity: tensors of `state` become inputs, not constants
        with torch.no_grad():
            return make_fx(function, decomposition_table=CHEAPER)(*given, *self.state)

    def _compile(self, args: tuple[Any, ...]) -> Function:
        if "TORCHINDUCTOR_CACHE_DIR" not in os.environ:
            os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(cache())
        # it warns of a missing GPU if there is a CUDA toolkit; we compile for the CPU
        logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)
        # imported late: importing the compiler takes a second
        from torch._inductor import config, standalone_compile

        # copies, because views of a larger tensor would include their offset
        args = trees.each(lambda x: x.detach().clone(), args)
        with torch.no_grad(), config.patch(cpp_wrapper=True):
            inputs: list[Any] = [*trees.leaves(args), *self.state]
            return standalone_compile(self.trace(*args), inputs, dynamic_shapes="from_example_inputs")
