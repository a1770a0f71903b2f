"""Ordinal bins against eq. 4 of the paper, term by term."""

import pytest
import torch

from pgcontrol.heads.binned import Binned
from pgcontrol.heads.ordinal import Ordinal

LOW, HIGH = torch.tensor([-1.0, 0.0]), torch.tensor([1.0, 10.0])


def head(**options) -> Ordinal:
    torch.manual_seed(0)
    return Ordinal(4, LOW, HIGH, Ordinal.Options(**options)).requires_grad_(False)


@pytest.mark.parametrize("bins", [2, 3, 11])
def test_probabilities_are_those_of_eq_4(bins):
    ordinal = head(bins=bins)
    ordinal.logits.weight.normal_()
    features = torch.randn(5, 4)
    scores = ordinal.logits(features).view(5, 2, bins - 1)
    # the first score, which eq. 4 has and softmax drops, is anything
    s = torch.sigmoid(torch.cat((torch.randn(5, 2, 1), scores), -1)).double()
    logits = torch.stack([s[..., : i + 1].log().sum(-1) + (1 - s[..., i + 1 :]).log().sum(-1) for i in range(bins)], -1)
    assert torch.allclose(ordinal(features).softmax(-1), logits.softmax(-1).float(), atol=1e-5)


@pytest.mark.parametrize("gain", [1.0, 0.2])
@pytest.mark.parametrize("std", [None, 0.4])
def test_starts_where_plain_bins_start(gain, std):
    plain = Binned(4, LOW, HIGH, Binned.Options(bins=41, initial_std=std))
    fresh = head(bins=41, initial_std=std, gain=gain)
    expected = plain(torch.zeros(1, 4)).softmax(-1)
    assert torch.allclose(fresh(torch.zeros(1, 4)).softmax(-1), expected, atol=1e-5)


def test_a_score_moves_every_bin_above_it():
    ordinal = head(bins=5)
    before = ordinal(torch.zeros(1, 4))[0, 0]
    ordinal.logits.bias[2] += 1.0  # the step from bin 2 to bin 3
    shift = ordinal(torch.zeros(1, 4))[0, 0] - before
    assert torch.allclose(shift - shift[0], torch.tensor([0.0, 0.0, 0.0, 1.0, 1.0]), atol=1e-6)
