"""Histograms of a policy's possible actions, and the panel that shows them next to a scene."""

import numpy as np
import pytest
import torch

from pgcontrol.play.density import COLUMNS, density, histograms, joint_names, smooth, widened
from pgcontrol.policy import Policy
from pgcontrol.rendering.layout import MARK, Layout
from pgcontrol.rendering.overlay import Overlay, panel_width
from pgcontrol.rendering.recording import ActionDistributions
from pgcontrol.runs import catalog
from pgcontrol.runs.load import make_env, make_policy

LOW, HIGH = torch.tensor([-2.0, 0.0]), torch.tensor([2.0, 1.0])


def policy(name: str) -> Policy:
    sizes = {"obs_size": 3, "low": LOW.tolist(), "high": HIGH.tolist(), "hidden": [8]}
    return make_policy(sizes | {"head": {"name": name}, "critic": {"name": "none"}}, seed=0)


@pytest.mark.parametrize("name", sorted(set(catalog.heads()) - {"token"}))
def test_every_head_has_a_density_on_the_joints_own_scale(name):
    made = policy(name)
    obs = torch.randn(3, 3, generator=torch.Generator().manual_seed(1)).double()
    found = density(made, obs, seed=0)
    assert found.columns.shape == (3, 2, COLUMNS)
    assert (found.columns.max(-1) == 255).all()
    assert found.discrete == (not made.head.choice_spec.dtype.is_floating_point)
    # mean and deviation of the histogram are those of draws of another seed, within a column and 5 deviations
    drawn = made.draws(obs, 4096, torch.Generator().manual_seed(9))
    unit = ((2 * drawn - LOW - HIGH) / (HIGH - LOW)).numpy()
    weight = found.columns / found.columns.sum(-1, keepdims=True, dtype=float)
    mean = (weight * np.linspace(-1, 1, COLUMNS)).sum(-1)
    assert abs(mean - unit.mean(0)).max() < 1 / COLUMNS + 5 * unit.std(0).max() / 2048**0.5
    assert abs(found.spread - unit.std(0)).max() < 0.05
    np.testing.assert_array_equal(found.columns, density(made, obs, seed=0).columns)


def test_bars_are_as_wide_as_they_can_be_without_touching():
    columns = np.zeros((4, COLUMNS), np.uint8)
    columns[:, ::6] = 200  # eleven bins
    wide = widened(columns)
    filled = "".join("#" if v else "." for v in wide[0])
    assert "#####.#####" in filled
    assert len(filled.replace("#", " ").split()) == 10  # gaps between eleven bars


def test_what_clipping_piles_up_stays_on_its_bound():
    rng = np.random.default_rng(0)
    unit = rng.normal(0.8, 0.15, (4096, 1, 1))
    counts = smooth(histograms(unit).astype(float), 2)[0, 0]
    clipped = (unit > 1 - 1 / (COLUMNS - 1)).sum()
    assert counts[-1] == clipped  # a tenth of the mass, in a column of its own
    assert (np.diff(counts[-8:-1]) <= 0).all()  # left of the bar the curve still falls: no second hump
    assert counts.sum() == pytest.approx(4096, rel=0.01)


def test_a_pile_is_drawn_as_a_bar_next_to_the_curve():
    columns = np.zeros((1, 1, COLUMNS), np.uint8)
    columns[0, 0, 20:40], columns[0, 0, -1] = 200, 255
    panel = Overlay(shown(columns, discrete=False), (244, 192)).draw(0).astype(int)
    blue = (abs(panel - (88, 178, 236)).sum(-1) < 12)[:170].any(0)  # above the foot of the curve
    inner, piled = blue[:200], blue[200:]
    assert inner.any()
    assert 1 <= piled.sum() <= 6  # a bar, and no slope up to it


@pytest.mark.parametrize(
    ("env_id", "names"),
    [
        ("Hopper-v5", ("thigh_joint", "leg_joint", "foot_joint")),
        ("Reacher-v5", ("joint0", "joint1")),
        ("gym:Swimmer-v5", ("motor1_rot", "motor2_rot")),
    ],
)
def test_joints_are_called_what_the_model_calls_them(env_id, names):
    env = make_env(env_id, 1, 0)
    assert joint_names(env) == names
    env.close()


def shown(columns: np.ndarray, discrete: bool) -> ActionDistributions:
    chosen = np.full(columns.shape[:2], 0.5, np.float32)
    return ActionDistributions(columns, chosen, chosen, tuple(f"joint {i}" for i in range(columns.shape[1])), discrete)


@pytest.mark.parametrize("joints", [1, 6, 17])
def test_the_panel_shows_mass_and_choice_of_every_joint(joints):
    columns = np.zeros((3, joints, COLUMNS), np.uint8)
    columns[:, :, 10] = 255
    recording = shown(columns, discrete=True)
    panel = Overlay(recording, (240, 192)).draw(1).astype(int)
    assert panel.shape == (192, 240, 3)
    blue = (abs(panel - (88, 178, 236)).sum(-1) < 12).any(0)
    gold = (abs(panel - MARK).sum(-1) < 30).any(0)
    across = -(-joints // 8)
    for k in range(across):  # in each column of joints: the mass left of the middle, the choice right of it
        middle = int((k + 0.5) * 240 / across)
        left, right = int(k * 240 / across), int((k + 1) * 240 / across)
        assert blue[left:middle].any()
        assert not blue[middle:right].any()
        assert gold[middle:right].any()
        assert not gold[left:middle].any()
    np.testing.assert_array_equal(Overlay(recording, (240, 192)).draw(99), Overlay(recording, (240, 192)).draw(2))


@pytest.mark.parametrize("size", [(160, 120), (640, 480)])
def test_panels_are_next_to_their_scenes_and_nowhere_else(size):
    layout = Layout(5, size, panel_width(size[0]))
    assert all(side % 2 == 0 for side in layout.page)
    covered = np.zeros(layout.page[::-1], int)
    for box in (*layout.scenes, *layout.panels):
        assert box.of(covered).shape == (box.height, box.width)
        box.of(covered)[:] += 1
    assert covered.max() == 1
