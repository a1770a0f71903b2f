"""One picture of a state, made by the render process like any clip."""

import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
from pgcontrol_envs.tasks import find

from pgcontrol.rendering.clip_format import ClipFormat
from pgcontrol.rendering.encoding import decode
from pgcontrol.rendering.layout import Layout
from pgcontrol.rendering.projection import Push, push
from pgcontrol.rendering.recording import Recording
from pgcontrol.rendering.render import render_clip

CRF = 6  # hardly coarser than the renderer's own pixels: one frame is small at any rate


class Still(NamedTuple):
    """A state's picture, and how actions are drawn on it.

    Attributes:
        picture: [height, width, 3] uint8.
        push: None where the task's actions are no pushes in a plane.
    """

    picture: np.ndarray
    push: Push | None = None


def still(env_id: str, qpos: np.ndarray, control_dt: float, size: tuple[int, int] = (880, 660)) -> Still:
    """The task in the state qpos [nq], `size` = (width, height) in pixels.

    Raises:
        RenderError: it could not be drawn; the message has what would help.
    """
    recording = Recording(env_id, 0, control_dt, rewards=np.zeros(1), qpos=np.stack((qpos, qpos)))
    with tempfile.TemporaryDirectory() as scratch:
        source, clip = Path(scratch) / "state.npz", Path(scratch) / "state.mp4"
        recording.save(source)
        render_clip([source], clip, ClipFormat(size, crf=CRF), timeout=120.0)
        page = next(decode(clip))
    return Still(Layout(1, size).scenes[0].of(page).copy(), push(find(env_id)(), qpos, size))
