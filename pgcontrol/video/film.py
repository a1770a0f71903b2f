"""Recordings to a clip: the work of the render process, where MUJOCO_GL is set before this is imported."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pgcontrol.video import movie
from pgcontrol.video.layout import Caption, Layout
from pgcontrol.video.overlay import Overlay, panel_width
from pgcontrol.video.recording import Recording
from pgcontrol.video.scene import Scene, scenes


class Pace(NamedTuple):
    """How time in the clip goes on: as in the episodes."""

    fps: Fraction
    frames: int


def pace(recordings: Sequence[Recording], seconds: float | None, max_fps: float) -> Pace:
    """The control rate where it is no more than max_fps, else a whole fraction of it; whichever recording's is highest.

    The clip is as long as the longest recording, or `seconds`, and begins with its start.

    Raises:
        ValueError: seconds not greater than 0.
    """
    if seconds is not None and not seconds > 0:
        raise ValueError(f"seconds: expected more than 0, got {seconds:g}")
    rates = [1 / _dt(r) for r in recordings]
    fps = max(rate / -(-rate // Fraction(max_fps)) for rate in rates)
    length = max(len(r) * _dt(r) for r in recordings)
    if seconds is not None:
        length = min(length, Fraction(seconds))
    return Pace(fps, int(length * fps) + 1)


def film(
    recordings: Sequence[Recording],
    out: Path,
    *,
    seconds: float | None,
    size: tuple[int, int],
    max_fps: float,
    crf: int = movie.CRF,
) -> Pace:
    """Draw, encode and check a clip; it appears under its name only when it is whole and good.

    Recordings that hold action distributions show them in a panel beside their scene.

    Raises:
        RenderError: it cannot be drawn, or the check failed.
        ValueError: a bad size.
    """
    panel = panel_width(size[0]) if any(r.columns is not None for r in recordings) else 0
    layout, timing = Layout(len(recordings), size, panel), pace(recordings, seconds, max_fps)
    pictures = scenes(list(recordings), size)
    partial = movie.partial_path(out, os.getpid())
    try:
        movie.encode(partial, _pages(recordings, pictures, layout, timing), layout.page, timing.fps, crf)
        movie.check(partial, timing.frames, layout.scenes)
        os.replace(partial, out)
    finally:
        partial.unlink(missing_ok=True)
    return timing


def _pages(
    recordings: Sequence[Recording], pictures: Sequence[Scene], layout: Layout, timing: Pace
) -> Iterator[np.ndarray]:
    scores = [np.concatenate([[0.0], np.cumsum(r.rewards)]) for r in recordings]
    titles = _titles(recordings)
    overlays = [
        Overlay(r, (panel.width, panel.height)) if r.columns is not None else None
        for r, panel in zip(recordings, layout.panels, strict=True)
    ]
    drawn = [-1] * len(recordings)
    page = layout.blank()
    for frame in range(timing.frames):
        time = frame / timing.fps
        for i, recording in enumerate(recordings):
            step = min(int(time / _dt(recording)), len(recording))
            ended = time > len(recording) * _dt(recording)
            layout.write(
                page,
                i,
                Caption(*titles[i], recording.step, scores[i][step], float(step * _dt(recording)), ended),
            )
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


def _dt(recording: Recording) -> Fraction:
    return Fraction(recording.control_dt).limit_denominator(1_000_000)
