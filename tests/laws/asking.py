"""A law as a test; a law that does not apply is skipped."""

from types import ModuleType
from typing import Any

import pytest

from pgcontrol.laws.base import NotJudged, laws_of


def ask(module: ModuleType, law: str, part: Any) -> None:
    try:
        laws_of(module)[law](part)
    except NotJudged as why:
        pytest.skip(str(why))
