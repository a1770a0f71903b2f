"""The Gaussian against closed forms and SciPy."""

import math

import pytest
import torch
from scipy import stats

from pgcontrol.heads.gaussian import Gaussian
from pgcontrol.heads.normal import Deviations as Options
from pgcontrol.heads.normal import bounded
from pgcontrol.options import InputError

LOW, HIGH = torch.tensor([-2.0]), torch.tensor([4.0])


def head(**options) -> Gaussian:
    return Gaussian(4, LOW, HIGH, Options(**options))


def test_log_prob_is_scipys_of_the_unclipped_choice():
    params = torch.tensor([[[0.3], [math.log(0.5)]]])
    for x in (-3.0, 0.0, 0.9, 2.5):
        assert float(head().log_prob(params, torch.tensor([[x]]))) == pytest.approx(
            stats.norm.logpdf(x, 0.3, 0.5), rel=1e-6
        )


def test_entropy_worked():
    # one joint, σ = 0.5: ½ log(2πe · 0.25) = 0.7258
    assert float(head().entropy(torch.tensor([[[0.0], [math.log(0.5)]]]))) == pytest.approx(0.72579, abs=1e-5)


def test_kl_worked():
    # log(1/0.5) + (0.25 + 0.09) / 2 − ½ = 0.36315
    old, new = torch.tensor([[[0.3], [math.log(0.5)]]]), torch.tensor([[[0.0], [0.0]]])
    assert float(head().kl(old, new)) == pytest.approx(0.36315, abs=1e-5)


def test_decode_maps_the_unit_interval_and_clips():
    # bounds −2 … 4: centre 1, half-range 3
    action = head().decode(torch.tensor([[-5.0], [-1.0], [0.0], [0.5], [1.0], [7.0]]))
    assert action.flatten().tolist() == [-2.0, -2.0, 1.0, 2.5, 4.0, 4.0]


def test_initial_std():
    params = head(initial_std=0.25)(torch.zeros(1, 4))
    assert float(head().describe(params)["std"]) == pytest.approx(0.25)


def test_a_std_at_its_bound_is_reported_and_can_leave_it():
    low, high = math.log(0.1), math.log(1.0)
    x = torch.tensor([low - 0.5, low + 0.5, high + 0.5], requires_grad=True)
    # descent on +σ pushes down: outward only at the lower bound
    (down,) = torch.autograd.grad(bounded(x, low, high).sum(), x)
    assert down.tolist() == [0.0, 1.0, 1.0]
    (up,) = torch.autograd.grad(-bounded(x, low, high).sum(), x)
    assert up.tolist() == [-1.0, -1.0, 0.0]

    at_bound = head(min_std=0.1)
    with torch.no_grad():
        at_bound.log_std.fill_(-9.0)
    described = at_bound.describe(at_bound(torch.zeros(2, 4)))
    assert float(described["std_at_bound"]) == 1.0
    assert float(described["std"]) == pytest.approx(0.1)


def test_saturation_is_the_mass_outside_the_bounds():
    # mean 1: half of the mass lies above the upper bound
    assert float(head().describe(torch.tensor([[[1.0], [math.log(0.1)]]]))["saturation"]) == pytest.approx(
        0.5, abs=1e-6
    )


def test_initial_std_outside_its_bounds_is_refused():
    with pytest.raises(InputError, match=r"head.initial_std = 5.0: must lie between"):
        Options(initial_std=5.0)
