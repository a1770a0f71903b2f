"""We step all that SyncVectorEnv steps; breaking Gymnasium's contract is a one-line error. Driven by hypothesis."""

import json
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import gymnasium
import numpy as np
import pgcontrol_envs
import pytest
import torch
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pgcontrol_envs import BrokenEnv
from pgcontrol_envs.names import GymName

from tests.envs.unruly import DTS, SAID, STREAMS, Unruly

SETTINGS = settings(
    max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
HOME = "tests.envs.unruly"
STEPS = 12  # past the time limit
legal = st.fixed_dictionaries({}, optional={what: st.sampled_from([*kinds]) for what, (kinds, _) in SAID.items()})
broken = st.sampled_from([(what, kind) for what, (_, kinds) in SAID.items() for kind in kinds])
# what SyncVectorEnv, of all that is legal here, does not take
TOO_STRICT = {("reward", "array of one"), ("reward", "matrix of one"), ("flag", "array of one")}


def named(env_id: str = "Unruly-v0", **args) -> str:
    return str(GymName(HOME, env_id, args))


@contextmanager
def one_line(name: str) -> Iterator[None]:
    with pytest.raises(ValueError) as error:
        yield
    assert "\n" not in str(error.value)
    assert name in str(error.value)


def played(name: str, steps: int = STEPS) -> list[np.ndarray]:
    """Observations, rewards and flags of two copies."""
    with closing(pgcontrol_envs.make(name, 2, seed=3)) as env:
        found = [env.reset()]
        for t in range(steps):
            step = env.step(torch.full((2, 2), 0.1 * t - 0.5))
            assert (step.obs.dtype, step.reward.dtype, step.terminated.dtype) == (torch.float64,) * 2 + (torch.bool,)
            found += step[:4]
            if (over := step.terminated | step.truncated).any():
                found.append(env.reset(over))
        json.dumps(env.state()[1])
    return [each.numpy() for each in found]


def played_by_gymnasium(kinds: dict[str, Any]) -> list[np.ndarray]:
    """The same by SyncVectorEnv."""
    makers = [lambda: gymnasium.make("Unruly-v0", disable_env_checker=True, **kinds) for _ in range(2)]
    with closing(SyncVectorEnv(makers, autoreset_mode=AutoresetMode.DISABLED)) as env:
        found = [env.reset(seed=3)[0]]
        for t in range(STEPS):
            *answer, _ = env.step(np.full((2, 2), 0.1 * t - 0.5, np.float32))
            found += answer
            if (over := np.logical_or(*answer[2:])).any():
                found.append(env.reset(options={"reset_mask": over})[0])
    return found


@SETTINGS
@given(legal)
def test_what_gymnasium_steps_we_step_with_the_same_numbers(kinds):
    ours = played(named(**kinds))
    if TOO_STRICT & kinds.items():
        return
    for mine, theirs in zip(ours, played_by_gymnasium(kinds), strict=True):
        # SyncVectorEnv keeps observations as their space's float32
        np.testing.assert_allclose(mine, theirs, rtol=1e-6)


@SETTINGS
@given(legal, broken, st.integers(0, 3))
def test_what_breaks_the_contract_is_one_line(kinds, wrong, begins):
    what, kind = wrong
    name = named(**kinds | {what: kind, "begins": begins})
    if begins > 1 and kind in ("NaN", "infinite", "missing") and what != "flag":
        assert any(not np.isfinite(each).all() for each in played(name, 3))  # for the collector's quarantine
        return
    with one_line(name), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        played(name, 3)


def test_the_line_says_what_came_and_what_was_expected():
    for kinds, says in (
        (
            {"obs": "one number"},
            r"reset\(seed=0\) returned the observation as an array of shape \(1,\) float32; expected .*\(3,\)",
        ),
        ({"reward": "None", "begins": 1}, r"step\(\) returned the reward as None; expected one number"),
        (
            {"answer": "alone"},
            r"reset\(seed=0\) returned an array of shape \(3,\) float32; expected a tuple \(observation",
        ),
        ({"answer": "one short", "begins": 1}, r"step\(\) raised ValueError: .*expected 5, got 4.*observation, reward"),
        (
            {"answer": "error", "begins": 2},
            r"step\(\) raised ZeroDivisionError: division by zero \(.*unruly.py, line \d+\)",
        ),
        ({"begins": "now"}, "TypeError"),
    ):
        with pytest.raises(BrokenEnv, match=says):
            played(named(**kinds), 3)


@pytest.mark.parametrize("stream", STREAMS)
def test_any_bit_generator_is_saved_and_restored(stream):
    name = named(stream=stream)
    env, other = (pgcontrol_envs.make(name, 2, seed=seed) for seed in (0, 1))
    env.reset()
    env.step(torch.zeros(2, 2))
    _, extra = env.state()
    extra = json.loads(json.dumps(extra))
    other.load_state({}, extra)
    env.load_state({}, extra)
    assert torch.equal(env.step(torch.zeros(2, 2)).obs, other.step(torch.zeros(2, 2)).obs)


def test_a_stream_that_cannot_be_saved_starts_again_and_reports_it():
    env = pgcontrol_envs.make(named(stream="Python's"), 1, seed=5)
    env.reset()
    with pytest.warns(UserWarning, match="random streams cannot be saved"):
        _, extra = env.state()
    env.load_state({}, json.loads(json.dumps(extra)))
    assert env.step(torch.zeros(1, 2)).obs.isfinite().all()


def test_the_state_of_another_bit_generator_is_not_taken():
    _, extra = pgcontrol_envs.make(named(stream="Philox"), 1).state()
    env = pgcontrol_envs.make(named(), 1, seed=5)
    first = env.reset()
    env.load_state({}, extra | {"env": named()})
    assert torch.equal(env.reset(seed=5), first)


@pytest.mark.parametrize("dt", [*DTS, "error"])
def test_a_step_lasts_a_finite_time_whatever_dt_is(dt):
    env = pgcontrol_envs.make(named(dt=dt), 1)
    assert env.control_dt == pytest.approx(0.05)  # its own, or by the rate of its pictures


@pytest.mark.parametrize("bits", [31, 32])
def test_engines_with_short_seeds_are_seeded(bits):
    name, plain = named(least_seed_refused=2**bits), pgcontrol_envs.make(named(), 1)
    env = pgcontrol_envs.make(name, 1)
    assert torch.equal(env.reset(seed=2**40 + 7), plain.reset(seed=7))
    assert torch.equal(env.reset(seed=2**bits - 1), plain.reset(seed=2**bits - 1))


bound = st.floats(-1e12, 1e12) | st.sampled_from([0.1, 0.3, 1e300, 3.4e38, 1e-300, 0.0, np.inf])


@SETTINGS
@given(st.lists(st.tuples(bound, bound), min_size=1, max_size=3), st.sampled_from(["float32", "float64"]))
def test_actions_are_within_the_bounds_or_the_bounds_are_refused(bounds, dtype):
    with np.errstate(over="ignore"):
        low, high = np.sort(np.array(bounds, dtype)).T
    name = named("Bounded-v0", low=low.tolist(), high=high.tolist(), dtype=dtype)
    widest = max(abs(low).max(), abs(high).max())
    if widest >= 1e10 or (np.spacing(np.float32(widest)) + 1e-40 > (high - low)).any():
        if widest >= 1e10 or (low == high).any():
            with one_line(name):
                pgcontrol_envs.make(name, 1)
        return  # whether there is a number between them
    with closing(pgcontrol_envs.make(name, 1)) as env:
        env.reset()
        for action in (env.action_low, env.action_high, (env.action_low + env.action_high) / 2):
            env.step(action.unsqueeze(0))  # the environment looks itself


def test_whole_numbers_are_the_nearest_ones():
    env = pgcontrol_envs.make(named("Bounded-v0", low=[0], high=[20], dtype="uint8"), 1)
    assert env.shapes is not None
    assert env.shapes.whole
    env.reset()
    taken = []
    for action in torch.linspace(float(env.action_low), float(env.action_high), 2101):
        env.step(action.reshape(1, 1))
        taken.append(Unruly.taken.copy())
    numbers, counts = np.unique(np.concatenate(taken), return_counts=True)
    assert numbers.tolist() == list(range(21))
    assert numbers.dtype == np.uint8
    assert set(counts) <= {100, 101}  # each as often, the first and the last, too
