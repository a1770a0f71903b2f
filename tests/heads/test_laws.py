"""Laws of all heads in the catalogue, with each of their variants. A new file is tested automatically."""

from typing import Any

import pytest

from pgcontrol.laws import a_head
from pgcontrol.laws import heads as laws
from pgcontrol.laws.a_head import BATCH, FEATURES, HIGH, JOINTS, LOW, unit
from pgcontrol.laws.base import laws_of, rng
from pgcontrol.runs import catalog
from tests.laws.asking import ask

__all__ = ["BATCH", "CASES", "FEATURES", "HIGH", "JOINTS", "LOW", "make", "rng", "unit"]

CASES = [
    pytest.param(
        name,
        options,
        id="-".join([name, *(f"{k}={v}" for k, v in options.items())]),
        marks=[pytest.mark.slow] if options else [],  # where the cases are taken as they are; the laws below take all
    )
    for name, cls in catalog.heads().items()
    for options in ({}, *cls.variants)
]


def make(name: str, **options) -> Any:
    return a_head.make(catalog.heads()[name], options)


@pytest.fixture(params=[case.values for case in CASES], ids=[case.id for case in CASES])
def head(request):
    name, options = request.param
    return make(name, **options)


def test_there_are_27():
    assert len(laws_of(laws)) == 27


@pytest.mark.parametrize("law", laws_of(laws))
def test_law(law, head):
    ask(laws, law, head)
