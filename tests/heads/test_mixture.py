"""Mixtures against one Gaussian, two far ones, and a brute-force mode."""

import math

import pytest
import torch

from pgcontrol.heads.mixture import Mixture
from pgcontrol.heads.normal import LOG_2PI

LOW, HIGH = torch.tensor([-1.0, -1.0]), torch.tensor([1.0, 1.0])


def head(**options) -> Mixture:
    return Mixture(4, LOW, HIGH, Mixture.Options(**options)).requires_grad_(False)


def params(weights, means, std: float) -> torch.Tensor:
    rows = [[math.log(w), *mean, math.log(std), math.log(std)] for w, mean in zip(weights, means, strict=True)]
    return torch.tensor([rows])


def test_components_alike_are_one_gaussian():
    p = params((0.2, 0.8), ((0.1, -0.3), (0.1, -0.3)), 0.5)
    one = 2 * (0.5 * (1 + LOG_2PI) + math.log(0.5))
    assert float(head(components=2).entropy(p)) == pytest.approx(one, abs=1e-5)


def test_far_components_add_the_entropy_of_their_weights():
    p = params((0.25, 0.75), ((-0.9, -0.9), (0.9, 0.9)), 0.05)
    one = 2 * (0.5 * (1 + LOG_2PI) + math.log(0.05))
    weights = -0.25 * math.log(0.25) - 0.75 * math.log(0.75)
    assert float(head(components=2).entropy(p)) == pytest.approx(one + weights, abs=1e-5)


def test_kl_of_far_components_is_that_of_their_weights():
    # the same places, ¼ ¾ against ½ ½: ¼ log ½ + ¾ log 3/2 = 0.13081
    means = ((-0.9, -0.9), (0.9, 0.9))
    old, new = params((0.25, 0.75), means, 0.05), params((0.5, 0.5), means, 0.05)
    assert float(head(components=2).kl(old, new)) == pytest.approx(0.13081, abs=1e-4)


def test_left_left_and_right_right():
    """Joints together: both left or both right, never apart. No factorised head can represent that."""
    p = params((0.5, 0.5), ((-0.8, -0.8), (0.8, 0.8)), 0.1)
    two = head(components=2)
    action = two.decode(two.sample(p.expand(2000, 2, 5), torch.Generator().manual_seed(0)))[:, 0]
    assert (action.sign().prod(1) == 1).all()
    assert 0.4 < float((action[:, 0] > 0).float().mean()) < 0.6


@pytest.mark.parametrize("std", [0.1, 0.4, 0.6])
def test_the_mode_is_the_grids(std):
    p = params((0.3, 0.45, 0.25), ((-0.5, 0.2), (0.4, 0.1), (0.5, -0.5)), std)
    side = torch.linspace(-1, 1, 201)
    grid = torch.cartesian_prod(side, side)
    best = head().log_prob(p.expand(len(grid), 3, 5), grid).max()
    assert head().log_prob(p, head().mode(p)) >= best - 1e-4


def test_one_component_is_a_gaussian_and_the_start_is_spread():
    assert float(head(components=1, initial_spread=0.0)(torch.zeros(1, 4))[..., 1:3].abs().max()) == 0
    torch.manual_seed(0)
    means = Mixture(4, torch.zeros(50), torch.ones(50), Mixture.Options(components=20, initial_spread=0.3)).out.bias
    means = means.detach().view(20, -1)[:, 1:51]
    assert float(means.std()) == pytest.approx(0.3, rel=0.1)  # 1000 draws: 2 % standard error


@pytest.mark.parametrize("components", [2, 3])
def test_a_symmetric_policy_can_have_two_modes_in_a_state_that_is_its_own_image(components):
    """Left and right: each component's mirror image is that of its partner."""
    params = torch.randn(1, components, 5, generator=torch.Generator().manual_seed(0))
    order, sign = torch.tensor([0, 1]), torch.tensor([-1.0, 1.0])
    one = head(components=components)
    mean = 0.5 * (params + one.mirror(params, order, sign))
    assert torch.equal(one.mirror(mean, order, sign), mean)
    left, right = mean[0, 0, 1], mean[0, 1, 1]
    assert left == -right != 0


def test_the_likeliest_component_is_played_although_an_improbable_one_has_the_highest_peak():
    joints, bounds = 17, torch.ones(17)
    params = torch.zeros(1, 2, 1 + 2 * joints)
    params[0, :, 0] = torch.tensor([0.99, 0.01]).log()
    params[0, 1, 1 : 1 + joints] = 0.9
    params[0, :, 1 + joints :] = torch.tensor([[0.4], [0.29]]).log()
    for played, place in {"mode": 0.9, "component": 0.0}.items():
        head = Mixture(4, -bounds, bounds, Mixture.Options(components=2, played=played))
        assert head.mode(params).sub(place).abs().max() < 0.02
