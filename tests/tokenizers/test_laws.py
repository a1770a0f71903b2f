"""Laws of all kinds of tokenizers. A new kind is tested once it has a line in VARIANTS."""

import functools
import itertools
from typing import Any

import pytest
import torch

from pgcontrol.laws import tokenizers as laws
from pgcontrol.laws.base import laws_of
from pgcontrol.laws.tokenizers import chunks, random_codes
from pgcontrol.tokenizers.base import Tokenizer
from pgcontrol.tokenizers.files import kinds
from tests.laws.asking import ask
from tests.tokenizers.worlds import VARIANTS


def fitted(kind: str, horizon: int, settings: dict) -> Tokenizer:
    return laws.make(kinds()[kind], horizon, settings)


@functools.cache
def variant(name: str) -> Any:
    return fitted(*VARIANTS[name])


@pytest.fixture(params=VARIANTS)
def tokenizer(request):
    return variant(request.param)


def test_every_kind_has_a_variant():
    assert {kind for kind, _, _ in VARIANTS.values()} == set(kinds())


@pytest.mark.parametrize("law", laws_of(laws))
def test_law(law, tokenizer):
    ask(laws, law, tokenizer)


def test_moments_are_clipped_where_they_are_drawn_and_before_that_in_closed_form(tokenizer):
    laws.check_moments(tokenizer, clipped=tokenizer.name == "fast")


@pytest.mark.parametrize("name", [n for n, (kind, *_) in VARIANTS.items() if kind != "fast"])
def test_encode_after_decode_holds_for_any_codes_of_a_table(name):
    tokenizer = variant(name)
    action = tokenizer.decode(random_codes(tokenizer))
    assert torch.equal(tokenizer.decode(tokenizer.encode(action)), action)


@pytest.mark.parametrize("name", [n for n, (kind, *_) in VARIANTS.items() if kind == "fast"])
def test_fast_settles_for_any_tokens_that_fit_when_spelled(name):
    """Rows of tokens at random: encode either returns the same, or would need more tokens than allowed."""
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


@pytest.mark.slow
@pytest.mark.parametrize("ladder", LADDERS)
def test_error_falls_with_levels_codes_and_vocabulary(ladder):
    """On held-out chunks; each level removes at least a tenth of the error."""
    errors = [laws.rmse(fitted(*rung), chunks(rung[1], seed=1)[:600]) for rung in LADDERS[ladder]]
    assert all(after < 0.9 * before for before, after in itertools.pairwise(errors)), errors
