"""The log of a run: metrics.jsonl, TensorBoard, other loggers if requested, and the progress in the terminal."""

import json
import math
import os
import sys
import time
import warnings
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from pgcontrol.loggers.base import Logger
from pgcontrol.machine import files
from pgcontrol.machine.terminal import Terminal
from pgcontrol.text import lasting, one_line, short, visible

# metrics that the terminal shows
SHOWN = {"nll": "train/nll", "held out": "eval/nll", "return": "rollout/ep_rew_mean", "length": "rollout/ep_len_mean"}
SHOWN |= {"std": "train/std", "entropy": "train/entropy_loss", "steps/s": "time/fps"}
TAIL = 2**16  # bytes at the end of metrics.jsonl; they hold the last row (about 2 kB) and possible damage after it


class MetricsLog:
    """Writes one JSON row per update, and the same numbers to loggers. The x axis is environment steps.

    If a logger fails, for example without network, a warning is given and the logger is not used any more.
    """

    def __init__(self, metrics_file: Path, start: int = 0, loggers: Mapping[str, Callable[[], Logger]] | None = None):
        """Open the log for appending.

        Args:
            metrics_file: the file; rows after step `start` are removed.
            start: the step from which the run continues.
            loggers: functions that open the loggers, by name.
        """
        if metrics_file.exists():
            kept = [row for row in read_rows(metrics_file) if row["time/total_timesteps"] <= start]
            files.replace({metrics_file: "".join(_line(row) for row in kept)})
        self._file = metrics_file.open("a", buffering=1)
        self.loggers: dict[str, Logger] = {}
        for name, opens in (loggers or {}).items():
            with self._without(name):
                self.loggers[name] = opens()

    def write(self, steps: int, row: Mapping[str, float]) -> None:
        """Append one row. Infinite and NaN values become null in JSON."""
        row = {"time/total_timesteps": steps} | dict(row)
        self._file.write(_line(finite(row)))
        for name, logger in list(self.loggers.items()):
            with self._without(name):
                logger.write(steps, row)

    def sync(self) -> None:
        """Write the rows to the disk, so that a checkpoint is never newer than the log."""
        os.fsync(self._file.fileno())

    @contextmanager
    def _without(self, name: str) -> Generator[None]:
        """Continue without the logger if it fails."""
        try:
            yield
        except Exception as error:  # loggers depend on other programs and on networks: no failure may stop the training
            self.loggers.pop(name, None)
            warnings.warn(f"logger {name!r} failed and is off from now on: {one_line(error)}", stacklevel=2)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._file.close()
        for name, logger in list(self.loggers.items()):
            with self._without(name):
                logger.close(failed=kind is not None)


def finite(thing: Any) -> Any:
    """Replace infinite and NaN values in dicts, lists and tuples by None, because JSON cannot represent them."""
    if isinstance(thing, Mapping):
        return {name: finite(value) for name, value in thing.items()}
    if isinstance(thing, list | tuple):
        return [finite(value) for value in thing]
    return None if isinstance(thing, float) and not math.isfinite(thing) else thing


def read_rows(metrics_file: Path) -> list[dict[str, Any]]:
    """The rows of a metrics.jsonl; a run may be writing to it.

    Damaged lines are skipped with a warning. An incomplete last line is skipped without a warning.
    """
    text = files.read_text(metrics_file, "replace")
    rows = [_row(line) for line in text.splitlines()]
    lost = [str(number) for number, row in enumerate(rows, start=1) if row is None]
    if lost and not text.endswith("\n"):
        lost.remove(str(len(rows)))
    if lost:
        warnings.warn(f"{metrics_file}: skipped damaged lines: {', '.join(lost)}", stacklevel=2)
    return [row for row in rows if row]


def last_row(metrics_file: Path) -> dict[str, Any] | None:
    """The newest row of a metrics.jsonl; None if there is no row yet. Reads only the end of the file."""
    try:
        with files.plain(metrics_file).open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return None
    return next((row for line in reversed(lines) if (row := _row(line))), None)


def _line(row: dict[str, Any]) -> str:
    return json.dumps(files.sealed(row)) + "\n"


def _row(line: str) -> dict[str, Any] | None:
    try:
        row = files.unsealed(json.loads(line))
    except (ValueError, AttributeError):
        return None
    return row if isinstance(row, dict) and isinstance(row.get("time/total_timesteps"), int | float) else None


class _Quiet(Terminal):
    """A console that becomes silent, instead of ending the program, if its pipe is closed or the disk is full."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    def print(self, *objects: Any, **how: Any) -> None:
        try:
            super().print(*objects, **how)
        except OSError:
            self.on_broken_pipe()


class Display:
    """Progress of a run: a live bar in a terminal, plain lines if the output is a file or a pipe."""

    def __init__(self, title: str, total: int, start: int = 0, quiet: bool = False, every: float = 10.0):
        self.console = _Quiet(quiet=quiet, highlight=False, soft_wrap=True)
        self.total, self.every = total, every
        self._last_line = 0.0
        self._bar: Progress | None = None
        if self.console.is_terminal and not quiet:
            named = TextColumn("{task.description}", markup=False)
            columns = named, BarColumn(bar_width=24), TaskProgressColumn(), "{task.fields[numbers]}"
            self._bar = Progress(*columns, TimeRemainingColumn(), console=self.console)
            self._task = self._bar.add_task(visible(title), total=total, completed=start, numbers="")
            self._bar.start()
        else:
            self.say(title)

    def update(self, steps: int, row: Mapping[str, float], left: float) -> None:
        """Show the progress. `left` is the expected remaining time in seconds."""
        row = {name: -value if name == "train/entropy_loss" else value for name, value in row.items()}
        numbers = "  ".join(f"{word} {short(row[name])}" for word, name in SHOWN.items() if name in row)
        if self._bar:
            self._bar.update(self._task, completed=steps, numbers=numbers)
        elif time.monotonic() - self._last_line >= self.every or steps >= self.total:
            self._last_line = time.monotonic()
            self.say(f"{steps:>10,} / {self.total:,}  {numbers}  left {lasting(max(left, 0.0))}")

    def say(self, line: str) -> None:
        """Print one line, above the bar if there is one."""
        self.console.print(line)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar:  # restore the terminal
            self._bar.stop()
