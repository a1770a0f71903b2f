"""Images of running simulations, rendered offscreen: used by render() of our Gymnasium environments."""
# mujoco is an extension module without types
# pyright: reportAttributeAccessIssue=false

import importlib
import os
import sys
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from unittest import mock

import mujoco
import numpy as np

from pgcontrol_envs.task import Task

OFF = ("disable", "disabled", "off", "false", "0")


class PictureError(RuntimeError):
    """No image can be rendered on this machine; the message gives the reason in one line."""


@dataclass(frozen=True)
class View:
    """What an image shows, in the terms of Gymnasium's MuJoCo envs.

    Attributes:
        width: width of the image, pixels.
        height: height of the image, pixels.
        camera_id: a camera of the model; default: the task's own camera, which follows the body.
        camera_name: the camera's name instead of its id.
        default_camera_config: fields of mjvCamera that override the task's.
        max_geom: largest number of geoms in an image.
        visual_options: flags of mjvOption, by their numbers.
    """

    width: int = 480
    height: int = 480
    camera_id: int | None = None
    camera_name: str | None = None
    default_camera_config: Mapping[str, Any] | None = None
    max_geom: int = 1000
    visual_options: Mapping[int, bool] | None = None

    def camera(self, task: Task) -> mujoco.MjvCamera | int | str:
        """The camera of the image.

        Raises:
            ValueError: the model has no such camera, mjvCamera has no such field, or a size is invalid.
        """
        model = task.model
        for name in ("width", "height", "max_geom"):
            if not isinstance(size := getattr(self, name), int | np.integer) or size < 1:
                raise ValueError(f"{task.id}: {name}: expected a whole number, at least 1, got {size!r}")
        names = [model.camera(i).name for i in range(model.ncam)]
        if self.camera_id is not None and self.camera_name is not None:
            raise ValueError(f"{task.id}: camera_id and camera_name exclude each other; pass one of them")
        if self.camera_name is not None and self.camera_name not in names:
            raise ValueError(f"{task.id}: camera_name: expected one of {names}, got {self.camera_name!r}")
        if self.camera_id is not None and not -1 <= self.camera_id < model.ncam:
            raise ValueError(f"{task.id}: camera_id: expected -1 to {model.ncam - 1}, got {self.camera_id}")
        if self.camera_name is not None or self.camera_id is not None:
            return self.camera_id if self.camera_name is None else self.camera_name
        camera = task.camera.of(model)
        for field, value in (self.default_camera_config or {}).items():
            if not hasattr(camera, field):
                raise ValueError(f"{task.id}: default_camera_config: mjvCamera has no field {field!r}")
            if isinstance(value, np.ndarray | list | tuple):
                getattr(camera, field)[:] = value
            else:
                setattr(camera, field, value)
        return camera


class Painter:
    """Renders the current state of a task's simulations. The constructor creates its OpenGL context.

    Raises:
        PictureError: no OpenGL backend works.
    """

    def __init__(self, task: Task, view: View, camera: mujoco.MjvCamera | int | str):
        self._camera, self._options = camera, mujoco.MjvOption()
        for flag, shown in (view.visual_options or {}).items():
            self._options.flags[flag] = shown
        screen = task.model.vis.global_  # enlarged if needed, as in Gymnasium; the dynamics do not depend on it
        screen.offwidth, screen.offheight = max(screen.offwidth, view.width), max(screen.offheight, view.height)
        try:
            with mock.patch(f"{mujoco.Renderer.__module__}.gl_context.GLContext", _context()):
                self._renderer = mujoco.Renderer(task.model, view.height, view.width, view.max_geom)
        except Exception as error:
            why = " ".join(str(error).split())
            hint = "run `pgcontrol doctor` to see what is missing"
            raise PictureError(f"{task.id}: OpenGL cannot draw ({why}); {hint}") from error
        # also called at interpreter exit, before OpenGL's modules are gone, if the env is never closed
        self.close = weakref.finalize(self, self._renderer.close)

    def draw(self, data: mujoco.MjData) -> np.ndarray:
        """The image of a state, [height, width, 3] uint8."""
        self._renderer.update_scene(data, self._camera, self._options)
        return self._renderer.render()


def _context() -> Any:
    """The class of OpenGL contexts: on Linux EGL or OSMesa, elsewhere mujoco's own choice, made at its import.

    On Linux, mujoco would use hidden windows, which need a display, unless MUJOCO_GL names another backend.
    """
    wanted = os.environ.get("MUJOCO_GL", "").strip().lower()
    if wanted in OFF:
        raise PictureError(f"rendering is disabled by MUJOCO_GL={wanted}")
    if wanted or not sys.platform.startswith("linux"):
        return importlib.import_module("mujoco.gl_context").GLContext
    failures = []
    before = os.environ.get("PYOPENGL_PLATFORM")
    for backend in ("egl", "osmesa"):
        try:
            return importlib.import_module(f"mujoco.{backend}").GLContext
        except Exception as error:
            failures.append(f"{backend}: {' '.join(str(error).split())}")
            if before is None:
                os.environ.pop("PYOPENGL_PLATFORM", None)  # a backend that fails leaves it set, and the next one fails
    raise PictureError("; ".join(failures))
