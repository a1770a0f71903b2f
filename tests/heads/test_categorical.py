"""Categorical distributions: their noise, and values that must not depend on differentiation."""

import numpy as np
import torch
from scipy import stats

from pgcontrol.heads import categorical


def test_the_race_is_between_exponential_numbers():
    noise = categorical.race(200, 500, rng=torch.Generator().manual_seed(0))
    assert stats.kstest(noise.double().exp().flatten().numpy(), "expon").pvalue > 1e-3
    again = categorical.race(200, 500, rng=torch.Generator().manual_seed(0))
    assert torch.equal(noise, again)


def test_who_never_arrives_does_not_win():
    """A uniform number can be 0, and its exponential draw is then infinite."""
    logits = torch.tensor([[-50.0, 50.0]])
    assert int(categorical.draw(logits, torch.tensor([[0.0, np.inf]]))) == 0


def test_log_prob_is_the_same_to_the_bit_whether_or_not_it_is_differentiated():
    """Otherwise the ratio of the first minibatch would not be 1."""
    logits = 5 * torch.randn(64, 3, 11, generator=torch.Generator().manual_seed(1))
    choice = torch.randint(11, (64, 3), generator=torch.Generator().manual_seed(2))
    plain = categorical.log_prob(logits, choice)
    assert torch.equal(categorical.log_prob(logits.clone().requires_grad_(), choice).detach(), plain)
    wanted = torch.distributions.Categorical(logits=logits).log_prob(choice)
    assert torch.allclose(plain, wanted, atol=1e-5)
