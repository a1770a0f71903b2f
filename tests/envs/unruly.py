"""An environment that misbehaves on command: it keeps Gymnasium's contract in an unusual way, or breaks it."""

import os
import random
import types
import warnings
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium.spaces import Box

Kinds = dict[str, Callable[[Any], Any]]

# what may be said, and what breaks the contract: from the observation [3], the reward and a flag as they are meant
SAID: dict[str, tuple[Kinds, Kinds]] = {
    "obs": (
        {
            "usual": lambda x: x,
            "double": lambda x: x.astype(np.float64),
            "half": lambda x: x.astype(np.float16),
            "whole": lambda x: (10 * x).astype(np.int8),
            "truth": lambda x: x > 0,
            "list": lambda x: x.tolist(),
            "tuple": tuple,
            "strided": lambda x: np.repeat(x, 2)[::2],
            "backwards": lambda x: x[::-1],
            "foreign bytes": lambda x: x.astype(">f4"),
            "tensor": torch.from_numpy,
            "memoryview": memoryview,
            "masked": lambda x: np.ma.array(x, mask=False),
            "read-only": lambda x: np.broadcast_to(x[0], 3),
            "beyond the box": lambda x: 1e6 * x,
        },
        {
            "too short": lambda x: x[:2],
            "one number": lambda x: x[:1],
            "a matrix": lambda x: x[:, None],
            "a scalar": lambda x: float(x[0]),
            "None": lambda x: None,
            "text": lambda x: "abc",
            "dict": lambda x: {"obs": x},
            "objects": lambda x: np.array([None, *x[1:]]),
            "complex": lambda x: x * 1j,
            "ragged": lambda x: [[1.0], [2.0, 3.0], 4.0],
            "NaN": lambda x: x * np.nan,
            "infinite": lambda x: np.full(3, np.inf),
        },
    ),
    "reward": (
        {
            "usual": lambda r: r,
            "whole": lambda r: 3,
            "truth": lambda r: True,
            "float32": np.float32,
            "longdouble": np.longdouble,
            "int8": lambda r: np.int8(3),
            "0-d": np.array,
            "array of one": lambda r: np.array([r]),
            "matrix of one": lambda r: np.array([[r]]),
            "fraction": lambda r: Fraction(1, 3),
            "tensor": torch.tensor,
            "tensor with a slope": lambda r: torch.tensor(r, dtype=torch.float64, requires_grad=True),
            "decimal": lambda r: Decimal("0.5"),
            "half": np.float16,
            "object": lambda r: np.array(r, dtype=object),
            "masked": lambda r: np.ma.array(r, mask=False),
        },
        {
            "None": lambda r: None,
            "too large": lambda r: 10**400,
            "missing": lambda r: np.ma.masked,
            "two numbers": lambda r: np.array([r, r]),
            "no number": lambda r: np.array([]),
            "text": lambda r: "1.0",
            "dict": lambda r: {"reward": r},
            "complex": lambda r: 1j,
            "NaN": lambda r: np.nan,
            "infinite": lambda r: -np.inf,
        },
    ),
    "flag": (
        {
            "usual": lambda f: f,
            "NumPy's": np.bool_,
            "whole": int,
            "float": float,
            "0-d": np.array,
            "array of one": lambda f: np.array([f]),
            "tensor": torch.tensor,
        },
        {
            "None": lambda f: None,
            "two": lambda f: np.array([f, f]),
            "text": lambda f: "False",
            "NaN": lambda f: np.nan,
        },
    ),
    "info": (
        {
            "usual": lambda i: {},
            "number": lambda i: {"reward_run": 0.5},
            "NumPy's number": lambda i: {"reward_run": np.float32(0.5)},
            "dict": lambda i: {"rewards": {"speed": 0.1}},
            "text": lambda i: {"reward_type": "sparse"},
            "None": lambda i: {"reward_bonus": None},
            "array": lambda i: {"reward_each": np.ones(4)},
            "function": lambda i: {"reward_function": lambda: 1},
            "key of another type": lambda i: {3: 1.0, ("reward", 1): 2.0},
            "another mapping": lambda i: types.MappingProxyType({"reward_run": 1.0}),
        },
        {
            "nothing": lambda i: None,
            "list": lambda i: [1.0],
            "only text": lambda i: "info",
        },
    ),
    "answer": (
        {"usual": lambda a: a, "list": list},
        {
            "None": lambda a: None,
            "alone": lambda a: a[0],
            "one short": lambda a: a[:-1],
            "one more": lambda a: (*a, None),
            "error": lambda a: 1 / 0,
            "assertion": lambda a: np.testing.assert_equal(1, 2),
            "exit": lambda a: exit(3),
        },
    ),
}

STREAMS: dict[str, Callable[[int], Any]] = {
    "PCG64": lambda seed: np.random.Generator(np.random.PCG64(seed)),
    "PCG64DXSM": lambda seed: np.random.Generator(np.random.PCG64DXSM(seed)),
    "MT19937": lambda seed: np.random.Generator(np.random.MT19937(seed)),
    "Philox": lambda seed: np.random.Generator(np.random.Philox(seed)),
    "SFC64": lambda seed: np.random.Generator(np.random.SFC64(seed)),
    "RandomState": lambda seed: np.random.RandomState(seed),
}
DTS: dict[str, Any] = {
    "0.05": 0.05,
    "float32": np.float32(0.05),
    "0-d": np.array(0.05),
    "text": "fast",
    "None": None,
    "zero": 0,
    "negative": -1.0,
    "NaN": np.nan,
    "infinite": np.inf,
    "function": lambda: 0.05,
    "array": np.ones(3),
}


PICTURES: Kinds = {
    "usual": lambda x: x,
    "with alpha": lambda x: np.concatenate([x, np.full_like(x[..., :1], 255)], -1),
    "nothing": lambda x: None,
    "list": lambda x: [x],
    "grey": lambda x: x[..., 0],
    "one channel": lambda x: x[..., :1],
    "shares": lambda x: x / 255,
    "error": lambda x: 1 / 0,
}
# what an environment may change of the process around it
AROUND: dict[str, Callable[[], Any]] = {
    "usual": lambda: None,
    "default dtype": lambda: torch.set_default_dtype(torch.float64),
    "slopes": lambda: torch.set_grad_enabled(False),
    "threads": lambda: torch.set_num_threads(2),
    "seeds": lambda: (random.seed(0), np.random.seed(0), torch.manual_seed(0)),
    "NumPy's errors": lambda: np.seterr(all="raise"),
    "warnings": lambda: warnings.simplefilter("error"),
    "folder": lambda: os.chdir("/"),
}


class Dice(random.Random):
    """No stream of NumPy's."""

    def uniform(self, a, b, size):  # type: ignore[reportIncompatibleMethodOverride]
        return [a + (b - a) * self.random() for _ in range(size)]


class Unruly(gymnasium.Env):
    """Says things of a kind by `SAID`, from step number `begins` on (0: the reset), and as usual before."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 20}  # noqa: RUF012
    observation_space = Box(-1, 1, (3,))
    action_space = Box(-1, 1, (2,))
    taken: Any = None  # the last action of any

    def __init__(
        self,
        begins=0,
        stream="PCG64",
        dt="0.05",
        least_seed_refused=None,
        dies=None,
        render_mode=None,
        picture="usual",
        around="usual",
        close_raises=False,
        **kinds,
    ):
        self.begins, self.stream, self.kinds, self.render_mode = begins, stream, kinds, render_mode
        self.refused, self.dies, self.picture, self.close_raises = least_seed_refused, dies, picture, close_raises
        self.change = AROUND[around]
        self.change()
        if dt == "error":
            Unruly.dt = property(lambda self: 1 / 0)  # type: ignore[reportAttributeAccessIssue]
        else:
            Unruly.dt = DTS[dt]  # type: ignore[reportAttributeAccessIssue]

    def _say(self, what: str, value: Any) -> Any:
        kind = self.kinds.get(what, "usual") if self.count >= self.begins else "usual"
        legal, broken = SAID[what]
        return (legal | broken)[kind](value)

    def _observe(self) -> Any:
        self.memory = getattr(self, "memory", np.zeros(3, np.float32))  # the same one every time
        self.memory[:] = self.source.uniform(-1, 1, 3)
        return self._say("obs", self.memory)

    def reset(self, *, seed=None, options=None):
        self.count = 0
        if seed is not None:
            if self.refused is not None and seed >= self.refused:
                raise OverflowError("Python int too large to convert to C int")
            if self.stream == "Python's":
                self.source = Dice(seed)
            else:
                self.source = STREAMS[self.stream](seed)
            self.np_random = self.source  # type: ignore[reportAttributeAccessIssue]
        return self._say("answer", (self._observe(), self._say("info", {})))

    def step(self, action):
        assert self.action_space.contains(action)
        self.change()
        Unruly.taken = action
        self.count += 1
        if self.count == self.dies:
            os._exit(7)
        obs, over = self._observe(), self._say("flag", False)
        reward = self._say("reward", float(self.memory[0]))
        return self._say("answer", (obs, reward, over, self._say("flag", False), self._say("info", {})))

    def render(self):
        return PICTURES[self.picture](np.tile(np.arange(160, dtype=np.uint8)[None, :, None], (120, 1, 3)))

    def close(self):
        if self.close_raises:
            exit(5)


class Bounded(Unruly):
    """Actions in another box; an action outside it is an error."""

    def __init__(self, low, high, dtype="float32", **said):
        super().__init__(**said)
        self.action_space = Box(np.array(low, dtype), np.array(high, dtype), dtype=np.dtype(dtype).type)


class Engine(Unruly):
    """A process can hold only one."""

    def __init__(self, **said):
        if Engine.there:
            raise PermissionError("only one engine a process")
        Engine.there = True
        super().__init__(**said)

    there = False

    def close(self):
        Engine.there = False


class Matrix(Unruly):
    """Matrices as observations and as actions of whole numbers."""

    observation_space = Box(0, 255, (4, 5), np.uint8)
    action_space = Box(-1, 1, (2, 3), np.int8)

    def _observe(self):
        return self.np_random.integers(0, 256, (4, 5), np.uint8)

    def step(self, action):
        assert self.action_space.contains(action)
        return self._observe(), float(action.sum()), False, False, {}


class Plain(Unruly):
    """Draws one colour."""

    def render(self):
        return np.full((120, 160, 3), 200, np.uint8)


class Learned(Unruly):
    """Its model and its data are not MuJoCo's."""

    def __init__(self, **said):
        super().__init__(**said)
        self.model, self.data = torch.nn.Linear(5, 3), types.SimpleNamespace(qpos="n/a")


def make(**said) -> Unruly:
    return Unruly(**said)


for name in ("Unruly", "Bounded", "Engine", "Matrix", "Plain", "Learned"):
    gymnasium.register(f"{name}-v0", f"{__name__}:{name}", max_episode_steps=9)
gymnasium.register("Function-v0", make, max_episode_steps=9)  # type: ignore[reportArgumentType]
gymnasium.register("Endless-v0", f"{__name__}:Unruly")
