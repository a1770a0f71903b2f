"""Clips during training: one render process at a time, at the lowest priority, and nothing that can stop a run."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from pgcontrol.machine.processes import NoGraphics, RenderError
from pgcontrol.video.render import Job, RenderResult


class RenderQueue:
    """Renders recordings in the background; `poll` it now and then.

    A recording is deleted once its clip is made. Those of clips that failed or were dropped stay, and
    `python -m pgcontrol.video.render --out CLIP.mp4 RECORDING` renders them later.

    Args:
        say: told of trouble, one line; of each kind (failed, dropped, no graphics) the first time only.
        seconds: length of the clips.
        size: (width, height) of the picture in pixels.
        capacity: clips that may wait; one more drops the oldest of them.
        timeout: seconds after which a clip is given up. Generous, because beside a training that uses all cores a
            process of this priority gets a few percent of one.
    """

    def __init__(
        self,
        say: Callable[[str], object] = print,
        *,
        seconds: float = 10.0,
        size: tuple[int, int] = (640, 480),
        capacity: int = 4,
        timeout: float = 1800.0,
    ) -> None:
        self.clips: list[Path] = []
        """Made so far."""
        self.dropped = self.failed = 0
        self._say, self._seconds, self._size = say, seconds, size
        self._capacity, self._timeout = capacity, timeout
        self._waiting: deque[tuple[Path, Path]] = deque()
        self._job: Job | None = None
        self._recording = Path()
        self._backend: str | None = None
        self._told: set[str] = set()
        self._no_graphics = False

    def __len__(self) -> int:
        """Clips waiting or in work."""
        return len(self._waiting) + (self._job is not None)

    def submit(self, recording: Path, out: Path) -> None:
        """Put a clip in the queue and return at once."""
        if self._no_graphics:
            self.dropped += 1
            return
        self._waiting.append((recording, out))
        if len(self._waiting) > self._capacity:
            _, late = self._waiting.popleft()
            self._drop(f"clips come faster than they render; left out {late.name}, its recording stays")
        self.poll()

    def poll(self) -> None:
        """See whether the clip in work is done, start the next. Never waits, never raises."""
        if self._job is not None:
            self._collect(self._job)
        if self._job is None and self._waiting:
            self._begin(*self._waiting.popleft())

    def close(self, timeout: float = 60.0) -> None:
        """Wait so many seconds for what is left; kill and drop the rest. Nothing runs afterwards."""
        deadline = time.monotonic() + timeout
        try:
            self.poll()
            while len(self) and time.monotonic() < deadline:
                time.sleep(0.02)
                self.poll()
        finally:
            left, self._waiting = len(self), deque()
            if self._job is not None:
                self._job.kill()
                self._job = None
            if left:
                self.dropped += left - 1
                self._drop(f"clips not rendered in time: {left}; their recordings stay")

    def _begin(self, recording: Path, out: Path) -> None:
        self._recording = recording
        try:
            # the first finds the backend, the others are spared the search
            self._job = Job(
                [recording],
                out,
                seconds=self._seconds,
                size=self._size,
                timeout=self._timeout,
                backend=self._backend,
                niceness=19,
            )
        except OSError as error:  # no memory or no descriptors for another process
            self._fail(f"{out.name}: {error}")

    def _collect(self, job: Job) -> None:
        try:
            result: RenderResult | None = job.poll()
        except NoGraphics as error:
            self._job = None
            self._give_up(str(error))
        except (RenderError, OSError, ValueError) as error:
            self._job = None
            self._fail(str(error))
        else:
            if result is None:
                return
            self._job, self._backend = None, result.backend
            self.clips.append(result.path)
            with contextlib.suppress(OSError):
                self._recording.unlink()

    def _give_up(self, why: str) -> None:
        self._no_graphics = True
        self.dropped += 1 + len(self._waiting)
        self._waiting.clear()
        self._tell("graphics", f"no clips: {why}")

    def _fail(self, why: str) -> None:
        self.failed += 1
        self._tell("failed", f"no clip: {why}; its recording stays")

    def _drop(self, why: str) -> None:
        self.dropped += 1
        self._tell("dropped", why)

    def _tell(self, kind: str, message: str) -> None:
        if kind not in self._told:
            self._told.add(kind)
            self._say(message)
