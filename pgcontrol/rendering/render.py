"""Renders clips from recordings in a separate process, which can neither hang nor crash the caller, nor leave files.

The process gets a request as JSON in its only argument, and finds a working OpenGL backend before it imports mujoco.
Exit codes: 0 done (the last line of its output describes the clip as JSON), 1 failed, 3 no backend works on this
machine; the last line of the output is the reason.
"""

import contextlib
import dataclasses
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pgcontrol.machine import graphics
from pgcontrol.machine.graphics import NoGraphics, RenderError
from pgcontrol.machine.processes import confine, end, how_it_ended, last_line, python, start
from pgcontrol.rendering.clip_format import ClipFormat
from pgcontrol.rendering.recording import Recording


class RenderResult(NamedTuple):
    """A rendered and checked clip.

    Attributes:
        backend: the value of MUJOCO_GL with which it was rendered.
        seconds: duration of the rendering.
    """

    path: Path
    frames: int
    fps: float
    backend: str
    seconds: float


def render_clip(
    recordings: Sequence[Path], out: Path, clip: ClipFormat, *, timeout: float = 600.0, backend: str | None = None
) -> RenderResult:
    """Render recordings side by side, and wait for the result.

    Args:
        recordings: files written by Recording.save.
        out: the .mp4 file; it only appears after it is complete and has passed the check.
        clip: its format.
        timeout: seconds after which the renderer is killed.
        backend: a backend that is known to work; None: find one.

    Raises:
        NoGraphics: no OpenGL backend works; the message has the command that fixes it.
        RenderError: any other reason, in one line.
    """
    job = RenderJob(recordings, out, clip, timeout=timeout, backend=backend)
    try:
        while (result := job.poll()) is None:
            time.sleep(0.02)
        return result
    finally:
        job.kill()


class RenderJob:
    """A running render process. No method waits."""

    def __init__(
        self,
        recordings: Sequence[Path],
        out: Path,
        clip: ClipFormat,
        *,
        timeout: float,
        backend: str | None = None,
        niceness: int = 0,
    ) -> None:
        self.out, self.timeout, self._began = out, timeout, time.monotonic()
        request = {
            "recordings": [str(recording.absolute()) for recording in recordings],
            "out": str(out.absolute()),
            "clip": dataclasses.asdict(clip),
            "timeout": timeout + 5,  # the process's own limit, in case this process is gone
            "backend": backend,
            "niceness": niceness,
        }
        # a file instead of a pipe: a full pipe that nobody reads would block the child
        self._output = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115
        env = os.environ | {"OMP_NUM_THREADS": "1", "IMAGEIO_FFMPEG_NO_PREVENT_SIGINT": "1"}
        self._process = start([*command(), json.dumps(request)], env, self._output)

    def poll(self) -> RenderResult | None:
        """The result, or None while rendering.

        Raises:
            NoGraphics: no OpenGL backend works.
            RenderError: rendering failed or took too long; the process has ended.
        """
        name, elapsed = self.out.name, time.monotonic() - self._began
        code = self._process.poll()
        if code is None and elapsed < self.timeout:
            return None
        if code is None:
            self.kill()
            advice = "try a smaller --size or fewer --seconds"
            raise RenderError(f"{name}: not rendered within {self.timeout:g} s; {advice}")
        self._output.seek(0)
        answer = last_line(self._output.read())
        self.kill()
        if code == 0:
            return RenderResult(self.out, seconds=round(elapsed, 2), **json.loads(answer))
        if code == 3:
            raise NoGraphics(answer)
        if code < 0:
            answer = f"the renderer was ended by {how_it_ended(code)}"
        raise RenderError(f"{name}: {answer or how_it_ended(code)}")

    def kill(self) -> None:
        """End the process if it is running, and remove its files."""
        end(self._process)
        with contextlib.suppress(OSError):
            partial_path(self.out, self._process.pid).unlink(missing_ok=True)
        self._output.close()


def command() -> list[str]:
    """The command that renders, without its arguments."""
    return python("pgcontrol.rendering.render")


def partial_path(out: Path, pid: int | str) -> Path:
    """Path to which the render process writes an unfinished clip; it contains the pid, as two may render the same."""
    return out.with_name(f".{out.stem}.{pid}.part.mp4")


def main() -> None:
    """The main function of the render process."""
    request = json.loads(sys.argv[1])
    confine(request["timeout"], request["niceness"])
    try:
        code, line = 0, json.dumps(_render(request))
    except NoGraphics as error:
        code, line = 3, str(error)
    except (RenderError, OSError, ValueError) as error:
        code, line = 1, str(error)
    # on a separate line, in case a driver has printed something before
    print("\n" + " ".join(line.split()), flush=True)
    os._exit(code)  # some drivers crash or hang at exit, when everything is done


def _render(request: dict[str, Any]) -> dict[str, Any]:
    clip, out = ClipFormat(**request["clip"]), Path(request["out"])
    if not out.parent.is_dir():
        raise ValueError(f"{out.parent} is not a folder")
    recordings = [Recording.load(Path(path)) for path in request["recordings"]]
    backend = request["backend"] or graphics.probe(timeout=60.0).require().backend
    os.environ.pop("PYOPENGL_PLATFORM", None)
    os.environ["MUJOCO_GL"] = backend
    from pgcontrol.rendering.film import film

    partial = partial_path(out, os.getpid())
    try:
        with tempfile.TemporaryDirectory() as scratch:
            os.chdir(scratch)  # MuJoCo writes MUJOCO_LOG.TXT to the current folder
            timing = film(recordings, partial, clip)
            os.chdir(out.parent)
        os.replace(partial, out)
    finally:
        partial.unlink(missing_ok=True)
    return {"frames": timing.frames, "fps": float(timing.fps), "backend": backend}


if __name__ == "__main__":
    main()
