"""The results file of a sweep: one small row per finished cell, next to the YAML, meant to be committed."""

import functools
import json
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Set
from contextlib import AbstractContextManager
from pathlib import Path
from statistics import mode
from typing import Any

from pgcontrol_envs.plugins import loaded

from pgcontrol.arguments import EVALUATION_SEED
from pgcontrol.machine import files, locks, revisions
from pgcontrol.machine.revisions import committed, unclean
from pgcontrol.options import InputError, near_miss
from pgcontrol.runs import catalog, recommended
from pgcontrol.runs.config import Config
from pgcontrol.runs.folder import RunFolder
from pgcontrol.runs.log import read_rows
from pgcontrol.sweep import run_state
from pgcontrol.sweep.cell import Cell, Key, difference, run_of
from pgcontrol.sweep.row import SHORTEST, Row, run_from
from pgcontrol.sweep.sweep import Sweep
from pgcontrol.text import count
from pgcontrol.training import outcome

# the fields of the manifest that a row keeps; the others identify a machine
PROVENANCE = ("versions", "plugins", "seeds", "threads", "compiled", "instructions", "reproducible", "machine", "load")


class Unscored(InputError):
    """A run ended without a return."""


class Unclean(InputError):
    """A row of a tree with uncommitted changes must not be added to a committed file."""


def row_of(cell: Cell, folder: Path, plots: Iterable[str]) -> Row:
    """The row of a run that has ended, from its folder. A diverged run has the last return in training.

    If the run was not scored with the cell's number of episodes, its final policy is scored now.

    Raises:
        Unscored: it diverged before an episode ended.
        InputError: the final policy is missing and was not scored.
    """
    run = RunFolder(folder)
    manifest = run.manifest()
    diverged = manifest.get("status") == "diverged"
    found = outcome.read(run, 0 if diverged else cell.episodes)
    if found.get("return") is None and found.get("training") is None:
        raise Unscored("it diverged before an episode ended, so it has no return")
    line = {
        **cell.key._asdict(),
        "settings": cell.settings,
        "config": run_of(run.config()),
        "origins": _origins(cell, run.config()),
        **found,
        "diverged": diverged,
        **judged(folder),
        "seconds": max(manifest.get("seconds") or 0.0, SHORTEST),
        "provenance": {name: manifest[name] for name in PROVENANCE if name in manifest},
        "revision": manifest.get("git"),
        **({"dirty": True} if unclean(manifest.get("git")) else {}),
    }
    row = Row.read(line)
    return row.changed(curves=row.line["curves"] | _gained(row, folder, plots))


def _origins(cell: Cell, config: Config) -> dict[str, str]:
    """The source of each setting that is not a default, by dotted name: `recommended`, or as in `Cell.origins`."""
    advised = recommended.of(config.env, config.head.name, config.method)
    advised |= catalog.algorithms()[config.method].recommended
    return {key: "recommended" for key in advised if key in run_of(config)} | dict(cell.origins)


def judged(folder: Path) -> dict[str, Any]:
    """The last verdict on a run, the line that explains it (both None without a verdict), and whether it is proved."""
    found = RunFolder(folder).manifest()
    return {"verdict": found.get("verdict"), "why": found.get("diagnosis"), "proved": found.get("proved", False)}


def read(sweep: Sweep) -> dict[Key, Row]:
    """The rows that match the sweep as it is now, by `Cell.key`.

    Raises:
        InputError: the results file is damaged; names the line.
    """
    return {row.key: row for row, cell in _answers(sweep) if scored_as_asked(row, cell)}


def reported(sweep: Sweep) -> dict[Key, Row]:
    """The rows to report: those of `read` or, if there are none, older ones with their own start states; never both.

    Raises:
        InputError: the results file is damaged; names the line.
    """
    rows = [*_answers(sweep)]
    now = {row.key: row for row, cell in rows if scored_as_asked(row, cell)}
    return now or {row.key: row for row, _ in rows if row.evaluation_seed is None}


def scored_as_asked(row: Row, cell: Cell) -> bool:
    """Whether a row was scored as the cell asks: with as many episodes from common start states, or it diverged."""
    return row.evaluation_seed == EVALUATION_SEED and row.episodes in (0, cell.episodes)


def foreign_plugins(file: Path) -> bool:
    """Whether a results file has rows of runs with plug-ins that are not loaded."""
    here = {plugin.name for plugin in loaded().values()}
    return any(set(row.provenance.get("plugins", ())) - here for row in _all(file))


def _answers(sweep: Sweep) -> Iterator[tuple[Row, Cell]]:
    """The rows of the sweep's runs with their cells, in the order of the YAML, however they were scored.

    The order of the file is that in which the runs ended. It only counts for rows of the same run.
    """
    asked = {cell.key: (place, cell) for place, cell in enumerate(sweep.cells)}
    rows = ((row, *asked[row.key]) for row in _all(sweep.results) if row.key in asked)
    found = [(place, row, cell) for row, place, cell in rows if _matches(row, cell)]
    return ((row, cell) for _, row, cell in sorted(found, key=lambda one: one[0]))


def _matches(row: Row, cell: Cell) -> bool:
    """Whether a row is of a cell's run: the YAML settings are equal, or all settings of the run are."""
    if row.settings == json.loads(json.dumps(cell.settings)):
        return True
    return row.config is not None and _same(row.run()) == _same(cell.run())


def borrowed(sweep: Sweep, cells: Iterable[Cell]) -> Iterator[Row]:
    """Rows of other sweeps for the same runs, with this sweep's keys. All settings and the scoring are equal.

    Args:
        sweep: its `borrow` lists the other sweeps; the first one that has a run lends it, with its curves.
        cells: the cells that have no row yet.

    Raises:
        InputError: a results file is damaged; names the line.
    """
    there: dict[str, tuple[str, Row]] = {}
    for other in sweep.borrow:
        for row in _all(other.with_suffix(".jsonl")):
            if row.evaluation_seed is not None:
                kept = row.lender or f"{other.stem}/{row.key.name}", row
                there.setdefault(_same([row.run(), row.episodes]), kept)
    for cell in cells:
        asked = (there.get(_same([cell.run(), episodes])) for episodes in (cell.episodes, 0))  # 0: it diverged
        if (found := next(filter(None, asked), None)) and scored_as_asked(found[1], cell):
            lender, row = found
            yield row.changed(**cell.key._asdict(), settings=cell.settings, **{"from": lender})


def repeated(row: Row) -> dict[str, Any]:
    """Settings that reproduce a row: those of the YAML, and defaults that have changed since."""
    return row.settings | _defaults(row, row.settings)[0]


def _defaults(row: Row, asked: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The defaults of a row that are others with the settings `asked` now: their old and their new values."""
    now, had = run_from(asked), row.run()
    if now is None or had is None:
        return {}, {}
    had = {key: value for key, value in had.items() if now.get(key) != value and key not in row.settings}
    return had, {key: now[key] for key in had if key in now}


def outdated(sweep: Sweep, rows: Mapping[Key, Row]) -> str:
    """Text on rows that were made with older defaults and still count; empty if there are none."""
    made = [_defaults(rows[cell.key], cell.settings) for cell in sweep.cells if cell.key in rows]
    others = [difference(had, now, "now") for had, now in made if had]
    if not others:
        return ""
    advice = "they still count; --again repeats them, and setting the value in the YAML keeps it"
    return f"{count(len(others), 'row')} made with older defaults ({mode(others)}): {advice}"


def _same(run: Any) -> str:
    """A text that is equal for equal runs."""
    return json.dumps(run, sort_keys=True)


def left_out(sweep: Sweep, shown: Collection[Key]) -> str:
    """Text on rows that do not match the sweep as it is now, with the reasons; empty if all match.

    Args:
        sweep: the sweep.
        shown: keys of cells with a valid row; their other rows have been replaced and are not mentioned.

    Raises:
        InputError: the results file is damaged; names the line.
    """
    asked = {cell.key: cell for cell in sweep.cells}
    rows = [(row, asked.get(row.key)) for row in _all(sweep.results)]
    others = [difference(r.settings, cell.settings, "now") for r, cell in rows if cell and not _matches(r, cell)]
    foreign = sum(cell is None for _, cell in rows)
    unlike = [row for row, cell in rows if cell and row.key not in shown and _matches(row, cell)]
    reasons = [f"{count(len(unlike), 'row')} scored {mode(map(_scoring, unlike))}"] if unlike else []
    reasons += [f"{count(len(others), 'row')} made with other settings ({mode(others)})"] if others else []
    reasons += [f"{count(foreign, 'row')} of runs that are not in the sweep"] if foreign else []
    return f"ignored in {sweep.results}: {', '.join(reasons)}" if reasons else ""


def _scoring(row: Row) -> str:
    if row.evaluation_seed is None:
        return "from their own start states, as older versions did"
    return f"with {count(row.episodes or 0, 'episode')} instead of the number asked for"


def _all(file: Path) -> Iterator[Row]:
    """Every row of a results file."""
    text = files.read_text(file, "replace") if file.exists() else ""  # a damaged line is reported below
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            row = _row(line)
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
            raise InputError(f"{file}: line {number} is not a valid result; delete it to repeat the run") from None
        yield row


@functools.lru_cache(maxsize=1024)  # a report reads a file several times, and each new row reads it again
def _row(line: str) -> Row:
    return Row.read(files.unsealed(json.loads(line)))


def unknown_plots(sweep: Sweep, names: Set[str]) -> list[str]:
    """The metrics of `plots` that do not exist, each with a suggestion."""
    return [f"{plot!r}{near_miss(plot, names)}" for plot in dict.fromkeys(sweep.plots) if plot not in names]


def turn(sweep: Sweep) -> AbstractContextManager[None]:
    """Lock the results against other processes that run this sweep."""
    # a separate file that is never removed, because YAML and results may be replaced while they are locked
    lock = sweep.path.with_name(f".{sweep.path.stem}.lock")
    lock.touch()
    return locks.waiting(lock)


def require_clean(file: Path) -> None:
    """Check that this source tree may add rows to a results file: the file is not committed, or the tree is clean.

    Raises:
        Unclean: it may not.
    """
    if unclean(revision := revisions.revision()) and committed(file):
        why = f"{file} is committed, and the source tree has uncommitted changes ({revision})"
        raise Unclean(f"{why}: commit them, or add --dirty, which marks the rows")


def add(sweep: Sweep, row: Row, dirty: bool = False) -> None:
    """Append a row, unless another process that runs this sweep has already added it.

    Args:
        sweep: the sweep.
        row: its new row.
        dirty: whether the row of a tree with uncommitted changes may be added to a committed file.

    Raises:
        Unclean: it may not.
    """
    if row.dirty and not dirty and committed(sweep.results):
        why = f"{sweep.results} is committed, and {row.key.name} was made with uncommitted changes ({row.revision})"
        raise Unclean(f"{why}: repeat the run, or add --dirty, which marks its row")
    with turn(sweep):
        if any(_place(row) == _place(there) for there in _all(sweep.results)):
            return
        with sweep.results.open("a") as file:
            file.write(_text(row))
            file.flush()
            os.fsync(file.fileno())


def _place(row: Row) -> tuple[Key, str]:
    # not the settings alone: two arms may have the same
    return row.key, _same([row.settings, row.episodes, row.evaluation_seed])


def _text(row: Row) -> str:
    return json.dumps(files.sealed(row.line)) + "\n"


def refresh(sweep: Sweep, rows: dict[Key, Row], where: Path) -> list[Row]:
    """Update rows from the run folders: newer verdicts, such as by `pgcontrol diagnose`, and curves of `plots`.

    Args:
        sweep: the sweep.
        rows: its rows, changed in place; the results file does not change, see `rewrite`.
        where: folder of the run folders; rows without a folder do not change.

    Returns:
        The changed rows.
    """
    changed = {}
    for key, row in rows.items():
        folder = row.folder(where)
        now, curves = judged(folder), _gained(row, folder, sweep.plots)
        same = now["verdict"] is None or all(getattr(row, name) == value for name, value in now.items())
        words = {} if same else now
        if (words or curves) and made_in(row, folder):
            changed[key] = row.changed(**words, curves=row.line["curves"] | curves)
    rows |= changed
    return list(changed.values())


def made_in(row: Row, folder: Path) -> bool:
    """Whether a folder holds the run of a row."""
    return run_state.holds(folder, row.run())


def _gained(row: Row, folder: Path, plots: Iterable[str]) -> dict[str, list[Any]]:
    """Curves of `plots` that are missing in a row but present in the log of its run; empty without the log."""
    log = folder / "metrics.jsonl"
    missing = [name for name in plots if name not in row.curves]
    if not missing or not log.exists():
        return {}
    found = outcome.curves(read_rows(log), missing)
    return found if found.pop("steps") == row.points else {}


def rewrite(sweep: Sweep, changed: Iterable[Row] = (), gone: Iterable[Row] = ()) -> None:
    """Replace changed rows in the results file, and remove the rows of runs that will be repeated."""
    new = {_place(row): row for row in changed} | {_place(row): None for row in gone}
    if new:
        with turn(sweep):
            rows = [new.get(_place(row), row) for row in _all(sweep.results)]
            files.replace({sweep.results: "".join(_text(row) for row in rows if row)})
