"""One thread a test process: tests run side by side, and threads that spin for each other's cores cost minutes."""

import os

os.environ["OMP_NUM_THREADS"] = "1"  # also for the processes that tests start

import pytest
import torch

from pgcontrol.machine import graphics

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def backend() -> str:
    """The OpenGL backend of this machine; tests that draw are skipped where there is none."""
    found = graphics.probe()
    if found.graphics is None:
        pytest.skip(f"no OpenGL backend draws here: {found.failures}; {graphics.advice()}")
    return found.graphics.backend
