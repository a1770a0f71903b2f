"""One picture of a state, made by the render process like any clip."""

from __future__ import annotations

import tempfile
from pathlib import Path

import imageio_ffmpeg
import numpy as np

from pgcontrol.view.layout import Layout
from pgcontrol.view.recording import Recording
from pgcontrol.view.render import render_clip


def still(env_id: str, qpos: np.ndarray, control_dt: float, size: tuple[int, int] = (640, 480)) -> np.ndarray:
    """The task in the state qpos [nq]: [height, width, 3] uint8.

    Raises:
        RenderError: it could not be drawn; says what would mend it.
    """
    recording = Recording(env_id, 0, control_dt, rewards=np.zeros(1), qpos=np.stack((qpos, qpos)))
    layout = Layout(1, size)
    with tempfile.TemporaryDirectory() as scratch:
        source, clip = Path(scratch) / "state.npz", Path(scratch) / "state.mp4"
        recording.save(source)
        render_clip([source], clip, size=size, timeout=120.0)
        frames = imageio_ffmpeg.read_frames(str(clip))
        next(frames)  # what the file says of itself
        page = np.frombuffer(next(frames), np.uint8).reshape(layout.page[1], layout.page[0], 3)
        frames.close()
    return layout.scenes[0].of(page).copy()
