import pytest

from pgcontrol.view import gl


@pytest.fixture(scope="session")
def backend() -> str:
    """The OpenGL backend of this machine; tests that draw are skipped where there is none."""
    found = gl.probe()
    if found.graphics is None:
        pytest.skip(f"no OpenGL backend draws here: {found.failures}; {gl.advice()}")
    return found.graphics.backend
