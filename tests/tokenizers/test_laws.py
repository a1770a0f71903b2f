"""Laws that every kind of tokenizer keeps. A new kind's file is tested once it has a line in VARIANTS."""

import functools
import itertools
from typing import Any

import pytest
import torch

from pgcontrol.options import InputError
from pgcontrol.tokenizers import files
from pgcontrol.tokenizers.base import Tokenizer, windows
from pgcontrol.tokenizers.files import kinds
from tests.tokenizers.worlds import JOINTS, VARIANTS, steps


def chunks(horizon: int, seed: int = 0) -> torch.Tensor:
    data = steps(seed=seed)
    return windows(data, torch.zeros(data.shape[:2], dtype=torch.bool), horizon)


def fitted(kind: str, horizon: int, settings: dict, seed: int = 0) -> Tokenizer:
    tokenizer = files.make(kind, horizon, JOINTS, settings)
    tokenizer.fit(chunks(horizon), seed)
    return tokenizer


@functools.cache
def variant(name: str) -> Any:
    return fitted(*VARIANTS[name])


@pytest.fixture(params=VARIANTS)
def tokenizer(request):
    return variant(request.param)


def random_codes(tokenizer: Tokenizer, n: int = 500) -> torch.Tensor:
    rng = torch.Generator().manual_seed(1)
    return torch.randint(tokenizer.codes, (n, tokenizer.length), generator=rng)


def rmse(tokenizer: Tokenizer, data: torch.Tensor) -> float:
    return float((tokenizer.decode(tokenizer.encode(data)) - data).square().mean().sqrt())


def test_every_kind_has_a_variant():
    assert {kind for kind, _, _ in VARIANTS.values()} == set(kinds())


def test_shapes_and_ranges(tokenizer):
    data = chunks(tokenizer.horizon, seed=1)[:100]
    codes = tokenizer.encode(data)
    assert codes.shape == (100, tokenizer.length)
    assert codes.dtype == torch.int64
    assert ((codes >= 0) & (codes < tokenizer.codes)).all()
    assert tokenizer.decode(codes).shape == data.shape


def test_every_row_of_codes_decodes_within_the_bounds(tokenizer):
    decoded = tokenizer.decode(random_codes(tokenizer, 2000))
    assert decoded.isfinite().all()
    assert decoded.abs().max() <= 1
    # and rows mean different things
    assert len(decoded.flatten(1).unique(dim=0)) > 2


def test_decoding_is_row_by_row(tokenizer):
    codes = random_codes(tokenizer, 50)
    one_by_one = torch.cat([tokenizer.decode(row[None]) for row in codes])
    assert torch.equal(tokenizer.decode(codes), one_by_one)


def test_encode_after_decode_gives_codes_of_the_same_action(tokenizer):
    """For codes that encode gave; clipped ones apart, where the frequencies of FAST change."""
    codes = tokenizer.encode(chunks(tokenizer.horizon, seed=1)[:500])
    said = tokenizer.reconstruct(codes)
    inside = said.abs().amax((1, 2)) <= 1
    assert inside.float().mean() > 0.2
    again = tokenizer.decode(tokenizer.encode(said[inside]))
    assert torch.equal(again, tokenizer.decode(codes[inside]))


@pytest.mark.parametrize("name", [n for n, (kind, *_) in VARIANTS.items() if kind != "fast"])
def test_encode_after_decode_holds_for_any_codes_of_a_table(name):
    tokenizer = variant(name)
    action = tokenizer.decode(random_codes(tokenizer))
    assert torch.equal(tokenizer.decode(tokenizer.encode(action)), action)


@pytest.mark.parametrize("name", [n for n, (kind, *_) in VARIANTS.items() if kind == "fast"])
def test_fast_settles_for_any_tokens_that_fit_when_spelled(name):
    """Rows of tokens chosen freely: encode either says the same, or needs more tokens than there are."""
    tokenizer = variant(name)
    said = tokenizer.reconstruct(random_codes(tokenizer))
    inside = said.abs().amax((1, 2)) <= 1
    said = said[inside]
    codes = tokenizer.encode(said)
    same = torch.isclose(tokenizer.reconstruct(codes), said, atol=1e-6).all(-1).all(-1)
    assert same.float().mean() > 0.3
    # those that differ lost their last coefficients and nothing else
    ours, theirs = tokenizer.coefficients(tokenizer.reconstruct(codes[~same])), tokenizer.coefficients(said[~same])
    assert (((ours == theirs) | (ours == 0)).all(-1)).all()


def test_same_data_and_seed_same_codes_to_the_bit(tokenizer):
    kind, horizon, settings = next(v for n, v in VARIANTS.items() if variant(n) is tokenizer)
    torch.manual_seed(99)
    state = torch.get_rng_state()
    again = fitted(kind, horizon, settings)
    assert torch.equal(state, torch.get_rng_state())  # the caller's generator is left alone
    for name, tensor in tokenizer.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name]), name


def test_reconstruction_is_better_than_the_mean_action(tokenizer):
    data = chunks(tokenizer.horizon, seed=1)
    assert rmse(tokenizer, data) < 0.5 * float(data.std(0).square().mean().sqrt())


LADDERS = {
    "bins": [("bins", 1, {"codes": k}) for k in (3, 5, 9, 17)],
    "kmeans": [("kmeans", 2, {"codes": k}) for k in (4, 16, 64)],
    "vq": [("vq", 2, {"codes": k}) for k in (2, 16)],
    "rvq levels": [("rvq", 2, {"codes": 8, "levels": n}) for n in (1, 2, 3)],
    "rvq codes": [("rvq", 2, {"codes": k, "levels": 2}) for k in (2, 8, 32)],
    "fast scale": [("fast", 4, {"codes": 256, "length": 12, "scale": s}) for s in (1.0, 3.0, 10.0)],
    "fast length": [("fast", 4, {"codes": 64, "length": n, "scale": 8.0}) for n in (2, 4, 12)],
    "fast vocabulary": [("fast", 4, {"codes": k, "length": 5, "scale": 8.0}) for k in (40, 100, 300)],
}


@pytest.mark.parametrize("ladder", LADDERS)
def test_error_falls_with_levels_codes_and_vocabulary(ladder):
    """On chunks that were not fitted; each rung removes a tenth of the error at least."""
    errors = [rmse(fitted(*rung), chunks(rung[1], seed=1)[:600]) for rung in LADDERS[ladder]]
    assert all(after < 0.9 * before for before, after in itertools.pairwise(errors)), errors


def test_round_trip_through_a_folder_is_bitwise(tokenizer, tmp_path):
    files.save(tmp_path / "tokens", tokenizer, {"from": "a test"})
    again = files.load(tmp_path / "tokens")
    assert files.spec(again) == files.spec(tokenizer)
    codes = random_codes(tokenizer)
    assert torch.equal(again.decode(codes), tokenizer.decode(codes))
    data = chunks(tokenizer.horizon, seed=1)[:50]
    assert torch.equal(again.encode(data), tokenizer.encode(data))
    assert sorted(f.name for f in (tmp_path / "tokens").iterdir()) == ["meta.json", "tensors.safetensors"]


def test_other_sizes_are_refused_by_name(tokenizer):
    H = tokenizer.horizon
    for method in (tokenizer.encode, lambda data: files.make("kmeans", H, 3, {}).fit(data, 0)):
        with pytest.raises(InputError, match=r"tokenizer for 3 joints: got 7"):
            method(torch.zeros(5, H, 7))
        with pytest.raises(InputError, match=rf"tokenizer for {H} actions a chunk: got {H + 1}"):
            method(torch.zeros(5, H + 1, 3))
        with pytest.raises(InputError, match=r"no chunks"):
            method(torch.zeros(0, H, 3))
        with pytest.raises(InputError, match=r"infinite or NaN"):
            method(torch.full((5, H, 3), torch.nan))


def test_moments_are_those_of_the_decoded_action(tokenizer):
    rng = torch.Generator().manual_seed(0)
    p = torch.softmax(2 * torch.randn(4, tokenizer.length, tokenizer.codes, generator=rng), -1)
    draws = torch.stack([torch.multinomial(row, 20_000, True, generator=rng).T for row in p])
    measured = tokenizer.reconstruct(draws.flatten(0, 1)).unflatten(0, (4, -1))
    if tokenizer.name == "fast":
        measured = measured.clamp(-1, 1)
    # 20 000 draws give a mean to 0.007 and a deviation to 1 %, FAST's own 1 024 to 0.03 and 2 %
    mean, std = tokenizer.moments(p)
    assert torch.allclose(mean, measured.mean(1), atol=0.08)
    assert torch.allclose(std, measured.std(1), rtol=0.1, atol=0.01)


def test_fewer_chunks_than_codes_fit(tokenizer):
    kind, horizon, settings = next(v for n, v in VARIANTS.items() if variant(n) is tokenizer)
    few = chunks(horizon)[:3]
    small = files.make(kind, horizon, JOINTS, settings)
    small.fit(few, 0)
    assert small.decode(random_codes(small)).isfinite().all()
    assert torch.isfinite(small.decode(small.encode(few))).all()
