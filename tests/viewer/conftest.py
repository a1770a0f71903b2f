"""For every test of the viewer."""

import pytest


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """Studio keeps its settings in the home folder."""
    monkeypatch.setenv("HOME", str(tmp_path))
