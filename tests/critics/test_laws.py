"""Laws of all critics in the catalogue. A new critic's file is tested automatically."""

import pytest

from pgcontrol.laws import critics as laws
from pgcontrol.laws.base import laws_of
from pgcontrol.runs import catalog
from tests.laws.asking import ask

SLOW = "compiled_and_eager_agree_before_and_after_adapting"
LAWS = [pytest.param(law, marks=[pytest.mark.slow] if law == SLOW else []) for law in laws_of(laws)]


@pytest.fixture(params=sorted(catalog.critics()))
def critic(request):
    return laws.make(catalog.critics()[request.param])


@pytest.mark.parametrize("law", LAWS)
def test_law(law, critic):
    ask(laws, law, critic)
