"""MuJoCo Warp on its CPU device: one step and statistics agree with MuJoCo, and the physics fulfils its contract."""

# mujoco is an extension module without types
# pyright: reportAttributeAccessIssue=false

from typing import Any

import numpy as np
import pgcontrol_envs
import pytest
import torch
from pgcontrol_envs.tasks import built_in
from pgcontrol_envs.warp_physics import Warp

warp = pytest.importorskip("warp", reason="needs the extra gpu")
pytest.importorskip("mujoco_warp", reason="needs the extra gpu")
warp.config.optimization_level = 0  # compiling takes most of the time; the folder of compiled kernels is shared
pytestmark = pytest.mark.slow

PGS = ("Humanoid-v5", "HumanoidStandup-v5")
LOADED = [name for name in built_in() if name not in PGS]
N = 8
NEAR = 1e-3  # relative, in most worlds: in float32, rounding opens or closes a contact in a few


def both(name: str, n: int = N, seed: int = 0) -> tuple[Any, Any]:
    return pgcontrol_envs.make(name, n, seed, 1), pgcontrol_envs.make(name, n, seed, 1, warp=Warp())


def actions(env: Any, seed: int) -> torch.Tensor:
    rng = torch.Generator().manual_seed(seed)
    return env.action_low + (env.action_high - env.action_low) * torch.rand(
        env.num_envs, len(env.action_low), generator=rng
    )


def load(env: Any, native: Any) -> None:
    """Put the state of `native` into the env on Warp, the noise of its sensors included."""
    env.physics.noise.state.copy_(torch.from_numpy(native.physics.noise.state))
    env.physics.put(None, {name: env.physics.array(native.physics.field(name)) for name in env.physics.fields})


def off_by(native: Any, env: Any, field: str) -> np.ndarray:
    """The largest relative difference in each world."""
    one, other = native.physics.field(field), env.physics.bind(field).numpy()
    return (np.abs(one - other) / (1 + np.abs(one))).max(1)


QUICK = ("HalfCheetah-v5", "Hopper-v5", "Go1-v0")
FIRST = [n if n in QUICK else pytest.param(n, marks=pytest.mark.suite) for n in LOADED]


@pytest.mark.parametrize("name", FIRST)
def test_one_step_is_mujocos_to_rounding(name: str):
    native, env = both(name)
    assert torch.allclose(env.reset(), native.reset(), atol=1e-5)  # the same start states
    for t in range(12):
        native.step(actions(native, t))
    load(env, native)
    moved = actions(native, 99)
    one, other = native.step(moved), env.step(moved)
    assert other.obs.dtype == other.reward.dtype == torch.float64
    off = [off_by(native, env, field) for field in ("qpos", "qvel")]
    assert np.median(off, 1).max() < NEAR
    apart = (one.obs - other.obs).abs() / (1 + one.obs.abs())
    assert apart.amax(1).median() < 0.05  # with contact forces and touch
    assert (one.reward - other.reward).abs().median() < 0.02 * (1 + one.reward.abs().median())
    assert torch.equal(one.terminated, other.terminated)
    assert set(one.terms) == set(other.terms)


@pytest.mark.parametrize("name", FIRST)
def test_statistics_of_episodes_are_mujocos(name: str):
    """Trajectories part, because motion in contact is chaotic; means over worlds and time agree."""
    native, env = both(name, 12)
    found = []
    for one in (native, env):
        one.reset(seed=0)
        rewards, seen = [], []
        for t in range(25):
            step = one.step(actions(one, t))
            rewards.append(step.reward)
            seen.append(step.obs)
            if len(over := (step.terminated | step.truncated).nonzero().flatten()):
                one.reset(over)
        rows = torch.stack(seen).flatten(0, 1)
        found.append((torch.stack(rewards).mean(0), rows.mean(0), rows.std(0)))
    (reward, mean, std), (other, means, stds) = found
    noise = ((reward.var() + other.var()) / 12).sqrt()
    assert (reward.mean() - other.mean()).abs() <= 4 * noise + 1e-3  # many rewards are 0
    assert ((mean - means).abs() < 0.4 * (std + 0.05)).all()
    assert ((std - stds).abs() < 0.4 * (std + 0.05)).all()


@pytest.mark.parametrize("name", PGS)
def test_a_task_that_cannot_be_loaded_is_refused_by_name(name: str):
    with pytest.raises(ValueError, match=rf"^{name}: physics warp cannot load this model: mjSOL_PGS"):
        pgcontrol_envs.make(name, 2, warp=Warp())


def test_inactive_worlds_do_not_move():
    env, alone = both("Go1-v0", 4)[1], both("Go1-v0", 4)[1]
    for one in (env, alone):
        one.reset()
    active, moved = torch.tensor([True, False, True, False]), actions(env, 0)
    before = env.state()[0]
    step, whole, after = env.step(moved, active), alone.step(moved), env.state()[0]
    assert torch.equal(step.obs[active], whole.obs[active])
    for name, rows in before.items():
        if name.startswith("physics.") and name != "physics.noise":
            assert torch.equal(rows[~active], after[name][~active]), name
    assert not step.reward[~active].any()
    assert step.reward[active].all()


def test_a_saved_state_continues_bit_for_bit():
    env, other = both("Go1-v0", 4)[1], both("Go1-v0", 4, 5)[1]
    env.reset()
    env.renew(torch.tensor([True, False, False, True]))
    env.step(actions(env, 0))
    env.check()
    other.load_state(*env.state())
    for t in range(3):
        over = torch.arange(4) == t
        assert torch.equal(env.renew(over), other.renew(over))
        one, same = env.step(actions(env, t)), other.step(actions(env, t))
        assert torch.equal(one.obs, same.obs)
        assert torch.equal(one.reward, same.reward)
    with pytest.raises(ValueError, match="expected 3 x Go1-v0, found 4"):
        pgcontrol_envs.make("Go1-v0", 3, 0, 1, warp=Warp()).load_state(*env.state())


def test_a_copied_world_continues_like_its_source():
    env: Any = pgcontrol_envs.make("Hopper-v5", 4, 0, 1, warp=Warp())
    env.reset()
    env.step(actions(env, 0))
    env.copy([0], [3])
    moved = actions(env, 1)
    moved[3] = moved[0]
    step = env.step(moved)
    assert torch.equal(step.obs[3], step.obs[0])
    assert not torch.equal(step.obs[2], step.obs[0])


def test_new_episodes_start_like_mujocos_in_the_order_of_the_pool():
    native, env = both("Go1-v0", 4)
    first = native.reset()
    again = native.reset()
    started = env.renew(torch.ones(4, dtype=torch.bool))
    quiet = slice(6, 18)  # joint positions; the sensors' noise depends on the world
    assert (started - first)[:, quiet].abs().max() < 0.05
    env.check()
    taken = env.renew(torch.tensor([False, True, True, False]))
    assert (taken[1] - again[0])[quiet].abs().max() < 0.05  # the first entry that is left
    assert (taken[2] - again[1])[quiet].abs().max() < 0.05
    assert torch.equal(taken[0], started[0])
    assert env.physics.time.eq(0).all()


def test_an_unstable_world_is_reported_and_reset():
    env: Any = pgcontrol_envs.make("HalfCheetah-v5", 3, 0, 1, warp=Warp())
    env.reset()
    env.physics.qvel[1] = 1e20
    step = env.step(actions(env, 0))
    assert step.unstable.tolist() == [False, True, False]
    assert step.obs.isfinite().all()
    assert not env.step(actions(env, 1)).unstable.any()


def test_an_overflow_names_the_setting_to_raise():
    env: Any = pgcontrol_envs.make("HalfCheetah-v5", 3, 0, 1, warp=Warp(njmax=3))
    env.reset()
    for t in range(15):
        env.step(actions(env, t))
    with pytest.raises(pgcontrol_envs.BrokenEnv, match=r"njmax = 3: .* set --njmax 6"):
        env.check()
    env.check()  # it was reported


def test_fields_that_differ_between_worlds_change_their_constants_as_in_mujoco():
    native, env = both("Go1-v0", 3)
    for one in (native, env):
        one.reset()
        one.physics.expand("body_mass")[1] *= 2.0
        one.physics.set_const([1] if one is env else np.array([1]))
    for name in ("body_subtreemass", "dof_invweight0", "body_invweight0"):
        written = env.physics.expand(name).numpy()
        assert np.allclose(written, native.physics.expand(name), rtol=2e-3, atol=1e-6), name
    with pytest.raises(ValueError, match="its own 'nbody'"):
        env.physics.expand("nbody")


def test_noise_is_that_of_the_cpu():
    native, env = both("Go1-v0", 5)
    for one in (native, env):
        one.reset()
        one.step(actions(one, 0))
    for draw in ("uniform", "normal"):
        given = ("force", -2.0, 3.0, 4) if draw == "uniform" else ("force", 4)
        one, other = (getattr(e.physics.noise, draw)(*given) for e in (native, env))
        assert np.allclose(one, other.numpy(), atol=1e-5)
