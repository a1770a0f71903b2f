"""A task that breaks its contract is an error that names the method, before anything is made."""

import types
from typing import Any, ClassVar

import numpy as np
import pgcontrol_envs
import pytest
import torch
from pgcontrol_envs import contract
from pgcontrol_envs.task import Camera, Task, TaskError
from pgcontrol_envs.tasks.hopper import Hopper
from pgcontrol_envs.vector import TaskVecEnv


def with_terms(**more: Any):
    """Hopper's reward with other terms."""
    return lambda self, *args: (Hopper.reward(self, *args)[0], Hopper.reward(self, *args)[1] | more)


def rewarding(change):
    """A reward that differs from Hopper's."""
    return lambda self, *args: (change(Hopper.reward(self, *args)[0]), Hopper.reward(self, *args)[1])


BREAKS: list[tuple[str, Any, str | None]] = [
    ("observe", lambda self: Hopper.observe(self).astype(np.float32), r"[3, 11] float32; expected [N, O] = [3, 11] f"),
    ("observe", lambda self: Hopper.observe(self)[0], "returned [11] float64; expected [N, O] = [3, O] float64"),
    ("observe", lambda self: Hopper.observe(self).tolist(), "returned list; expected [N, O]"),
    (
        "observe",
        lambda self: self.velocity,
        "returned the same memory twice: a view or buffer that changes; return a copy",
    ),
    ("observe", lambda self: np.full((len(self.velocity), 2), np.inf), "infinite or NaN values in the columns [0, 1]"),
    ("observe", lambda self: self.speed, "line "),
    ("meters", lambda self: {"m/s": np.zeros(3)}, "'m/s': returned [3] float64; expected [N, 2] = [3, 2] numbers"),
    ("reward", lambda self, *_: 1.0, "returned float (1.0); expected a tuple of the rewards [N] and a dict of their"),
    ("reward", rewarding(lambda r: r.sum()), "returned one float64 ("),
    ("reward", rewarding(lambda r: r[:, None]), "returned [3, 1] float64; expected [N] = [3] float64"),
    ("reward", rewarding(lambda r: r.astype(np.float32)), "returned [3] float32; expected [N] = [3] float64"),
    ("reward", rewarding(torch.from_numpy), "returned Tensor; expected [N] = [3] float64"),
    ("reward", with_terms(bonus=1.0), "the term 'bonus': returned float (1.0); expected [N] = [3] numbers"),
    ("reward", with_terms(bonus=np.zeros(3)), "the term 'bonus': returned the same memory twice"),
    ("terminated", lambda self: self.height < 0.7, None),
    ("terminated", lambda self: 1 * (self.height < 0.7), "returned [3] int64; expected [N] = [3] bool"),
    ("terminated", lambda self: False, "returned bool (False); expected [N] = [3] bool"),
    ("before", lambda self: 0.5, "returned float (0.5); expected [N, ...] = [3] numbers"),
    ("before", lambda self: self.velocity.sum(0), "returned [6] float64; expected [N, ...] = [3] numbers"),
    ("reset", lambda self, physics, ids, rng: physics.qvel[ids] + rng.normal(99), "line "),
    ("bind", lambda self, physics: physics.bind("xpos"), "ValueError: 'xpos' is not bound"),
    ("frame_skip", None, "defines no frame_skip"),
    ("frame_skip", 2.5, "frame_skip: expected a whole number, at least 1, got 2.5"),
    ("time_limit", 0, "time_limit: expected a whole number, at least 1, got 0"),
    ("camera", Camera(track="torsoo"), "tracks 'torsoo'; the bodies are world, torso, thigh"),
]


def spoilt(name: str, value: Any) -> type[Task]:
    members: dict[str, Any] = {"id": "Spoilt-v0", name: value, "__module__": __name__}
    cls: Any = types.new_class("Spoilt", (Hopper,), {}, lambda body: body.update(members))
    return cls


@pytest.mark.parametrize(("name", "value", "says"), BREAKS, ids=[f"{i}-{b[0]}" for i, b in enumerate(BREAKS)])
def test_what_came_and_what_was_expected(name, value, says):
    cls = Bare if (name, value) == ("frame_skip", None) else spoilt(name, value)
    if says is None:
        TaskVecEnv(cls, 2)
        return
    with pytest.raises(TaskError) as error:
        TaskVecEnv(cls, 2)
    assert str(error.value).startswith(cls.__name__)
    assert says in str(error.value)
    assert name in str(error.value)
    assert "\n" not in str(error.value)


class Bare(Task):
    id = "Bare-v0"
    xml = "hopper.xml"

    def bind(self, physics): ...

    def observe(self): ...

    def reward(self, action, before, terminated):
        return np.zeros(3), {}


def test_a_misspelt_observe_is_missed():
    methods = {name: value for name, value in vars(Bare).items() if name != "observe"} | {"id": "Spoilt-v0"}
    cls: Any = type("Spoilt", (Task,), methods | {"frame_skip": 1, "obsreve": Bare.observe})
    with pytest.raises(TaskError, match=r"^Spoilt.observe: is not defined, and the default needs that `bind` calls"):
        TaskVecEnv(cls, 2)


def test_missing_methods_are_named():
    class Empty(Task):
        id = "Empty-v0"

    with pytest.raises(TaskError, match=r"^Empty: defines no reward$"):
        TaskVecEnv(Empty, 2)  # pyright: ignore[reportAbstractUsage]


class Counted(Hopper):
    id = "Counted-v0"
    made: ClassVar[list[int]] = []

    def bind(self, physics):
        self.made.append(len(physics.qpos))
        super().bind(physics)


def test_the_contract_is_checked_once_per_class():
    for num_envs in (5, 6):
        TaskVecEnv(Counted, num_envs)
    assert Counted.made == [contract.N, 5, 6]


def test_a_task_walks_as_without_it():
    ours, theirs = pgcontrol_envs.make("Hopper-v5", 2), TaskVecEnv(Counted, 2)
    assert torch.equal(ours.reset(), theirs.reset())
    action = torch.full((2, 3), 0.5)
    assert torch.equal(ours.step(action).obs, theirs.step(action).obs)
