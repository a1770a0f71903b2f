"""Names of environments, with arguments in them."""

import pgcontrol_envs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pgcontrol_envs.names import GymName, read_value

words = st.from_regex(r"[a-z_][a-z0-9_]{0,8}", fullmatch=True)
plain = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters(codec="utf-8"))
values = st.recursive(plain, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3))


@given(st.none() | st.just("my_env") | st.just("a.b"), st.dictionaries(words, values, max_size=3))
def test_a_name_with_arguments_is_read_as_it_was_written(module, args):
    name = GymName(module, "ns/Thing-v0", args)
    text = str(name)
    assert text.isprintable()
    assert " " not in text
    assert GymName.parse(text) == name


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1.5", 1.5),
        ("1e-3", 1e-3),
        ("true", True),
        ("True", True),
        ("None", None),
        ("off", "off"),
        ('"1"', "1"),
        ("-1,2.5", [-1, 2.5]),
        ("1,x", "1,x"),
        ("", ""),
    ],
)
def test_values_on_the_command_line(text, value):
    assert read_value(text) == value
    assert type(read_value(text)) is type(value)


def test_simple_arguments_look_simple():
    assert (
        str(GymName(None, "Pendulum-v1", {"g": 1.0, "render_mode": "rgb_array"}))
        == "gym:Pendulum-v1?g=1.0&render_mode=rgb_array"
    )


@pytest.mark.parametrize("name", ["gym:", "gym:?g=1", "gym:a:b:c", "gym::Pendulum-v1", "gym:Pendulum-v1?g"])
def test_a_name_that_is_none_is_one_line(name):
    with pytest.raises(pgcontrol_envs.UnknownEnv, match="expected") as error:
        GymName.parse(name)
    assert repr(name) in str(error.value)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("gym:Pendulum-v1?gravity=1", r"unknown arguments: gravity; it accepts g, max_episode_steps, render_mode"),
        ("gym:Pendulum-v1?g=heavy", r"gym:Pendulum-v1\?g=heavy: step\(\) raised .*"),
        ("gym:Pendulum-v1?max_episode_steps=0", "max_episode_steps"),
        ("gym:no_such.module:Thing-v0", "No module named 'no_such'; it is neither installed nor in the current folder"),
        ("HalfCheetah-v5?g=1", r"HalfCheetah-v5: unknown argument 'g': expected one of ctrl_cost_weight, "),
        ("HalfCheeta-v5?g=1", r"unknown env 'HalfCheeta-v5\?g=1': did you mean HalfCheetah-v5"),
        ("HalfCheetah-v5?g", r"unknown env 'HalfCheetah-v5\?g': expected KEY=VALUE"),
    ],
)
def test_arguments_that_an_environment_does_not_take_are_one_line(name, says):
    with pytest.raises(ValueError, match=says) as error:
        pgcontrol_envs.make(name, 1)
    assert "\n" not in str(error.value)


def test_arguments_reach_the_environment():
    env = pgcontrol_envs.make("gym:Pendulum-v1?g=0.0&max_episode_steps=7", 1)
    assert env.time_limit == 7
    assert pgcontrol_envs.make("gym:Pendulum-v1?max_episode_steps=-1", 1).time_limit is None
