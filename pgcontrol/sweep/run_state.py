"""What lies in the run folders of a sweep's cells, and beside them: logs, and why cells failed."""

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
from pgcontrol.sweep.sweep import Cell


def holds(folder: Path, run: Mapping[str, Any] | None) -> bool:
    """Whether the run in the folder has these settings; one whose config is missing or damaged has none."""
    try:
        found = flat(nested(configure(read_yaml(folder / "config.yaml"))))
    except InputError:
        return False
    return run is not None and all(found.get(key) == value for key, value in run.items())


def begun(cell: Cell, folder: Path) -> bool:
    """Whether the folder holds a checkpoint of this very cell to go on from; a peer's run does not go on."""
    return cell.config.peer == "none" and bool(checkpoint.find(folder)) and holds(folder, cell.run())


def ended(cell: Cell, folder: Path) -> bool:
    """Whether the cell's run has come to an end of its own: divergence is a result, too, once there is a row of it.

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
    """`ended`; what is damaged has not."""
    try:
        return ended(cell, folder)
    except InputError:
        return False


def reached(folder: Path) -> int:
    """Environment steps of the newest checkpoint; 0 before the first."""
    found = checkpoint.find(folder)
    return checkpoint.steps_of(found[-1]) if found else 0


def log_of(cell: Cell, where: Path) -> Path:
    """Output of a cell's process. Who works on the cell has it locked, so it is never removed."""
    return where / f"{cell.name}.log"


@contextmanager
def alone(cell: Cell, where: Path) -> Generator[int]:
    """Keep a cell to this process; see `locks.alone`.

    Raises:
        InputError: another has it.
    """
    log = log_of(cell, where)
    log.touch()
    with locks.alone(log, f"{where / cell.name}: another process works on it") as lock:
        yield lock


def held(cell: Cell, where: Path) -> bool:
    """Whether a process has the cell, on this machine or on another with which the folder is shared."""
    return locks.taken(log_of(cell, where))


def foreign(cell: Cell, folder: Path) -> bool:
    """Whether something is in the cell's place that is not the cell's: a run of other settings, or no run of ours."""
    return folder.exists() and not (folder.is_dir() and (holds(folder, cell.run()) or not any(folder.iterdir())))


def set_aside(folder: Path, word: str) -> None:
    """Rename a run folder, if there is one, to the first free of NAME.word, NAME.word.2, ..."""
    if folder.exists():
        folder.rename(files.free(folder.with_name(f"{folder.name}.{word}"), "."))


def note_failure(cell: Cell, folder: Path, why: str) -> None:
    """Keep why a cell failed, beside its folder, for whoever reports it; an empty reason takes it back."""
    note = _note(folder)
    if why:
        note.write_text(json.dumps({"why": why, "run": cell.run()}, indent=1) + "\n")
    else:
        note.unlink(missing_ok=True)


def failure(cell: Cell, folder: Path) -> str:
    """Why this very cell failed when it last ran; empty where it did not, or nobody knows."""
    try:
        told = json.loads(files.read_text(_note(folder)))
        return str(told["why"]) if told["run"] == json.loads(json.dumps(cell.run())) else ""
    except (OSError, ValueError, KeyError, TypeError):  # no note, or none of ours
        return ""


def noted(folder: Path) -> tuple[int, int] | None:
    """When a failure was noted: another answer than before is a new failure, or the end of one."""
    return files.stamp(_note(folder))


def _note(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.failed")
