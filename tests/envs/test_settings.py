"""Settings of a task, by name."""

from typing import Any

import pgcontrol_envs
import pytest
import torch
from pgcontrol_envs.names import join
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


@pytest.mark.parametrize("name", TASKS)
def test_what_is_set_to_its_default_changes_no_bit(name):
    plain, said = walk(name), walk(join(name, settings(name)))
    assert all(torch.equal(one, other) for one, other in zip(plain, said, strict=True))


@pytest.mark.parametrize("name", TASKS)
def test_what_is_set_is_set_and_nothing_else(name):
    default = settings(name)
    for key, value in default.items():
        named = join(name, {key: other(value)})
        task = pgcontrol_envs.find(named)
        now = {key: getattr(task, own) for key, own in keywords(task).items()}
        assert now == default | {key: other(value)}
        assert task.id == named
        assert type(now[key]) is type(value)
    assert settings(name) == default


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
        ("Go1-v0?frame_skip=2.5", "frame_skip: expected a whole number, at least 1, got 2.5"),
        ("Go1-v0?xml_file=x.xml", "unknown argument 'xml_file'"),
        ("Hopper-v5?terminate_when_unhealthy=1", "terminate_when_unhealthy: expected True or False, got 1"),
        ("Hopper-v5?xml_file=none.xml", "model 'none.xml': no such file"),
    ],
)
def test_what_cannot_be_is_one_line(name, says):
    with pytest.raises(ValueError, match=says) as error:
        pgcontrol_envs.make(name, 1)
    assert "\n" not in str(error.value)
