"""Whether there is a display, and which OpenGL backend works. Tested in separate processes before mujoco is imported.

The backend is fixed when mujoco is imported, a bad one may crash or hang the process, and EGL falls back to software
without a message. So each candidate draws a few frames in a child process with a time limit, and reports what it is.
"""
# mujoco is an extension module without types
# pyright: reportAttributeAccessIssue=false

import functools
import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from ctypes.util import find_library
from typing import NamedTuple

from pgcontrol.machine.processes import confine, end, how_it_ended, last_line, python, start

OFF = ("disable", "disabled", "off", "false", "0")
LIBRARIES = {"egl": ("EGL", "OpenGL"), "osmesa": ("OSMesa",)}
SOFTWARE = ("llvmpipe", "softpipe", "swrast", "swiftshader", "software")

# EGL with Mesa's drivers (including software rendering) on Debian and Ubuntu
APT = "apt-get install libegl1 libopengl0 libgl1-mesa-dri"

# smaller than MuJoCo's 4096 for shadows: in software rendering, shadows cost more than the rest of the picture
SHADOW_SIZE, SAMPLES = 1024, 4

PROBE_SIZE = (640, 480)
PROBE_SCENE = """
<mujoco>
  <visual> <global offwidth="{0}" offheight="{1}"/> <quality shadowsize="{2}" offsamples="{3}"/> </visual>
  <asset>
    <texture name="floor" type="2d" builtin="checker" width="100" height="100" rgb1="0 0 0" rgb2="1 1 1"/>
    <material name="floor" texture="floor" texrepeat="60 60"/>
  </asset>
  <worldbody>
    <light directional="true" pos="0 0 3" dir="0 0 -1"/>
    <geom type="plane" size="40 40 1" material="floor"/>
    <geom type="capsule" fromto="-.5 0 .7 .5 0 .7" size=".05"/>
    <geom type="capsule" fromto="-.5 0 .7 -.3 0 .1" size=".05"/>
    <geom type="capsule" fromto=".5 0 .7 .3 0 .1" size=".05"/>
  </worldbody>
</mujoco>
"""


class RenderError(RuntimeError):
    """A picture or a clip could not be made; one line with the reason and what to do."""


class NoGraphics(RenderError):
    """No OpenGL backend works on this machine."""


class Graphics(NamedTuple):
    """A working backend.

    Attributes:
        backend: the value for MUJOCO_GL.
        renderer: GL_RENDERER.
        version: GL_VERSION.
        ms_per_frame: milliseconds for a frame of 640×480 with one shadow, including reading it back.
    """

    backend: str
    renderer: str
    version: str
    ms_per_frame: float

    @property
    def software(self) -> bool:
        """Whether it is software rendering."""
        return self.backend == "osmesa" or any(word in self.renderer.lower() for word in SOFTWARE)


class Probe(NamedTuple):
    """The result of trying the backends in order.

    Attributes:
        graphics: the first one that works.
        failures: backend -> reason in one line, for those that failed before it.
    """

    graphics: Graphics | None
    failures: dict[str, str]

    def require(self) -> Graphics:
        """The working backend.

        Raises:
            NoGraphics: there is none; one line says what to do.
        """
        if self.graphics is None:
            raise NoGraphics(f"no OpenGL backend works here ({self.tried()}). {advice()}")
        return self.graphics

    def tried(self) -> str:
        """The failures in one line."""
        return "; ".join(f"{backend}: {why}" for backend, why in self.failures.items())


def step_aside() -> None:
    """Save the user's MUJOCO_GL for the processes that render, and disable it in this one so that mujoco imports."""
    if "MUJOCO_GL" in os.environ:
        os.environ["PGCONTROL_GL"] = os.environ["MUJOCO_GL"]
        os.environ["MUJOCO_GL"] = "disable"


def wanted() -> str:
    """The user's MUJOCO_GL, in lower case."""
    return os.environ.get("PGCONTROL_GL", os.environ.get("MUJOCO_GL", "")).strip().lower()


def disabled() -> bool:
    """Whether the user has disabled rendering with MUJOCO_GL."""
    return wanted() in OFF


def advice() -> str:
    """What to do if no backend works."""
    if disabled():
        return "For video: unset MUJOCO_GL"
    if sys.platform == "linux":
        return f"For video: {APT} (or: apt-get install libosmesa6)"
    return "For video: start from a session with a display"


def candidates() -> list[str]:
    """The backends to try, the user's MUJOCO_GL first; empty if rendering is disabled."""
    if disabled():
        return []
    ours = {"linux": ["egl", "osmesa"], "darwin": ["cgl"]}.get(sys.platform, ["glfw"])
    return list(dict.fromkeys(filter(None, [wanted(), *ours])))


def environment(backend: str) -> dict[str, str]:
    """The environment variables of a process that renders with a backend."""
    # importing mujoco sets PYOPENGL_PLATFORM, and fails if it is already set to another backend
    return {name: value for name, value in os.environ.items() if name != "PYOPENGL_PLATFORM"} | {"MUJOCO_GL": backend}


@functools.cache
def probe(timeout: float = 20.0) -> Probe:
    """Try the backends in order until one works; the result is cached for this process.

    Args:
        timeout: seconds per backend.
    """
    failures = {"MUJOCO_GL": f"rendering is disabled by {wanted()!r}"} if disabled() else {}
    for backend in candidates():
        found = _try(backend, timeout)
        if isinstance(found, Graphics):
            return Probe(found, failures)
        failures[backend] = found
    return Probe(None, failures)


def _try(backend: str, timeout: float) -> Graphics | str:
    """The graphics that this backend uses, or the reason why it does not work."""
    with tempfile.TemporaryFile("w+", errors="replace") as output:
        process = start([*python("pgcontrol.machine.graphics"), str(timeout)], environment(backend), output)
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            return f"no frame within {timeout:g} s"
        finally:
            end(process)
        output.seek(0)
        said = last_line(output.read())
    if process.returncode == 0:
        return Graphics(backend, **json.loads(said))
    if missing := [name for name in LIBRARIES.get(backend, ()) if not find_library(name)]:
        return f"lib{missing[0]} is not installed"
    return said.split(". ")[0] or how_it_ended(process.returncode)


def has_display() -> bool:
    """Whether a window can be opened. On Linux GLFW tests it, because Studio would hang on a display that is gone."""
    if not sys.platform.startswith("linux"):
        return True
    if not any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY")):
        return False
    import glfw

    with warnings.catch_warnings(action="ignore"):  # the result shows it
        found = bool(glfw.init())
    glfw.terminate()
    return found


def main(timeout: float) -> None:
    """The child process: draw a few frames, and print renderer and speed as JSON."""
    confine(timeout)
    import mujoco
    import numpy as np
    from OpenGL import GL

    width, height = PROBE_SIZE
    model = mujoco.MjModel.from_xml_string(PROBE_SCENE.format(width, height, SHADOW_SIZE, SAMPLES))
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    renderer = mujoco.Renderer(model, height, width)
    picture, milliseconds = np.empty(0), []
    for _ in range(7):
        began = time.perf_counter()
        renderer.update_scene(data)
        picture = renderer.render()
        milliseconds.append(1e3 * (time.perf_counter() - began))
    if picture.std() < 1.0:
        raise SystemExit("it drew a picture with only one colour")
    name, version = (bytes(GL.glGetString(what) or b"?").decode() for what in (GL.GL_RENDERER, GL.GL_VERSION))
    # the first frames compile shaders
    result = {"renderer": name, "version": version, "ms_per_frame": round(float(np.median(milliseconds[2:])), 1)}
    print("\n" + json.dumps(result), flush=True)  # on a separate line, in case a driver has printed something
    os._exit(0)  # some drivers crash or print errors at exit


if __name__ == "__main__":
    main(float(sys.argv[1]))
