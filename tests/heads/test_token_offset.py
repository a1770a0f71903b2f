"""A code and an offset: the origin of codes, and that an action can be recovered exactly."""

import pytest
import torch

from pgcontrol.heads.token_offset import TokenOffset
from pgcontrol.options import InputError
from pgcontrol.tokenizers import files
from tests.heads.test_laws import HIGH, JOINTS, LOW, rng, unit


def head(**options) -> TokenOffset:
    torch.manual_seed(0)
    return TokenOffset(8, LOW, HIGH, TokenOffset.Options(**options)).requires_grad_(False)


def no_chunks(source: str, horizon: int) -> torch.Tensor:
    raise AssertionError("nothing is to be read")


def test_every_action_is_encoded_exactly_by_its_nearest_code():
    h = head(codes=16)
    action = LOW + (HIGH - LOW) * torch.rand(500, JOINTS, generator=rng())
    choice = h.encode(action.unsqueeze(1))
    assert torch.allclose(h.decode(choice)[:, 0], action, atol=1e-5)
    nearest = torch.cdist(unit(action), h.table).argmin(-1)
    assert torch.equal(choice[:, 0].long(), nearest)


def test_codes_come_from_data_and_weights_follow_them():
    h, data = head(codes=2), torch.tensor([[0.5, 0.5, 0.5], [-0.5, -0.5, -0.5]]).repeat(50, 1)
    h.prepare(no_chunks, 0, own=data.unsqueeze(1))
    assert sorted(h.table[:, 0].tolist()) == pytest.approx([-0.5, 0.5], abs=1e-6)
    assert h.logits.bias.diff().abs().item() == pytest.approx(0, abs=1e-5)
    h = head(codes=2, source="somewhere")
    h.prepare(lambda source, horizon: data.unsqueeze(1) * 0.5, 0)
    assert sorted(h.table[:, 0].tolist()) == pytest.approx([-0.25, 0.25], abs=1e-6)
    before = head(codes=2).table
    h = head(codes=2)
    h.prepare(no_chunks, 0)
    assert torch.equal(h.table, before)


def test_a_folder_of_tokens_is_read_and_another_kind_refused(tmp_path):
    tokens = files.make("kmeans", 1, JOINTS, {"codes": 4})
    tokens.fit(torch.rand(100, 1, JOINTS, generator=rng()), 0)
    files.save(tmp_path / "tokens", tokens, {})
    h = head(codes=4, source=str(tmp_path / "tokens"))
    h.prepare(no_chunks, 0)
    assert torch.equal(h.table, tokens.get_buffer("table")[0])
    with pytest.raises(InputError, match="must hold kmeans with 5 codes for 3 joints and horizon 1"):
        head(codes=5, source=str(tmp_path / "tokens")).prepare(no_chunks, 0)


@pytest.mark.parametrize("joints", [6, 17])
def test_a_narrow_first_policy_plays_the_centre(joints):
    torch.manual_seed(0)
    bounds = torch.ones(joints)
    h = TokenOffset(8, -bounds, bounds, TokenOffset.Options(code_std=0.1, initial_std=0.05)).requires_grad_(False)
    played = h.decode(h.mode(h(torch.zeros(1, 8))))
    assert played.abs().max() < 1e-6


@pytest.mark.parametrize("joints", [2, 6, 17])
@pytest.mark.parametrize("std", [0.2, 0.4])
def test_the_first_codes_are_as_wide_as_was_asked_for_and_several_are_sampled(joints, std):
    """Weights of a Gaussian with this σ would leave only the code at the centre, if there are many joints."""
    torch.manual_seed(0)
    bounds = torch.ones(joints)
    h = TokenOffset(8, -bounds, bounds, TokenOffset.Options(code_std=std, initial_std=0.001)).requires_grad_(False)
    p = h(torch.zeros(1, 8))[0, :-1, 0].softmax(-1)
    assert (p @ h.table.square()).mean().sqrt().item() == pytest.approx(std, abs=0.01)
    assert p.max() < 1 - 0.9 * std**2  # what a code of size 1 in every joint would take
