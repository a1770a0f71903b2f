"""Clips during training: one render process at a time, at the lowest priority, and nothing that can stop a run."""

import contextlib
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Self

from pgcontrol.machine.graphics import NoGraphics, RenderError
from pgcontrol.rendering.clip_format import ClipFormat
from pgcontrol.rendering.recording import Recording
from pgcontrol.rendering.render import RenderJob


class RenderQueue:
    """Renders recordings in the background; `poll` it now and then. As a context, it leaves no process behind.

    A recording lies beside its clip, as .npz, and is deleted once the clip is made. Those of clips that failed or were
    dropped stay, and `pgcontrol video RECORDING.npz --out CLIP.mp4` renders them later.

    Args:
        say: gets a line about trouble, of each kind (failed, dropped, no graphics) the first time only.
        clip: what the clips look like.
        capacity: clips that may wait; one more drops the oldest of them.
        timeout: seconds after which a clip is given up. Generous, because beside a training that uses all cores a
            process of this priority gets a few percent of one.
    """

    def __init__(
        self, say: Callable[[str], object], clip: ClipFormat, *, capacity: int = 4, timeout: float = 1800.0
    ) -> None:
        self._say, self._clip, self._capacity, self._timeout = say, clip, capacity, timeout
        self._waiting: deque[Path] = deque()
        self._job: RenderJob | None = None
        self._backend: str | None = None
        self._no_graphics = False
        self._said: set[str] = set()

    def __len__(self) -> int:
        """Clips waiting or in work."""
        return len(self._waiting) + (self._job is not None)

    def submit(self, recording: Recording, out: Path) -> None:
        """Keep a recording, put its clip, the .mp4 `out`, in the queue, and return at once."""
        try:
            recording.save(_recording_of(out))
        except OSError as error:  # a full disk costs the clip, not the run
            self._say(f"no clip of step {recording.step:,}: {error}")
            return
        if self._no_graphics:
            return
        self._waiting.append(out)
        if len(self._waiting) > self._capacity:
            late = self._waiting.popleft()
            self._say_once("dropped", f"clips come faster than they render; left out {late.name}, its recording stays")
        self.poll()

    def poll(self) -> None:
        """See whether the clip in work is done, start the next. Never waits, never raises."""
        if self._job is not None:
            self._collect(self._job)
        if self._job is None and self._waiting:
            out = self._waiting.popleft()
            try:
                # the first finds the backend, the others are spared the search
                self._job = RenderJob(
                    [_recording_of(out)], out, self._clip, timeout=self._timeout, backend=self._backend, niceness=19
                )
            except OSError as error:  # no memory or no descriptors for another process
                self._say_once("failed", f"no clip: {out.name}: {error}; its recording stays")

    def finish(self, interrupt: object = False, seconds: float = 120.0) -> None:
        """Wait so long for clips still to come, unless `interrupt` becomes true."""
        if len(self):
            self._say(f"rendering the last clips ({len(self)}); Ctrl-C leaves without them")
        deadline = time.monotonic() + seconds
        while len(self) and time.monotonic() < deadline and not interrupt:
            time.sleep(0.05)
            self.poll()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.poll()
        left = len(self)
        self._waiting.clear()
        if self._job is not None:
            self._job.kill()
            self._job = None
        if left:
            self._say_once("dropped", f"clips not rendered in time: {left}; their recordings stay")

    def _collect(self, job: RenderJob) -> None:
        try:
            result = job.poll()
        except NoGraphics as error:
            self._no_graphics = True
            self._waiting.clear()
            self._say_once("graphics", f"no clips: {error}")
        except (RenderError, OSError, ValueError) as error:
            self._say_once("failed", f"no clip: {error}; its recording stays")
        else:
            if result is None:
                return
            self._backend = result.backend
            with contextlib.suppress(OSError):
                _recording_of(job.out).unlink()
        self._job = None

    def _say_once(self, kind: str, message: str) -> None:
        if kind not in self._said:
            self._said.add(kind)
            self._say(message)


def _recording_of(out: Path) -> Path:
    return out.with_suffix(".npz")
