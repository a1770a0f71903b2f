"""The state of a sweep's cells on disk: their run folders, and next to them logs and notes of failures."""

import json
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pgcontrol.machine import files, locks
from pgcontrol.options import InputError
from pgcontrol.runs import checkpoint
from pgcontrol.runs.config import configure, flat, nested, read_yaml
from pgcontrol.runs.folder import RunFolder
from pgcontrol.runs.log import last_row
from pgcontrol.sweep.cell import Cell


def holds(folder: Path, run: Mapping[str, Any] | None) -> bool:
    """Whether the run in the folder has these settings; False if its config is missing or damaged."""
    try:
        found = flat(nested(configure(read_yaml(folder / "config.yaml"))))
    except InputError:
        return False
    return run is not None and all(found.get(key) == value for key, value in run.items())


def begun(cell: Cell, folder: Path) -> bool:
    """Whether the folder has a checkpoint of this cell to resume from; a peer's run cannot be resumed."""
    return cell.config.peer == "none" and bool(checkpoint.find(folder)) and holds(folder, cell.run())


def ended(cell: Cell, folder: Path) -> bool:
    """Whether the cell's run is complete: finished, or diverged with at least one row in its log.

    Raises:
        InputError: the folder is damaged.
    """
    run = RunFolder(folder)
    if not run.config_file.exists():
        return False
    run.config()
    if not holds(folder, cell.run()):
        return False
    status, log = run.manifest().get("status"), run.metrics_file
    if status == "finished" and last_row(log) is None:
        raise InputError(f"it has finished, but {log.name} has no row")
    return status == "finished" or (status == "diverged" and last_row(log) is not None)


def over(cell: Cell, folder: Path) -> bool:
    """Like `ended`; False if the folder is damaged."""
    try:
        return ended(cell, folder)
    except InputError:
        return False


def reached(folder: Path) -> int:
    """Environment steps of the newest checkpoint; 0 without one."""
    found = checkpoint.find(folder)
    return checkpoint.steps_of(found[-1]) if found else 0


def log_of(cell: Cell, where: Path) -> Path:
    """File with the output of a cell's process. The process that works on the cell locks it, so it is never removed."""
    return where / f"{cell.name}.log"


@contextmanager
def alone(cell: Cell, where: Path) -> Generator[int]:
    """Lock a cell for this process; see `locks.alone`.

    Raises:
        InputError: another process has locked it.
    """
    log = log_of(cell, where)
    log.touch()
    with locks.alone(log, f"{where / cell.name}: another process works on it") as lock:
        yield lock


def held(cell: Cell, where: Path) -> bool:
    """Whether a process has locked the cell, on this machine or on another one that shares the folder."""
    return locks.taken(log_of(cell, where))


def foreign(cell: Cell, folder: Path) -> bool:
    """Whether the cell's folder holds something else: a run with other settings, or no run at all."""
    return folder.exists() and not (folder.is_dir() and (holds(folder, cell.run()) or not any(folder.iterdir())))


def set_aside(folder: Path, word: str) -> None:
    """Rename a run folder, if it exists, to the first free name of NAME.word, NAME.word.2, ..."""
    if folder.exists():
        folder.rename(files.free(folder.with_name(f"{folder.name}.{word}"), "."))


def note_failure(cell: Cell, folder: Path, why: str, crashed: bool = False) -> None:
    """Save why a cell failed, next to its folder; an empty reason deletes the note.

    Args:
        crashed: whether an unexpected exception ended it.
    """
    note = _note(folder)
    if why:
        note.write_text(json.dumps({"why": why, "crashed": crashed, "run": cell.run()}, indent=1) + "\n")
    else:
        note.unlink(missing_ok=True)


def failure(cell: Cell, folder: Path) -> str:
    """The error message of this cell's last run; empty if it did not fail, or if that is unknown."""
    return str(_failure(cell, folder).get("why", ""))


def crashed(cell: Cell, folder: Path) -> bool:
    """Whether an unexpected exception, which the same run would raise again, ended this cell's last run."""
    return _failure(cell, folder).get("crashed") is True


def _failure(cell: Cell, folder: Path) -> dict[str, Any]:
    """The note of this cell's failure; empty if there is none, or no valid one."""
    try:
        note = json.loads(files.read_text(_note(folder)))
        return note if note["run"] == json.loads(json.dumps(cell.run())) else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def noted(folder: Path) -> tuple[int, int] | None:
    """Stamp of the note of a failure: if it changes, there is a new failure, or the note was deleted."""
    return files.stamp(_note(folder))


def _note(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.failed")
