"""Settings of a task, by name."""

from typing import Any

import numpy as np
import pgcontrol_envs
import pytest
import torch
from pgcontrol_envs import contract
from pgcontrol_envs.legged import Legged
from pgcontrol_envs.names import join
from pgcontrol_envs.settings import configured
from pgcontrol_envs.task import TaskError
from pgcontrol_envs.tasks.go1 import Go1
from pgcontrol_envs.tasks.hopper import Hopper
from pgcontrol_envs.values import explained, keywords

TASKS = pgcontrol_envs.catalog()


def settings(name: str) -> dict[str, Any]:
    """A task's settings, by name."""
    return {key: getattr(TASKS[name], own) for key, own in keywords(TASKS[name]).items()}


def other(value: Any) -> Any:
    """Another value of the same type, close to it."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, tuple):
        return (value[0], value[1] + 0.1)
    if isinstance(value, dict):
        return {key: other(number) for key, number in value.items()}
    return value if isinstance(value, str) else value + (1 if isinstance(value, int) else 0.01)


def walk(name: str) -> list[torch.Tensor]:
    env = pgcontrol_envs.make(name, 2, seed=3, threads=1)
    rng, seen = torch.Generator().manual_seed(0), [env.reset()]
    for _ in range(20):
        action = env.action_low + (env.action_high - env.action_low) * torch.rand(2, len(env.action_low), generator=rng)
        step = env.step(action)
        seen += [step.obs, step.reward]
        if (over := step.terminated | step.truncated).any():
            seen.append(env.reset(over))
    return seen


def test_what_is_set_to_its_default_changes_no_bit(task):
    plain, said = walk(task), walk(join(task, settings(task)))
    assert all(torch.equal(one, other) for one, other in zip(plain, said, strict=True))


def test_what_is_set_is_set_and_nothing_else(task):
    default = settings(task)
    for key, value in default.items():
        named = join(task, {key: other(value)})
        found = pgcontrol_envs.find(named)
        now = {key: getattr(found, own) for key, own in keywords(found).items()}
        assert now == default | {key: other(value)}
        assert found.id == named
        assert type(now[key]) is type(value)
    assert settings(task) == default


@pytest.mark.parametrize("name", TASKS)
def test_every_setting_is_explained(name):
    said = explained(TASKS[name])
    assert [key for key, own in keywords(TASKS[name]).items() if not said.get(own)] == []


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("Go1-v0?kpp=3", "Go1-v0: unknown argument 'kpp': did you mean kp?"),
        ("Go1-v0?kp=fast", "Go1-v0: kp: expected a number from 0 to 100000, got 'fast'"),
        ("Go1-v0?kp=-1", "Go1-v0: kp: expected a number from 0 to 100000, got -1"),
        ("Go1-v0?kp=NaN", "Go1-v0: kp: expected a number from 0 to 100000, got nan"),
        ("Go1-v0?every=0", "Go1-v0: every: expected a number from 0.02 to 1000, got 0"),
        (
            "Go1-v0?speeds=2,1",
            r"Go1-v0: speeds: expected two numbers in ascending order from -1000 to 1000, got \[2, 1\]",
        ),
        ("Go1-v0?friction=-1,1", r"friction: expected two numbers in ascending order from 0 to 1000, got \[-1, 1\]"),
        ("Go1-v0?every=Infinity", "Go1-v0: every: expected a number from 0.02 to 1000, got inf"),
        ("Go1-v0?standing=2", "Go1-v0: standing: expected a number from 0 to 1, got 2"),
        ("Go1-v0?scale=0", "Go1-v0: scale: expected a number from 0.01 to 1000, got 0"),
        (
            "Go1-v0?speeds=-Infinity,1",
            r"speeds: expected two numbers in ascending order from -1000 to 1000, got \[-inf, 1\]",
        ),
        ("Go1-v0?load=-9,0", "load: expected more than takes away all of the trunk's mass"),
        ("Go1-v0?frame_skip=2.5", "frame_skip: expected a whole number from 1 to 10000, got 2.5"),
        ("Go1-v0?xml_file=x.xml", "unknown argument 'xml_file'"),
        ("Hopper-v5?terminate_when_unhealthy=1", "terminate_when_unhealthy: expected True or False, got 1"),
        ("Hopper-v5?xml_file=none.xml", "model 'none.xml': no such file"),
    ],
)
def test_what_cannot_be_is_one_line(name, says):
    with pytest.raises(ValueError, match=says) as error:
        pgcontrol_envs.make(name, 1)
    assert "\n" not in str(error.value)


def own(base, **attributes):
    """A task of a plug-in."""
    return type("Own", (base,), {"id": "Own-v0", "__module__": __name__} | attributes)


@pytest.mark.parametrize(
    ("attributes", "setting", "value"),
    [
        ({"delay": 0}, "delay", 3),
        ({"gain": np.float64(0.1)}, "gain", 0.25),
        ({"span": [0.1, 0.2]}, "span", (0.3, 0.4)),
        ({"gain": 1}, "gain", 2),
    ],
)
def test_a_plug_in_has_settings_with_any_default(attributes, setting, value):
    task = own(Hopper, settings=(setting,), **attributes)
    contract.check(task)
    changed = configured(task, {setting: value})
    assert getattr(changed, setting) == value
    contract.check(changed)


def test_a_subclass_can_make_a_fraction_of_a_whole_number():
    task = own(own(Hopper, settings=("gain",), gain=1), gain=0.5)
    contract.check(task)
    changed: Any = configured(task, {"gain": 0.25})
    assert changed.gain == 0.25


def test_a_default_that_cannot_be_a_setting_is_refused_when_it_is_set():
    task = own(Hopper, settings=("names",), names={"a"})
    contract.check(task)
    with pytest.raises(TaskError, match=r"^Own-v0: names: a set cannot be a setting; use True or False, a whole"):
        configured(task, {"names": 3})


def test_a_reward_of_its_own_has_weights_of_its_own():
    weights = {**Go1.weights, "upright": 0.3}
    contract.check(own(Go1, weights=weights, reward=lambda self, *args: Legged.reward(self, *args)))
    with pytest.raises(TaskError, match=r"^Own-v0: weights: unknown name 'upright'"):
        contract.check(own(Go1, weights=weights))
