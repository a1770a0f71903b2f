"""One image of a state, made by the render process like a clip."""

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

CRF = 6  # almost lossless: a single frame is small anyway


class Still(NamedTuple):
    """An image of a state, and how actions are drawn on it.

    Attributes:
        picture: [height, width, 3] uint8.
        push: None if the task's actions are not pushes in a plane.
    """

    picture: np.ndarray
    push: Push | None = None


def still(env_id: str, qpos: np.ndarray, control_dt: float, size: tuple[int, int] = (880, 660)) -> Still:
    """Render the task in the state qpos [nq], `size` = (width, height) in pixels.

    Raises:
        RenderError: rendering failed; the message suggests what to do.
    """
    recording = Recording(env_id, 0, control_dt, rewards=np.zeros(1), qpos=np.stack((qpos, qpos)))
    with tempfile.TemporaryDirectory() as scratch:
        source, clip = Path(scratch) / "state.npz", Path(scratch) / "state.mp4"
        recording.save(source)
        render_clip([source], clip, ClipFormat(size, crf=CRF), timeout=120.0)
        page = next(decode(clip))
    return Still(Layout(1, size).scenes[0].of(page).copy(), push(find(env_id)(), qpos, size))
