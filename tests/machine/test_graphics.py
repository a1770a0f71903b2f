import os
import sys
import time

import pytest

from pgcontrol.machine import graphics
from pgcontrol.machine.graphics import NoGraphics

linux = pytest.mark.skipif(sys.platform != "linux", reason="which backends there are depends on the platform")


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    """Forgets earlier probes, before and after; MUJOCO_GL is not set."""
    monkeypatch.delenv("MUJOCO_GL", raising=False)
    graphics.probe.cache_clear()
    yield
    graphics.probe.cache_clear()


@linux
def test_order(monkeypatch):
    assert graphics.candidates() == ["egl", "osmesa"]
    for users, order in {
        "osmesa": ["osmesa", "egl"],
        "EGL": ["egl", "osmesa"],
        "glfw": ["glfw", "egl", "osmesa"],
        "off": [],
    }.items():
        monkeypatch.setenv("MUJOCO_GL", users)
        assert graphics.candidates() == order


def test_the_probe_says_what_draws(backend):
    found = graphics.probe().require()
    assert found.backend == backend
    assert found.renderer
    assert found.version
    assert 0 < found.ms_per_frame < 10_000
    assert graphics.probe() is graphics.probe()


@linux
@pytest.mark.parametrize("users", ["nonsense", "glx"])
def test_if_the_users_backend_does_not_draw_the_next_is_tried(users, backend, monkeypatch):
    monkeypatch.setenv("MUJOCO_GL", users)
    monkeypatch.delenv("DISPLAY", raising=False)
    found = graphics.probe()
    assert next(iter(found.failures)) == users
    assert "\n" not in found.failures[users]
    assert found.require().backend == backend


def _break_all(monkeypatch):
    monkeypatch.setenv("__EGL_VENDOR_LIBRARY_FILENAMES", os.devnull)  # EGL's loader finds no driver
    monkeypatch.setenv("EGL_PLATFORM", "nonsense")
    monkeypatch.setattr(graphics, "candidates", lambda: ["egl", "nonsense"])


@linux
def test_without_any_it_says_what_to_install(monkeypatch):
    _break_all(monkeypatch)
    found = graphics.probe()
    assert set(found.failures) == {"egl", "nonsense"}
    with pytest.raises(NoGraphics) as caught:
        found.require()
    assert "apt-get install libegl1 libopengl0 libgl1-mesa-dri" in str(caught.value)
    assert "libosmesa6" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_switched_off_by_the_user_stays_off(monkeypatch):
    monkeypatch.setenv("MUJOCO_GL", "disabled")
    with pytest.raises(NoGraphics, match="unset MUJOCO_GL"):
        graphics.probe().require()


def test_a_driver_that_hangs_does_not_hang_us(monkeypatch):
    monkeypatch.setattr(graphics, "python", lambda module: [sys.executable, "-c", "import time; time.sleep(60)"])
    began = time.monotonic()
    found = graphics.probe(timeout=0.3)
    assert found.graphics is None
    assert all(why == "no frame within 0.3 s" for why in found.failures.values())
    assert time.monotonic() - began < 10


def test_a_driver_that_crashes_is_named(monkeypatch):
    monkeypatch.setattr(graphics, "python", lambda module: [sys.executable, "-c", "import os; os.abort()"])
    monkeypatch.setattr(graphics, "candidates", lambda: ["cgl"])
    assert graphics.probe(timeout=20).failures == {"cgl": "SIGABRT"}


def test_a_leftover_of_another_backend_is_no_hindrance(monkeypatch):
    """Importing mujoco under one backend sets PYOPENGL_PLATFORM, and mujoco then refuses every other."""
    monkeypatch.setenv("PYOPENGL_PLATFORM", "osmesa")
    env = graphics.environment("egl")
    assert env["MUJOCO_GL"] == "egl"
    assert "PYOPENGL_PLATFORM" not in env


@pytest.mark.parametrize(
    ("backend", "renderer", "software"),
    [
        ("egl", "llvmpipe (LLVM 15.0.6, 256 bits)", True),
        ("egl", "NVIDIA H100 80GB HBM3/PCIe/SSE2", False),
        ("egl", "Google SwiftShader", True),
        ("osmesa", "anything", True),
    ],
)
def test_software_rendering_is_recognised(backend, renderer, software):
    assert graphics.Graphics(backend, renderer, "4.5", 1.0).software is software
