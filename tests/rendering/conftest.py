"""Render processes that do what a test tells them."""

import sys

import pytest

from pgcontrol.rendering import render


@pytest.fixture
def render_as(monkeypatch):
    def use(code: str):
        monkeypatch.setattr(render, "command", lambda: [sys.executable, "-c", code])

    return use
