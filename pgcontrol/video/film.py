"""Recordings to a clip: the work of the render process, where MUJOCO_GL is set before this is imported."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from pgcontrol.video.clip_format import ClipFormat, Timing
from pgcontrol.video.encoding import check, encode
from pgcontrol.video.layout import Caption, Layout
from pgcontrol.video.overlay import Overlay, panel_width
from pgcontrol.video.recording import Recording
from pgcontrol.video.scene import Scene, scenes


def film(recordings: Sequence[Recording], path: Path, clip: ClipFormat) -> Timing:
    """Draw recordings side by side into an .mp4 file, and check the file.

    Recordings that hold action distributions show them in a panel beside their scene.

    Raises:
        RenderError: it cannot be drawn, or the check failed.
    """
    panel = panel_width(clip.size[0]) if any(r.distributions is not None for r in recordings) else 0
    layout, timing = Layout(len(recordings), clip.size, panel), clip.timing(recordings)
    encode(path, _pages(recordings, scenes(recordings, clip.size), layout, timing), timing.fps, clip.crf)
    check(path, timing.frames, layout.scenes)
    return timing


def _pages(
    recordings: Sequence[Recording], pictures: Sequence[Scene], layout: Layout, timing: Timing
) -> Iterator[np.ndarray]:
    titles = _titles(recordings)
    overlays = [
        Overlay(r.distributions, (panel.width, panel.height)) if r.distributions is not None else None
        for r, panel in zip(recordings, layout.panels, strict=True)
    ]
    drawn = [-1] * len(recordings)
    page = layout.blank()
    for frame in range(timing.frames):
        time = frame / timing.fps
        for i, recording in enumerate(recordings):
            dt, steps = recording.exact_dt, len(recording)
            step = min(int(time / dt), steps)
            score = float(recording.rewards[:step].sum())
            caption = Caption(*titles[i], recording.step, score, float(step * dt), ended=time > steps * dt)
            layout.write(page, i, caption)
            if step != drawn[i]:
                layout.scenes[i].of(page)[:] = pictures[i].draw(step)
                if overlay := overlays[i]:
                    layout.panels[i].of(page)[:] = overlay.draw(step)
                drawn[i] = step
        yield page


def _titles(recordings: Sequence[Recording]) -> list[tuple[str, tuple[str, ...]]]:
    """The head, and what else tells recordings apart; the run's name comes first where heads and steps do not."""
    alike = len({(r.head, r.step) for r in recordings}) < len(recordings)
    titles = []
    for r in recordings:
        details = [r.run, r.algorithm, r.env_id] if alike else [r.algorithm, r.env_id, r.run]
        titles.append((r.head or r.env_id, tuple(d for d in details if d)))
    return titles
