"""Clips from recordings, made by a process of their own that can neither hang, crash nor litter the one that asks.

    python -m pgcontrol.video.render --out clip.mp4 RECORDING [RECORDING ...]

The process probes for a working OpenGL backend before it imports mujoco. Exit codes: 0 done (one JSON object on stdout
says what), 1 not made, 2 bad input, 3 no backend draws on this machine; one line on stderr.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, NamedTuple, NoReturn

from pgcontrol.machine import graphics
from pgcontrol.machine.processes import (
    NoGraphics,
    RenderError,
    confine,
    end,
    how_it_ended,
    last_line,
    python,
    start,
)
from pgcontrol.video.movie import partial_path

MAX_FPS = 50.0
SIZE = (640, 480)
CRF = 20


class RenderResult(NamedTuple):
    """A clip that was made and checked."""

    path: Path
    frames: int
    fps: float
    backend: str
    """Value of MUJOCO_GL it was drawn with."""
    seconds: float
    """It took."""


def render_clip(
    recordings: Sequence[Path],
    out: Path,
    *,
    seconds: float | None = None,
    size: tuple[int, int] = SIZE,
    timeout: float = 600.0,
    max_fps: float = MAX_FPS,
    crf: int = CRF,
) -> RenderResult:
    """Render recordings side by side, and wait for it.

    Args:
        recordings: files written by Recording.save.
        out: the .mp4; nothing appears under this name unless it is whole and good.
        seconds: at most this long; the whole episodes if None.
        size: (width, height) in pixels of one scene, even numbers.
        timeout: seconds after which the renderer is killed.
        max_fps: steps above this rate are dropped.
        crf: x264's constant rate factor: six more is half the bytes, and coarser.

    Raises:
        NoGraphics: no OpenGL backend works; the message has the line that mends it.
        RenderError: any other reason, in one line.
    """
    job = Job(recordings, out, seconds=seconds, size=size, timeout=timeout, max_fps=max_fps, crf=crf)
    try:
        while True:
            if result := job.poll():
                return result
            time.sleep(0.02)
    finally:
        job.kill()


class Job:
    """A render process at work. Nothing here waits."""

    def __init__(
        self,
        recordings: Sequence[Path],
        out: Path,
        *,
        seconds: float | None = None,
        size: tuple[int, int] = SIZE,
        timeout: float = 600.0,
        backend: str | None = None,
        niceness: int = 0,
        max_fps: float = MAX_FPS,
        crf: int = CRF,
    ) -> None:
        self.out, self.timeout, self._began = out, timeout, time.monotonic()
        # files, not pipes: a pipe that nobody reads while the caller does other things would fill up and stop the child
        self._stdout, self._stderr = tempfile.TemporaryFile("w+"), tempfile.TemporaryFile("w+")  # noqa: SIM115
        env = os.environ | {"OMP_NUM_THREADS": "1", "IMAGEIO_FFMPEG_NO_PREVENT_SIGINT": "1"}
        arguments = [*(str(r.absolute()) for r in recordings), "--out", str(out.absolute())]
        arguments += ["--size", f"{size[0]}x{size[1]}", "--nice", str(niceness)]
        arguments += ["--max-fps", str(max_fps), "--crf", str(crf)]
        arguments += ["--timeout", str(timeout + 5)]  # its own limit is for when we are gone
        arguments += ["--seconds", str(seconds)] if seconds is not None else []
        arguments += ["--backend", backend] if backend else []
        self._process = start([*command(), *arguments], env, self._stdout, self._stderr)

    def poll(self) -> RenderResult | None:
        """The result, or None while it is not there yet.

        Raises:
            NoGraphics: no OpenGL backend works.
            RenderError: not made, or out of time; the process is gone then.
        """
        elapsed = time.monotonic() - self._began
        code = self._process.poll()
        if code is None and elapsed < self.timeout:
            return None
        if code is None:
            self.kill()
            raise RenderError(
                f"{self.out.name}: not rendered within {self.timeout:g} s; a smaller size takes less time"
            )
        said, complaint = _read(self._stdout), last_line(_read(self._stderr))
        self.kill()
        if code == 0:
            return RenderResult(self.out, seconds=round(elapsed, 2), **json.loads(said))
        if code == 3:
            raise NoGraphics(complaint)
        if code < 0:
            complaint = f"the renderer was ended by {how_it_ended(code)}"
        raise RenderError(f"{self.out.name}: {complaint or how_it_ended(code)}")

    def kill(self) -> None:
        """End the process if it runs, and clean up after it."""
        end(self._process)
        with contextlib.suppress(OSError):
            partial_path(self.out, self._process.pid).unlink(missing_ok=True)
        self._stdout.close()
        self._stderr.close()


def command() -> list[str]:
    """The command that renders, before its arguments."""
    return python("pgcontrol.video.render")


def main(argv: Sequence[str] | None = None) -> None:
    """The render process."""
    arguments = _parser().parse_args(argv)
    confine(arguments.timeout, arguments.nice)
    try:
        made = _render(arguments)
    except NoGraphics as error:
        _fail(3, str(error))
    except ValueError as error:
        _fail(2, str(error))
    except (RenderError, OSError) as error:
        _fail(1, str(error))
    print(json.dumps(made), flush=True)
    os._exit(0)  # some drivers crash or hang while they are taken down, after all is done


def _render(arguments: argparse.Namespace) -> dict:
    out, files = arguments.out.absolute(), [file.absolute() for file in arguments.recordings]
    if not out.parent.is_dir():
        raise ValueError(f"{out.parent} is no folder")
    backend = arguments.backend or graphics.probe(timeout=60.0).require().backend
    os.environ.pop("PYOPENGL_PLATFORM", None)
    os.environ["MUJOCO_GL"] = backend
    from pgcontrol.video.film import film
    from pgcontrol.video.recording import Recording

    recordings = [Recording.load(file) for file in files]
    with tempfile.TemporaryDirectory() as scratch:
        os.chdir(scratch)  # MuJoCo writes MUJOCO_LOG.TXT where it stands
        timing = film(
            recordings,
            out,
            seconds=arguments.seconds,
            size=arguments.size,
            max_fps=arguments.max_fps,
            crf=arguments.crf,
        )
        os.chdir(out.parent)
    return {"frames": timing.frames, "fps": float(timing.fps), "backend": backend}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m pgcontrol.video.render", description="Recordings to a clip.")
    parser.add_argument("recordings", type=Path, nargs="+", metavar="RECORDING", help="side by side where several")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.mp4")
    parser.add_argument("--size", type=_size, default=SIZE, metavar="WxH", help="of one scene [640x480]")
    parser.add_argument("--seconds", type=float, metavar="S", help="at most this long [whole episodes]")
    parser.add_argument("--max-fps", type=float, default=MAX_FPS, metavar="R", help="drop steps above this rate [50]")
    parser.add_argument("--crf", type=int, default=CRF, metavar="Q", help="coarseness, 6 more is half the bytes [20]")
    parser.add_argument("--timeout", type=float, default=600.0, metavar="S", help="give up after this long [600]")
    parser.add_argument("--nice", type=int, default=0, metavar="N", help="lower the priority by this much [0]")
    parser.add_argument("--backend", metavar="NAME", help="MUJOCO_GL, without probing")
    return parser


def _size(text: str) -> tuple[int, int]:
    width, height = text.lower().split("x")
    return int(width), int(height)


def _fail(code: int, message: str) -> NoReturn:
    print(" ".join(message.split()), file=sys.stderr, flush=True)
    os._exit(code)


def _read(file: IO[str]) -> str:
    file.seek(0)
    return file.read()


if __name__ == "__main__":
    main()
