import pytest

from pgcontrol.machine import graphics


@pytest.fixture(scope="session")
def backend() -> str:
    """The OpenGL backend of this machine; tests that draw are skipped where there is none."""
    found = graphics.probe()
    if found.graphics is None:
        pytest.skip(f"no OpenGL backend draws here: {found.failures}; {graphics.advice()}")
    return found.graphics.backend
