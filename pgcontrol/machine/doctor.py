"""`pgcontrol doctor`: checks this machine, and says what to run to fix problems."""

import importlib
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from packaging.requirements import Requirement
from rich.text import Text

from pgcontrol.machine import engines, graphics
from pgcontrol.machine.cores import usable_cpus
from pgcontrol.machine.terminal import Terminal
from pgcontrol.options import InputError
from pgcontrol.text import one_line, visible

FOR = {  # the purpose of extras that a user may want
    "data": "`pgcontrol record` and `clone`",
    "export": "`pgcontrol export`",
    "gpu": "`pgcontrol train --physics warp`",
    "mlflow": "`--logger mlflow`",
    "peers": "`pgcontrol bench` and `train --peer` with Stable-Baselines3, `bench` with EnvPool",
    "ray": "`pgcontrol compare --on ray`",
    "robots": "how robots look in videos",
    "search": "`search:` in a sweep",
    "slurm": "`pgcontrol compare --on slurm`",
    "tokens": "tokenizers vq, rvq and fast",
    "wandb": "`--logger wandb`",
}
# names of modules that differ from the package's, or a submodule that must import
MODULES = {"pyyaml": "yaml", "pillow": "PIL", "mujoco": "mujoco.batch"}
SLOW_MS = 100.0  # per frame: a clip of 10 s at 20 frames/s then takes 20 s


class Check(NamedTuple):
    """One line of the report.

    Attributes:
        name: what was checked.
        value: the result.
        ok: whether the result is good.
        essential: whether training is impossible without it.
        fix: the command that fixes or improves it.
    """

    name: str
    value: str
    ok: bool = True
    essential: bool = False
    fix: str = ""


def show(checks: Sequence[Check], console: Terminal) -> int:
    """Print the results, and the commands that fix problems.

    Returns:
        Exit code: 1 if something is missing that training needs, else 0 (training works without video).
    """
    for check in checks:
        sign, color = ("✓", "green") if check.ok else ("✗", "red") if check.essential else ("!", "yellow")
        line = Text.assemble((sign, color), f" {check.name:15} {visible(check.value)}")
        if check.fix:
            line.append(f"\n  {'':15} -> {check.fix}", "bold")
        console.print(line, soft_wrap=True)
    return int(any(check.essential and not check.ok for check in checks))


def report(run_folder: Path = Path("runs")) -> list[Check]:
    """Check versions, processors, graphics, ffmpeg and folders. Takes one or two seconds; never raises."""
    python = Check("python", f"{platform.python_version()}  {sys.executable}", sys.version_info >= (3, 11), True)
    return [python, *_packages(), *_speed(), _engines(), _graphics(), _ffmpeg(), _writable(run_folder)]


def _packages() -> list[Check]:
    """Check that pgcontrol and its dependencies (from its metadata) are new enough and import; then its extras."""
    if (version := _version("pgcontrol")) is None:
        return [Check("pgcontrol", "not installed", False, True, "pip install -e .")]
    return [Check("pgcontrol", version), *map(_package, _requirements()), *map(_extra, FOR)]


def _extra(name: str) -> Check:
    """Check an extra by its versions only, because importing would take seconds."""
    if missing := ", ".join(needed.name for needed in _requirements(name) if not _fits(needed)):
        return Check(f"extra {name}", f"{FOR[name]}: needs {missing}", False, fix=f"pip install 'pgcontrol[{name}]'")
    return Check(f"extra {name}", f"{FOR[name]}: installed")


def _requirements(extra: str = "") -> list[Requirement]:
    """The requirements of pgcontrol, or of an extra."""
    found = [Requirement(line) for line in metadata.requires("pgcontrol") or []]
    return [r for r in found if (r.marker.evaluate({"extra": extra}) if r.marker else not extra)]


def _package(needed: Requirement) -> Check:
    name, version, fix = needed.name, _version(needed.name), f"pip install '{needed}'"
    if version is None:
        return Check(name, "not installed", False, True, fix)
    if not _fits(needed):
        return Check(name, f"{version}, {needed.specifier} needed", False, True, fix)
    try:
        importlib.import_module(MODULES.get(name.lower(), name.replace("-", "_")))
    except Exception as error:  # a broken installation can raise anything
        trouble = one_line(error, 300) or type(error).__name__
        fix = f"pip install --force-reinstall '{needed}'"
        return Check(name, f"{version} does not import: {trouble}", False, True, fix)
    return Check(name, version)


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _fits(needed: Requirement) -> bool:
    version = _version(needed.name)
    return version is not None and needed.specifier.contains(version, prereleases=True)


def _speed() -> list[Check]:
    """Check processors, and the number of torch threads."""
    cpus = usable_cpus()
    checks = [Check("processors", f"{cpus} usable of {os.cpu_count()}, {platform.machine()}")]
    try:
        import torch

        from pgcontrol.machine.compiler import compiler
    except Exception:  # torch is broken; another line reports it
        return checks
    threads, found = torch.get_num_threads(), compiler()
    fix = f"export OMP_NUM_THREADS={cpus}" if threads > cpus else ""
    checks.append(Check("torch threads", f"{threads}", threads <= cpus, fix=fix))
    slow = "none: updates run uncompiled, four times slower"
    return [*checks, Check("compiler", found) if found else Check("compiler", slow, False, fix=_compiler_of())]


def _compiler_of() -> str:
    return "xcode-select --install" if sys.platform == "darwin" else "apt-get install g++"


def _engines() -> Check:
    """What can place the runs of a sweep, from here."""
    found = ["local"]
    with suppress(InputError, IndexError, OSError):
        found.append(f"slurm ({engines.slurm('scontrol', 'ping').strip().splitlines()[0]})")
    if address := engines.ray_address():
        found.append(f"ray ({address})")
    return Check("engines", ", ".join(found))


def _graphics() -> Check:
    probe = graphics.probe()
    if (found := probe.graphics) is None:
        return Check("graphics", f"none, so no video ({probe.tried()})", ok=False, fix=graphics.advice())
    kind = "software" if found.software else "hardware"
    speed = f"{found.ms_per_frame:g} ms per frame of 640x480"
    skipped = "".join(f"; {backend} does not work" for backend in probe.failures)
    value = f"{found.backend}, {kind}: {found.renderer}, OpenGL {found.version}, {speed}{skipped}"
    slow = "`pgcontrol video --size 320x240` is faster" if found.ms_per_frame > SLOW_MS else ""
    return Check("graphics", value, fix=slow)


def _ffmpeg() -> Check:
    fix = "pip install --force-reinstall imageio-ffmpeg"
    try:
        import imageio_ffmpeg

        binary, version = imageio_ffmpeg.get_ffmpeg_exe(), imageio_ffmpeg.get_ffmpeg_version()
        source = ["-f", "lavfi", "-i", "color=size=64x64:rate=5:duration=1", "-c:v", "libx264", "-f", "null", "-"]
        subprocess.run([binary, "-v", "error", *source], check=True, capture_output=True, timeout=30)
    except Exception as error:
        why = "does not encode H.264" if isinstance(error, subprocess.SubprocessError) else f"none: {one_line(error)}"
        return Check("ffmpeg", f"no video: {why}", ok=False, fix=fix)
    return Check("ffmpeg", f"{version.split()[0]}, H.264  {binary}")


def _writable(folder: Path) -> Check:
    """Check that a file can be created in the folder, or in its nearest parent that exists."""
    place = next(p for p in (folder.absolute(), *folder.absolute().parents) if p.exists())
    if place.is_dir() and os.access(place, os.W_OK | os.X_OK):
        return Check("run folder", f"{folder.absolute()} can be written")
    return Check("run folder", f"{place} cannot be written", False, True, "choose another folder: --run-dir DIR")
