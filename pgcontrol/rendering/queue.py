"""Clips during training: one render process at a time, at the lowest priority, and nothing that can stop a run."""

import contextlib
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Self

from pgcontrol.machine.graphics import NoGraphics, RenderError
from pgcontrol.rendering.clip_format import ClipFormat
from pgcontrol.rendering.pending import claimed, clear, clip_path, pending, recording_of
from pgcontrol.rendering.recording import Recording
from pgcontrol.rendering.render import RenderJob
from pgcontrol.text import count

LONGEST = 120.0  # seconds that a training waits at its end for clips, if it has taken as long itself


class RenderQueue:
    """Renders a run's recordings in the background; `poll` it now and then. As a context, it leaves no process behind.

    Those of clips that failed, were dropped or came too late stay: `pgcontrol video RUN --pending` renders them.

    Args:
        videos: the run's folder of clips; no other process trains this run.
        say: gets a line about trouble, of each kind (failed, dropped, no graphics) the first time only.
        clip: what the clips look like.
        capacity: clips that may wait; one more drops the oldest of them.
        timeout: seconds after which a clip is given up. Generous, because beside a training that uses all cores a
            process of this priority gets a few percent of one.
    """

    def __init__(
        self,
        videos: Path,
        say: Callable[[str], object],
        clip: ClipFormat,
        *,
        capacity: int = 4,
        timeout: float = 1800.0,
    ) -> None:
        self._videos, self._say, self._clip, self._capacity, self._timeout = videos, say, clip, capacity, timeout
        self._waiting: deque[Path] = deque()
        self._job: RenderJob | None = None
        self._claim = contextlib.ExitStack()  # on the recording of the clip in work
        self._backend: str | None = None
        self._no_graphics = False
        self._said: set[str] = set()

    def __len__(self) -> int:
        """Clips waiting or in work."""
        return len(self._waiting) + (self._job is not None)

    def take_up(self, until: int) -> None:
        """Put in the queue what an earlier session has left of steps up to `until`; later steps are played again."""
        clear(self._videos)
        self._waiting.extend(pending(self._videos, until))

    def submit(self, recording: Recording) -> None:
        """Keep a recording, put its clip in the queue, and return at once."""
        out = clip_path(self._videos, recording.step)
        try:
            recording.save(recording_of(out))
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
        while self._job is None and self._waiting:
            out = self._waiting.popleft()
            if not self._claim.enter_context(claimed(out)):
                self._claim.close()
                continue
            try:
                # the first finds the backend, the others are spared the search
                self._job = RenderJob(
                    [recording_of(out)], out, self._clip, timeout=self._timeout, backend=self._backend, niceness=19
                )
            except OSError as error:  # no memory or no descriptors for another process
                self._claim.close()
                self._say_once("failed", f"no clip: {out.name}: {error}; its recording stays")

    def finish(self, trained: float, interrupt: object = False) -> None:
        """Wait for clips still to come, unless `interrupt` becomes true: at most `LONGEST`, and as long as was trained.

        Args:
            trained: seconds.
            interrupt: true as soon as nobody wants to wait.
        """
        if len(self):
            self._say(f"rendering the last clips ({len(self)}); Ctrl-C leaves without them")
        deadline = time.monotonic() + min(trained, LONGEST)
        while len(self) and time.monotonic() < deadline and not interrupt:
            time.sleep(0.05)
            self.poll()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.poll()
        self._waiting.clear()
        if self._job is not None:
            self._job.kill()
            self._done()
        if left := pending(self._videos):
            from pgcontrol.runs.folder import RunFolder  # the worlds come with it, which a queue alone does without

            command = RunFolder(self._videos.parent).command("video", "--pending")
            self._say(f"{count(len(left), 'clip')} still to be rendered: {command}")

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
                recording_of(job.out).unlink()
        self._done()

    def _done(self) -> None:
        self._job = None
        self._claim.close()

    def _say_once(self, kind: str, message: str) -> None:
        if kind not in self._said:
            self._said.add(kind)
            self._say(message)
