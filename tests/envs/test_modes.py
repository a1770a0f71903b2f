"""The tasks with modes and with precision: blocked ways, symmetries, numbers of routes."""

from typing import Any

import numpy as np
import pgcontrol_envs
import pytest
import torch
from pgcontrol_envs.demonstrators import Demonstrator
from pgcontrol_envs.puck import passing, touches
from pgcontrol_envs.vector import TaskVecEnv


def start(env_id: str, num_envs: int, seed: int = 0) -> tuple[TaskVecEnv, Any]:
    """Envs with fresh episodes, and their task."""
    env = TaskVecEnv(pgcontrol_envs.catalog()[env_id], num_envs, seed, 2)
    env.reset()
    return env, env.task


def finish(env: TaskVecEnv, act: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Play one episode in each env by act() -> [N, A]: returns, lengths, and the routes they took."""
    going = torch.ones(env.num_envs, dtype=torch.bool)
    total, length = torch.zeros(env.num_envs, dtype=torch.float64), torch.zeros(env.num_envs, dtype=torch.int64)
    while going.any():
        step = env.step(torch.as_tensor(act()).float(), going)
        total += step.reward
        length += going
        going = going & ~(step.terminated | step.truncated)
    return total.numpy(), length.numpy(), env.task.route()


# demonstrators


def test_every_route_is_demonstrated(modal):
    """From every start, by every route. Bandit's spread is meant to leave the peaks' upper halves now and then."""
    env, task = start(modal, 480)
    demonstrator = Demonstrator(env, seed=1)
    _, length, route = finish(env, demonstrator.act)
    assert (np.bincount(demonstrator.route) == 480 // len(task.routes)).all()
    assert (route[route >= 0] == demonstrator.route[route >= 0]).all()
    assert (route >= 0).mean() >= (0.95 if modal == "Bandit-v0" else 0.99)
    assert length.max() <= 0.6 * task.time_limit or modal in ("Bandit-v0", "Needle-v0")


def test_actions_stay_within_the_bounds(modal):
    env, _ = start(modal, 32)
    wild = Demonstrator(env, seed=0, noise=100.0).act()
    assert wild.dtype == torch.float32
    assert (wild.abs() <= 1).all()
    assert wild.abs().max() == 1


def test_routes_are_dealt_evenly():
    env, _ = start("Avoiding-v0", 5)
    demonstrator = Demonstrator(env, seed=3)
    dealt = demonstrator.route.tolist()
    for i in range(19 + 48):
        demonstrator.reset(torch.arange(5) == i % 5)
        dealt.append(int(demonstrator.route[i % 5]))
    decks = np.reshape(dealt, (3, 24))
    assert (np.sort(decks) == np.arange(24)).all()
    assert (decks[0] != decks[1]).any()


def test_tasks_without_routes_say_so():
    env = pgcontrol_envs.make("Hopper-v5", 1)
    with pytest.raises(ValueError, match=r"Hopper-v5: has no scripted demonstrator; only tasks with routes have one"):
        Demonstrator(env)
    assert env.task is not None
    with pytest.raises(NotImplementedError, match="Hopper-v5 has no routes"):
        env.task.route()


# geometry


def test_touching_and_passing():
    place = np.array([[0.0, 0.0], [1.35, 0.0], [1.3, 0.8], [1.25, 0.7]])
    # a box of half-sides 1 and ½; the third disc is 0.3·√2 from the corner, the last 0.25 and 0.2 beyond it
    np.testing.assert_array_equal(touches(place, np.zeros(2), np.array([1.0, 0.5]), 0.33), [True, False, False, True])
    last, place = np.array([[0.0, 0.0], [0.0, 0.0]]), np.array([[4.0, 0.0], [0.0, 0.0]])
    # distance from the way from 0 to 4: 1 at its middle, 5 past its end (3-4-5); without motion, plain distances
    away = passing(last, place, np.array([[2.0, 1.0], [7.0, -4.0]]))
    np.testing.assert_allclose(away, [[1, 5], [5**0.5, 65**0.5]], rtol=1e-12)


# Fork


def test_fork_straight_on_is_blocked():
    env, task = start("Fork-v0", 200)
    throttle = np.linspace(0.1, 1, 200)
    total, _, route = finish(env, lambda: np.stack((throttle, -5 * task.y - task.velocity[:, 1]), -1).clip(-1, 1))
    assert (route == -1).all()
    assert (total < 2).all()
    assert task.terminated().all()


@pytest.mark.parametrize(("push", "passes"), [(0.0, False), (0.49, False), (1.0, True)])
def test_fork_at_the_line_half_a_push_is_too_little(push, passes):
    """After one such step, a demonstrator with full force cannot recover."""
    env, task = start("Fork-v0", 200)
    demonstrator = Demonstrator(env, seed=0)
    seen = np.zeros(200, int)

    def act():
        action = demonstrator.act().numpy().astype(np.float64)
        here = task.deciding()
        side = 1 - 2 * demonstrator.route
        action[here, 1] = (push * side)[here]
        assert (task.blocked(action)[here] == (not passes)).all()
        seen[here] += 1
        return action

    _, _, route = finish(env, act)
    assert (seen <= 1).all()
    assert (seen == 1).mean() > 0.98
    assert (route[seen == 1] >= 0).mean() == (1.0 if passes else 0.0)


def mirrored(env_id: str) -> tuple[np.ndarray, np.ndarray]:
    """Random pushes in half of the envs; in the other half the same start and pushes, mirrored at the x axis."""
    env, task = start(env_id, 128)
    mirror = np.array([1, -1])
    task.place[64:], task.velocity[64:] = mirror * task.place[:64], mirror * task.velocity[:64]
    if env.physics.userdata.size:
        task.last[64:] = mirror * task.last[:64]
    rng = np.random.default_rng(0)

    def act():
        push = (rng.uniform(-0.3, 1.0, (64, 2)) * [1, 0] + rng.uniform(-1, 1, (64, 2)) * [0, 1]).astype(np.float32)
        assert (task.x[:64] == task.x[64:]).all()
        assert (task.y[:64] == -task.y[64:]).all()
        return np.concatenate((push, mirror * push))

    total, length, route = finish(env, act)
    assert (length[:64] == length[64:]).all()
    return total, route


def test_fork_left_and_right_are_equally_rewarded():
    total, route = mirrored("Fork-v0")
    assert (route[:64] >= 0).sum() >= 5
    np.testing.assert_allclose(total[:64], total[64:], rtol=0, atol=1e-9)
    assert (route[:64][route[:64] >= 0] == 1 - route[64:][route[64:] >= 0]).all()
    env, task = start("Fork-v0", 2)
    task.place[:], task.velocity[:] = task.start, (task.pace, 0)
    total, _, route = finish(env, lambda: task.demonstrate(np.array([0, 1]), np.zeros((2, 2))))
    assert route.tolist() == [0, 1]
    assert abs(total[0] - total[1]) < 1e-9


# MultiGoal


def test_multigoal_has_four_goals_equally_rewarded():
    env, task = start("MultiGoal-v0", 4)
    np.testing.assert_allclose(task.goals / 0.2, [[5, 0], [0, 5], [-5, 0], [0, -5]], atol=1e-12)
    task.place[:], task.velocity[:] = 0, 0
    total, _, route = finish(env, lambda: task.demonstrate(np.arange(4), np.zeros((4, 2))))
    assert route.tolist() == [0, 1, 2, 3]
    np.testing.assert_allclose(total, total[0], rtol=0, atol=1e-9)
    # standing at the start: 30 steps at minus 0.02 · 5²
    env.reset()
    task.place[:], task.velocity[:] = 0, 0
    still, length, route = finish(env, lambda: np.zeros((4, 2)))
    np.testing.assert_allclose(still, -15, rtol=1e-9)
    assert (length == 30).all()
    assert (route == -1).all()
    assert total[0] > still[0] + 20


# Avoiding


def test_avoiding_has_24_routes_each_named_by_its_gaps():
    env, task = start("Avoiding-v0", 24 * 4)
    assert len(task.routes) == len(set(task.routes)) == 24
    seen = {row: np.full(env.num_envs, np.nan) for row in (-1.6, 0.0, 1.6)}
    chosen = np.arange(env.num_envs) % 24

    def act():
        for x, crossing in seen.items():
            crossing[task.x < x] = task.y[task.x < x]
        return task.demonstrate(chosen, np.zeros((env.num_envs, 2)))

    _, _, route = finish(env, act)
    assert set(route) == set(range(24))
    # the names, from where the disc was last seen before each row: gaps are counted from the left (y > 0)
    obstacles = {-1.6: [0.0], 0.0: [0.3, -0.3], 1.6: [0.6, 0.0, -0.6]}
    for i, r in enumerate(route):
        gaps = [1 + sum(seen[x][i] < y for y in ys) for x, ys in obstacles.items()]
        assert task.routes[r] == "-".join(map(str, gaps))


def test_avoiding_middle_is_blocked_and_mirrored_routes_are_equally_rewarded():
    env, task = start("Avoiding-v0", 50)
    _, _, route = finish(env, lambda: task.steer(0.0 * task.y, np.zeros((50, 2))))
    assert (route == -1).all()
    mirror = [
        task.routes.index("-".join(str(r + 2 - int(g)) for r, g in enumerate(name.split("-"), 1)))
        for name in task.routes
    ]
    assert sorted(mirror) == list(range(24))
    env, task = start("Avoiding-v0", 24)
    env.physics.userdata[:, 3:5] = task.place[:] = task.start
    task.velocity[:] = task.pace, 0
    total, _, route = finish(env, lambda: task.demonstrate(np.arange(24), np.zeros((24, 2))))
    assert route.tolist() == list(range(24))
    np.testing.assert_allclose(total, total[mirror], rtol=0, atol=1e-9)
    mirrored("Avoiding-v0")


def test_avoiding_an_obstacle_is_not_jumped():
    env, task = start("Avoiding-v0", 4)
    task.place[:], task.velocity[:] = (-1.78, 0.0), (4.0, 0.0)
    task.y[2:] = 0.3
    task.last[:] = task.place
    step = env.step(torch.tensor([[1.0, 0.0]]).expand(4, 2))
    assert (task.x > -1.6 + 0.11).all()
    assert step.terminated.tolist() == [True, True, False, False]
    assert (step.terms["reward_crash"] == -1.0 * step.terminated).all()


# Bandit


def test_bandit_has_two_peaks_at_the_stated_places():
    """Heights, places and widths, located on a fine grid of torques for three contexts."""
    torque = np.linspace(-1, 1, 2001)
    for turn in (-0.2, 0.0, 0.2):
        env, task = start("Bandit-v0", len(torque))
        task.scale[:] = turn
        reward = env.step(torch.from_numpy(torque)[:, None]).reward.numpy()
        peaks = np.flatnonzero((reward[1:-1] > reward[:-2]) & (reward[1:-1] > reward[2:])) + 1
        np.testing.assert_allclose(torque[peaks], [turn - 0.1, turn + 0.7], atol=2e-3)
        np.testing.assert_allclose(reward[peaks], [0.5, 1.0], atol=3e-3)
        for peak, deviation in zip(peaks, (0.25, 0.08), strict=True):
            high = reward > reward[peak] / 2
            high &= abs(torque - torque[peak]) < 0.4
            # full width at half height: 2 √(2 log 2) deviations
            assert np.ptp(torque[high]) == pytest.approx(2.3548 * deviation, abs=0.01)
        between = slice(*peaks)
        assert reward[between].min() < 0.06
        route = task.route()
        assert set(route[: peaks[0]]) == {-1, 0}
        assert (route[peaks] == [0, 1]).all()
        valley = task.blocked(torque[:, None])
        assert valley.any()
        assert (route[valley] == -1).all()
        assert (reward[valley] < 0.51).all()
        assert valley[peaks.sum() // 2]


def test_bandit_is_one_step():
    env, _ = start("Bandit-v0", 3)
    assert env.step(torch.zeros(3, 1)).terminated.all()
    assert env.time_limit == 1


# Needle


def needle(bins: int | None, num_envs: int = 64) -> tuple[float, float]:
    """Share of later steps within the tolerance, and success, of the demonstrator rounded to `count` torques."""
    env, task = start("Needle-v0", num_envs)
    grid = None if bins is None else np.linspace(-1, 1, bins)
    within = []

    def act():
        action = task.demonstrate(np.zeros(num_envs, int), np.zeros((num_envs, 2)))
        within.append(np.linalg.norm(task.tip() - task.target, axis=-1) <= task.tolerance)
        return action if grid is None else grid[abs(action[..., None] - grid).argmin(-1)]

    _, _, route = finish(env, act)
    return float(np.mean(within[50:])), float((route >= 0).mean())


def test_needle_eleven_torques_cannot_hold_what_finer_ones_can():
    share, success = needle(11)
    assert share < 0.3
    assert success == 0
    for bins in (201, None):
        share, success = needle(bins)
        assert share > 0.97
        assert success > 0.97


@pytest.mark.slow
def test_needle_the_best_pair_of_eleven_torques_fails_too():
    """All 121 pairs tried in the simulator, and the best kept, by the error it leaves and the one it heads for."""
    copies, tries = 12, 121
    grid = np.linspace(-1, 1, 11)
    pairs = np.stack(np.meshgrid(grid, grid, indexing="ij"), -1).reshape(-1, 2)
    real, real_task = start("Needle-v0", copies)
    model, task = start("Needle-v0", copies * tries, seed=1)
    goal = real_task.target.copy()

    def cost() -> np.ndarray:
        speed = (task.reach(task.theta + 1e-6 * task.velocity) - task.tip()) / 1e-6
        off = task.tip() - np.repeat(goal, tries, 0)
        return (off**2).sum(-1) + ((off + speed * task.dt) ** 2).sum(-1)

    def act():
        model.physics.qpos[:] = np.repeat(real.physics.qpos, tries, 0)
        model.physics.qvel[:] = np.repeat(real.physics.qvel, tries, 0)
        model.physics.ctrl[:] = np.tile(pairs, (copies, 1))
        model.physics.step(task.frame_skip)
        within.append(np.linalg.norm(real_task.tip() - goal, axis=-1) <= task.tolerance)
        return pairs[cost().reshape(copies, tries).argmin(-1)]

    within: list[np.ndarray] = []
    _, _, route = finish(real, act)
    assert (route == -1).all()
    held = np.mean(within[50:])
    assert 0.01 < held < 0.35
