"""HL-Gauss against SciPy's normal distribution and worked numbers."""

import itertools

import pytest
import torch
from scipy import stats

from pgcontrol.critics.hl_gauss import HLGauss


def critic(**options) -> HLGauss:
    torch.manual_seed(0)
    return HLGauss(4, HLGauss.Options(**options))


def test_the_target_is_the_mass_of_a_gaussian_in_every_bin():
    c = critic()
    # support −10 … 10: 101 bins of 0.19802, σ = 0.75 of that
    width = 20 / 101
    for y in (-3.3, 0.0, 4.56789):
        mass = stats.norm(y, 0.75 * width).cdf(c.edges.double().numpy())
        assert torch.allclose(c.histogram(torch.tensor([y]))[0], torch.tensor(mass[1:] - mass[:-1]).float(), atol=1e-5)


def test_the_mean_of_the_target_is_the_return():
    """σ = 0.75 bins is wide enough that binning costs a thousandth of a bin."""
    c, y = critic(), torch.linspace(-9, 9, 1000)
    assert torch.allclose((c.histogram(y) * c.centres).sum(-1), y, atol=2e-4)


def test_returns_outside_count_as_the_edge():
    c = critic()
    far, edge = c.histogram(torch.tensor([-1e6, 1e6])), c.histogram(torch.tensor([-10.0, 10.0]))
    assert torch.equal(far, edge)
    assert torch.allclose(far.sum(-1), torch.ones(2))


def test_the_support_moves_rarely_and_leaves_room():
    c = critic()
    c.adapt(torch.tensor([2.0, 6.0]))  # fills 4 of 20: too little, so [2 − 2, 6 + 2]
    assert c.support.tolist() == [0.0, 8.0]
    for inside in ([0.0, 8.0], [3.0, 5.0], [1.0, 7.5]):
        c.adapt(torch.tensor(inside))
        assert c.support.tolist() == [0.0, 8.0]
    c.adapt(torch.tensor([1.0, 9.0]))  # left it; wants [1 − 4, 9 + 4], but may at most reach from −4 to 12
    assert c.support.tolist() == [-3.0, 12.0]


def test_the_support_grows_to_any_returns():
    c, widths = critic(), [20.0]
    for _ in range(8):
        c.adapt(torch.tensor([100.0, 300.0]))
        widths.append(float(c.support.diff()))
    assert all(new <= 2 * old for old, new in itertools.pairwise(widths))
    assert c.support[1] >= 300.0
    assert c.value(c(torch.ones(1, 4))).abs().max() < 12  # where an untrained prediction was: within the first support


def test_equal_returns_keep_a_support_of_some_width():
    c = critic()
    c.adapt(torch.full((5,), 3.0))
    assert c.support.tolist() == pytest.approx([2.9, 3.1])


def test_the_first_value_is_the_middle_of_the_support():
    assert critic().value(critic()(torch.randn(9, 4))).abs().max() < 0.1


def test_bins_beyond_the_old_support_start_light_and_can_be_learned():
    c, features = critic(), torch.ones(1, 4)
    for _ in range(4):
        c.adapt(torch.tensor([-50.0, 50.0]))
    assert c.support.tolist() == [-80.0, 80.0]
    p = c(features).softmax(-1)[0]
    assert p[c.centres.abs() > 16].sum() < 0.03
    optimiser = torch.optim.Adam(c.parameters(), lr=5e-3)
    for _ in range(1000):
        optimiser.zero_grad()
        c.loss(c(features), torch.tensor([70.0])).mean().backward()
        optimiser.step()
    assert float(c.value(c(features)).detach()) == pytest.approx(70, abs=2)
