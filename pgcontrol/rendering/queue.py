"""Renders clips during training: one process at a time with the lowest priority; errors cannot stop the run."""

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

LONGEST = 120.0  # maximum time in seconds that a training waits for clips at its end


class RenderQueue:
    """Renders a run's recordings in the background; call `poll` regularly. As a context, it leaves no process behind.

    Recordings of clips that failed, were dropped or came too late are kept: `pgcontrol video RUN --pending` renders
    them.

    Args:
        videos: the run's folder of clips; no other process may train this run.
        say: receives a message about each kind of problem (failed, dropped, no graphics), once.
        clip: format of the clips.
        capacity: number of clips that may wait; one more drops the oldest.
        timeout: seconds after which a clip is given up. Long, because a process with this priority gets a few percent
            of a core while a training uses all cores.
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
        self._claim = contextlib.ExitStack()  # lock on the recording that is being rendered
        self._backend: str | None = None
        self._no_graphics = False
        self._said: set[str] = set()

    def __len__(self) -> int:
        """Number of clips that are waiting or being rendered."""
        return len(self._waiting) + (self._job is not None)

    def take_up(self, until: int) -> None:
        """Enqueue clips of an earlier session for steps up to `until`; later steps will be played again."""
        clear(self._videos)
        self._waiting.extend(pending(self._videos, until))

    def submit(self, recording: Recording) -> None:
        """Save a recording and enqueue its clip; returns immediately."""
        out = clip_path(self._videos, recording.step)
        try:
            recording.save(recording_of(out))
        except OSError as error:  # with a full disk the clip is lost, but the run continues
            self._say(f"no clip of step {recording.step:,}: {error}")
            return
        if self._no_graphics:
            return
        self._waiting.append(out)
        if len(self._waiting) > self._capacity:
            late = self._waiting.popleft()
            self._say_once(
                "dropped", f"clips come faster than they are rendered; skipped {late.name}, kept its recording"
            )
        self.poll()

    def poll(self) -> None:
        """Check whether the current clip is done, and start the next one. Never waits, never raises."""
        if self._job is not None:
            self._collect(self._job)
        while self._job is None and self._waiting:
            out = self._waiting.popleft()
            if not self._claim.enter_context(claimed(out)):
                self._claim.close()
                continue
            try:
                # the first job finds the backend; later ones reuse it
                self._job = RenderJob(
                    [recording_of(out)], out, self._clip, timeout=self._timeout, backend=self._backend, niceness=19
                )
            except OSError as error:  # not enough memory or file descriptors for another process
                self._claim.close()
                self._say_once("failed", f"no clip: {out.name}: {error}; its recording is kept")

    def finish(self, trained: float, interrupt: object = False) -> None:
        """Wait for the remaining clips: at most `LONGEST`, and at most as long as the training took.

        Args:
            trained: duration of the training in seconds.
            interrupt: waiting ends when it becomes true.
        """
        if len(self):
            self._say(f"rendering the last clips ({len(self)}); press Ctrl-C to stop waiting")
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
            from pgcontrol.runs.folder import RunFolder  # imported late: it imports the environments

            command = RunFolder(self._videos.parent).command("video", "--pending")
            self._say(f"{count(len(left), 'clip')} not rendered yet: {command}")

    def _collect(self, job: RenderJob) -> None:
        try:
            result = job.poll()
        except NoGraphics as error:
            self._no_graphics = True
            self._waiting.clear()
            self._say_once("graphics", f"no clips: {error}")
        except (RenderError, OSError, ValueError) as error:
            self._say_once("failed", f"no clip: {error}; its recording is kept")
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
