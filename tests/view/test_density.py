"""Histograms of what a policy might do, and the panel that shows them beside a scene."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pgcontrol import catalog
from pgcontrol.policy import Policy
from pgcontrol.runs.load import make_policy
from pgcontrol.view.density import COLUMNS, density, widened
from pgcontrol.view.layout import MARK, Layout
from pgcontrol.view.overlay import Overlay, panel_width
from tests.view.worlds import travelling

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


def film_of(columns: np.ndarray, discrete: bool):
    shape = columns.shape[:2]
    chosen = np.full(shape, 0.5, np.float32)
    base = travelling("Hopper-v5", steps=len(columns))
    names = tuple(f"joint {i}" for i in range(shape[1]))
    return replace(base, columns=columns, spread=chosen, chosen=chosen, joints=names, discrete=discrete)


@pytest.mark.parametrize("joints", [1, 6, 17])
def test_the_panel_shows_mass_and_choice_of_every_joint(joints):
    columns = np.zeros((3, joints, COLUMNS), np.uint8)
    columns[:, :, 10] = 255
    recording = film_of(columns, discrete=True)
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
def test_panels_stand_beside_their_scenes_and_nowhere_else(size):
    layout = Layout(5, size, panel_width(size[0]))
    assert all(side % 2 == 0 for side in layout.page)
    covered = np.zeros(layout.page[::-1], int)
    for box in (*layout.scenes, *layout.panels):
        assert box.of(covered).shape == (box.height, box.width)
        box.of(covered)[:] += 1
    assert covered.max() == 1
