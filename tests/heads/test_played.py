"""Heads that can be played by their mean: it is the mean of the actions, and the head does not change otherwise."""

import dataclasses
import math

import pytest
import torch

from pgcontrol.laws import heads as laws
from pgcontrol.laws.a_head import BATCH, JOINTS, many, params_of, unit
from pgcontrol.laws.base import laws_of
from pgcontrol.runs import catalog
from tests.heads.test_laws import make
from tests.laws.asking import ask

LAWS = [law for law in laws_of(laws) if any(word in law for word in ("mode", "mirror", "widen", "extreme"))]
HEADS = [
    name
    for name, cls in catalog.heads().items()
    if any(f.name == "played" and "mean" in f.metadata["choices"] for f in dataclasses.fields(cls.Options))
]


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("name", HEADS)
def test_law(law, name):
    ask(laws, law, make(name, played="mean"))


@pytest.mark.parametrize("name", HEADS)
def test_it_is_the_mean_of_the_actions(name):
    head, plain, n = make(name, played="mean"), make(name), 40_000
    params = params_of(head)
    repeated, choice = many(head, params, n)
    drawn = unit(head.decode(choice)).view(BATCH, n, JOINTS)
    played, before = (unit(one.decode(one.mode(params)))[:, 0] for one in (head, plain))
    # 4.5 standard errors: 15 numbers a head stay below a false alarm in 10^4
    assert ((played - drawn.mean(1)).abs() < 4.5 * drawn.std(1) / math.sqrt(n) + 1e-4).all()
    assert (before - drawn.mean(1)).abs().max() > 0.02
    assert (played.abs() <= before.abs() + 1e-6).all()  # nearer the middle
    assert torch.equal(choice, many(plain, params, n)[1])
    assert torch.equal(head.log_prob(repeated, choice), plain.log_prob(repeated, choice))
