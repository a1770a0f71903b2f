"""`pgcontrol doctor RUN`: checks whether a run folder is intact, and says what to do if it is not."""

import warnings
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from pgcontrol.machine.doctor import Check
from pgcontrol.options import InputError
from pgcontrol.parts import command, require_plugins
from pgcontrol.rendering.pending import pending
from pgcontrol.runs import checkpoint
from pgcontrol.runs.folder import PACKAGES, RunFolder
from pgcontrol.runs.log import read_rows
from pgcontrol.text import count


def examine(where: Path) -> list[Check]:
    """Check manifest, config, versions, plug-ins, log, checkpoints and clips of a run folder.

    Raises:
        InputError: it is not a run folder.
    """
    run = RunFolder.open(where)
    return [_manifest(run), _config(run), _versions(run), _plugins(run), _log(run), *_checkpoints(run), _clips(run)]


def _wrong(name: str, value: object, fix: str = "") -> Check:
    return Check(name, str(value), False, True, fix)


def _manifest(run: RunFolder) -> Check:
    if not (manifest := run.manifest()):
        why = "is damaged" if run.manifest_file.exists() else "is missing"
        return _wrong("manifest", f"{run.manifest_file} {why}", f"`{command('resume', run.path)}` writes a new one")
    return Check("manifest", f"status {manifest.get('status')}")


def _config(run: RunFolder) -> Check:
    try:
        return Check("config", f"{run.settings().get('env')}, {count(len(run.settings()), 'setting')}")
    except InputError as error:
        return _wrong("config", error)


def _versions(run: RunFolder) -> Check:
    """Other versions than the run's get a remark but are not an error: results may be rounded differently."""
    noted = run.manifest().get("versions")
    made = noted if isinstance(noted, dict) else {}
    here = {name: metadata.version(name) for name in PACKAGES}
    others = [f"{name} {made[name]}, here {here[name]}" for name in here if made.get(name, here[name]) != here[name]]
    return Check("versions", "; ".join(others) or "same as the run's", not others)


def _plugins(run: RunFolder) -> Check:
    recorded = run.manifest().get("plugins") or {}
    try:
        require_plugins(recorded, run.path)
    except InputError as error:
        return _wrong("plug-ins", error)
    return Check("plug-ins", ", ".join(recorded) or "none needed")


def _log(run: RunFolder) -> Check:
    if not run.metrics_file.exists():
        return Check("log", "none yet")
    with warnings.catch_warnings(record=True) as lost:
        warnings.simplefilter("always")
        rows = read_rows(run.metrics_file)
    if lost:
        return _wrong("log", lost[0].message, "reports and diagnoses skip these lines")
    return Check("log", count(len(rows), "row"))


def _checkpoints(run: RunFolder) -> Iterator[Check]:
    """A check for each damaged checkpoint, then their number."""
    found = checkpoint.find(run.path)
    whole = 0
    for folder in found:
        try:
            checkpoint.load(folder)
            whole += 1
        except InputError as error:
            yield _wrong("checkpoint", error)
    yield Check("checkpoints", f"{whole} of {len(found)} intact", whole == len(found))


def _clips(run: RunFolder) -> Check:
    if waiting := pending(run.videos):
        fix = run.command("video", "--pending")
        return Check("clips", f"{count(len(waiting), 'clip')} to render", False, fix=fix)
    return Check("clips", "none waiting")
