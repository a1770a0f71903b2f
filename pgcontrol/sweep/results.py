"""What a finished cell leaves: one small row, kept beside the YAML and committed as it grows."""

import json
import os
from collections.abc import Collection, Iterable, Iterator, Set
from contextlib import AbstractContextManager
from pathlib import Path
from statistics import mode
from typing import Any

from pgcontrol_envs.plugins import loaded

from pgcontrol.arguments import EVALUATION_SEED
from pgcontrol.machine import files, locks
from pgcontrol.options import InputError, near_miss
from pgcontrol.runs import catalog, recommended
from pgcontrol.runs.config import Config
from pgcontrol.runs.folder import RunFolder
from pgcontrol.runs.log import read_rows
from pgcontrol.sweep import run_state
from pgcontrol.sweep.row import SHORTEST, Row, run_from
from pgcontrol.sweep.sweep import Cell, Key, Sweep, difference, run_of
from pgcontrol.text import count
from pgcontrol.training import outcome

# what a row keeps of the manifest; the rest names a machine
PROVENANCE = ("versions", "plugins", "seeds", "threads", "compiled", "reproducible")


class Unscored(InputError):
    """A run came to its end without a return to judge it by."""


def row_of(cell: Cell, folder: Path, plots: Iterable[str]) -> Row:
    """The row of a run that has ended, from what it left; one that diverged has the return it had come to by then.

    The final policy is scored now where the run was not scored by the cell's number of episodes.

    Raises:
        Unscored: it diverged before an episode ended.
        InputError: the final policy is gone before it was scored.
    """
    run = RunFolder(folder)
    manifest = run.manifest()
    diverged = manifest.get("status") == "diverged"
    found = outcome.read(run, 0 if diverged else cell.episodes)
    if found.get("return") is None and found.get("training") is None:
        raise Unscored("it diverged before an episode ended, so there is nothing to judge it by")
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
    }
    row = Row.read(line)
    return row.changed(curves=row.line["curves"] | _gained(row, folder, plots))


def _origins(cell: Cell, config: Config) -> dict[str, str]:
    """Who says each setting that is no default, by dotted name: `recommended`, or as a cell has it."""
    advised = recommended.of(config.env, config.head.name) | catalog.algorithms()[config.method].recommended
    return {key: "recommended" for key in advised if key in run_of(config)} | dict(cell.origins)


def judged(folder: Path) -> dict[str, str | None]:
    """The words of a run's verdict and the line that says why, of whoever judged it last; None: nobody has."""
    manifest = RunFolder(folder).manifest()
    return {"verdict": manifest.get("verdict"), "why": manifest.get("diagnosis")}


def read(sweep: Sweep) -> dict[Key, Row]:
    """The rows that answer the sweep as it is asked now, by `Cell.key`; rows of other runs are left out.

    Raises:
        InputError: the results file is damaged; names the line.
    """
    return {row.key: row for row, cell in _answers(sweep) if scored_as_asked(row, cell)}


def reported(sweep: Sweep) -> dict[Key, Row]:
    """The rows to report: those of `read`, or else older ones, scored from start states of their own; never both.

    Raises:
        InputError: the results file is damaged; names the line.
    """
    rows = [*_answers(sweep)]
    now = {row.key: row for row, cell in rows if scored_as_asked(row, cell)}
    return now or {row.key: row for row, _ in rows if row.evaluation_seed is None}


def scored_as_asked(row: Row, cell: Cell) -> bool:
    """Whether a row's score is the cell's: of as many episodes from common start states, or of none if it diverged."""
    return row.evaluation_seed == EVALUATION_SEED and row.episodes in (0, cell.episodes)


def foreign_plugins(file: Path) -> bool:
    """Whether a results file has rows of runs that used plug-ins which are not loaded here."""
    here = {plugin.name for plugin in loaded().values()}
    return any(set(row.provenance.get("plugins", ())) - here for row in _all(file))


def _answers(sweep: Sweep) -> Iterator[tuple[Row, Cell]]:
    """The rows of the runs that the sweep asks for, however they were scored."""
    asked = {cell.key: cell for cell in sweep.cells}
    rows = ((row, asked[row.key]) for row in _all(sweep.results) if row.key in asked)
    return ((row, cell) for row, cell in rows if _tells_of(row, cell))


def _tells_of(row: Row, cell: Cell) -> bool:
    """Whether a row is of a cell's run: by its words, or by all settings of the run, said or default."""
    if row.settings == json.loads(json.dumps(cell.settings)):
        return True
    return row.config is not None and _same(row.run()) == _same(cell.run())


def borrowed(sweep: Sweep, cells: Iterable[Cell]) -> Iterator[Row]:
    """Rows that other sweeps made of the same runs, retold as this one's: every setting is equal, said or default.

    They are scored as this sweep scores.

    Args:
        sweep: which names the others, in `borrow`; the first that has a run lends it, with the curves that it kept.
        cells: those that have no row yet.

    Raises:
        InputError: a results file is damaged; names the line.
    """
    there: dict[str, tuple[str, Row]] = {}
    for other in sweep.borrow:
        for row in _all(other.with_suffix(".jsonl")):
            if row.evaluation_seed is not None:
                there.setdefault(_same(row.run()), (row.lender or f"{other.stem}/{row.key.name}", row))
    for cell in cells:
        if (found := there.get(_same(cell.run()))) and scored_as_asked(found[1], cell):
            lender, row = found
            yield row.changed(**cell.key._asdict(), settings=cell.settings, **{"from": lender})


def repeated(row: Row) -> dict[str, Any]:
    """Settings that give a row again: what the YAML said, and what it left to defaults that are others today."""
    return row.settings | _defaults(row)[0]


def _defaults(row: Row) -> tuple[dict[str, Any], dict[str, Any]]:
    """Settings that a row left to defaults that are others today: as it had them, and as they are."""
    now, had = run_from(row.settings), row.run()
    if now is None or had is None:
        return {}, {}
    had = {key: value for key, value in had.items() if now.get(key) != value and key not in row.settings}
    return had, {key: now[key] for key in had if key in now}


def outdated(rows: Iterable[Row]) -> str:
    """How many rows were made when a default was another that still counts, and which, in words; empty where none."""
    others = [difference(had, now, "asked") for had, now in map(_defaults, rows) if had]
    if not others:
        return ""
    keep = "they count; --again makes them anew, and a setting in the YAML would keep what they had"
    return f"{count(len(others), 'row')} made when defaults were others ({mode(others)}): {keep}"


def _same(run: Any) -> str:
    """Equal for the same run."""
    return json.dumps(run, sort_keys=True)


def left_out(sweep: Sweep, shown: Collection[Key]) -> str:
    """Which rows do not answer the sweep as it is asked now, and why, in words; empty where all do.

    Args:
        sweep: what is asked.
        shown: cells of which a row counts; what else there is of the same run has been replaced, and is not told of.

    Raises:
        InputError: the results file is damaged; names the line.
    """
    asked = {cell.key: cell for cell in sweep.cells}
    rows = [(row, asked.get(row.key)) for row in _all(sweep.results)]
    others = [difference(r.settings, cell.settings, "asked") for r, cell in rows if cell and not _tells_of(r, cell)]
    foreign = sum(cell is None for _, cell in rows)
    unlike = [row for row, cell in rows if cell and row.key not in shown and _tells_of(row, cell)]
    told = [f"{count(len(unlike), 'row')} scored {mode(map(_scoring, unlike))}"] if unlike else []
    told += [f"{count(len(others), 'row')} made with other settings ({mode(others)})"] if others else []
    told += [f"{count(foreign, 'row')} of runs that nobody asks for now"] if foreign else []
    return f"left out of {sweep.results}: {', '.join(told)}" if told else ""


def _scoring(row: Row) -> str:
    if row.evaluation_seed is None:
        return "from start states of their own, before scores came from common ones"
    return f"by {count(row.episodes or 0, 'episode')}, not as many as asked"


def _all(file: Path) -> Iterator[Row]:
    """Every row of a results file, whatever it answers."""
    text = files.read_text(file, "replace") if file.exists() else ""  # a line that is damaged is named below
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            row = Row.read(files.unsealed(json.loads(line)))
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
            what = "no result, or a damaged one"
            raise InputError(f"{file}: line {number} is {what}; delete it to run that cell again") from None
        yield row


def unknown_plots(sweep: Sweep, names: Set[str]) -> list[str]:
    """Each metric to plot that is none of the names there are, with the one that may be meant."""
    return [f"{plot!r}{near_miss(plot, names)}" for plot in dict.fromkeys(sweep.plots) if plot not in names]


def turn(sweep: Sweep) -> AbstractContextManager[None]:
    """Keep the other processes that run this sweep from its results meanwhile."""
    # a file of its own, since YAML and results may be replaced meanwhile; one that was removed would be two
    beside = sweep.path.with_name(f".{sweep.path.stem}.lock")
    beside.touch()
    return locks.waiting(beside)


def add(sweep: Sweep, row: Row) -> None:
    """Append a row, unless another process has done so: each that runs this sweep has a row of every run."""
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
    """A row as a line of the file."""
    return json.dumps(files.sealed(row.line)) + "\n"


def refresh(sweep: Sweep, rows: dict[Key, Row], where: Path) -> list[Row]:
    """Take over from the run folders what was not known or asked for when the rows were made.

    That is what has been judged since, as by `pgcontrol diagnose`, and the curves of metrics to plot.

    Args:
        sweep: whose plots there are to be.
        rows: of it, changed in place; the results file stays as it is, see `rewrite`.
        where: folder of the run folders; rows of those that are gone stay as they are.

    Returns:
        The rows that have changed.
    """
    changed = {}
    for key, row in rows.items():
        folder = row.folder(where)
        now, curves = judged(folder), _gained(row, folder, sweep.plots)
        words = {} if now["verdict"] is None or now == {"verdict": row.verdict, "why": row.why} else now
        if (words or curves) and made_in(row, folder):
            changed[key] = row.changed(**words, curves=row.line["curves"] | curves)
    rows |= changed
    return list(changed.values())


def made_in(row: Row, folder: Path) -> bool:
    """Whether a folder holds the run of a row."""
    return run_state.holds(folder, row.run())


def _gained(row: Row, folder: Path, plots: Iterable[str]) -> dict[str, list[Any]]:
    """Curves to plot that a row has not and the log of its run has; nothing where that is gone."""
    log = folder / "metrics.jsonl"
    missing = [name for name in plots if name not in row.curves]
    if not missing or not log.exists():
        return {}
    found = outcome.curves(read_rows(log), missing)
    return found if found.pop("steps") == row.points else {}


def rewrite(sweep: Sweep, changed: Iterable[Row] = (), gone: Iterable[Row] = ()) -> None:
    """Write changed rows in place of those of the same cells, and none for those that are gone, to be made again."""
    new = {_place(row): row for row in changed} | {_place(row): None for row in gone}
    if new:
        with turn(sweep):
            rows = [new.get(_place(row), row) for row in _all(sweep.results)]
            files.replace({sweep.results: "".join(_text(row) for row in rows if row)})
