"""`pgcontrol doctor`: what this machine offers, and the line that mends whatever is missing."""

from __future__ import annotations

import importlib
import os
import platform
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

from rich.console import Console
from rich.text import Text

from pgcontrol.machine import graphics
from pgcontrol.machine.cores import usable_cpus

FOR = {
    "export": "`pgcontrol export`",
    "tokens": "tokenizers vq, rvq and fast",
    "peers": "`pgcontrol bench` beside Stable-Baselines3 and EnvPool",
}
"""What the extras that a user may want are for."""
SLOW_MS = 100.0  # per frame: a clip of 10 s at 20 frames/s then takes 20 s


@dataclass(frozen=True)
class Check:
    """One line of the report."""

    name: str
    value: str
    ok: bool = True
    essential: bool = False
    """Whether no training is possible without it."""
    mend: str = ""
    """What to type where it is not ok, or could be better."""


@dataclass(frozen=True)
class Report:
    """What was found."""

    checks: list[Check] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """1 where something is missing that training needs, else 0: without video, training goes on."""
        return int(any(check.essential and not check.ok for check in self.checks))

    def show(self, console: Console) -> None:
        """Print it, and what mends what."""
        for check in self.checks:
            sign, color = ("✓", "green") if check.ok else ("✗", "red") if check.essential else ("!", "yellow")
            line = Text.assemble((sign, color), f" {check.name:15} {check.value}")
            if check.mend:
                line.append(f"\n  {'':15} -> {check.mend}", "bold")
            console.print(line, soft_wrap=True)


def main(run_folder: Path = Path("runs")) -> int:
    """Print the report; returns the exit code."""
    found = report(run_folder)
    found.show(Console(highlight=False))
    return found.exit_code


def report(run_folder: Path = Path("runs")) -> Report:
    """Look at versions, processors, graphics, ffmpeg and folders. Takes a second or two; never raises."""
    python = Check("python", f"{platform.python_version()}  {sys.executable}", sys.version_info >= (3, 11), True)
    return Report(
        [
            python,
            *_packages(),
            _batch(),
            *_processors(),
            *_compiler(),
            _graphics(),
            _ffmpeg(),
            _writable(run_folder),
            *_extras(),
        ],
    )


def _packages() -> list[Check]:
    """pgcontrol and what it depends on, from its own metadata: importable, and new enough."""
    from packaging.requirements import Requirement

    try:
        needed = [Requirement(line) for line in metadata.requires("pgcontrol") or []]
        checks = [Check("pgcontrol", metadata.version("pgcontrol"))]
    except metadata.PackageNotFoundError:
        return [Check("pgcontrol", "not installed", False, True, "pip install -e .")]
    for requirement in needed:
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            checks.append(_package(requirement.name, str(requirement), requirement.specifier))
    return checks


def _extras() -> list[Check]:
    """What an extra would add: a line for each, and the one that installs it where something is missing."""
    from packaging.requirements import Requirement

    try:
        lines = [Requirement(line) for line in metadata.requires("pgcontrol") or []]
        extras = metadata.metadata("pgcontrol").get_all("Provides-Extra") or []
    except metadata.PackageNotFoundError:
        return []
    checks = []
    for extra in sorted(set(extras) & set(FOR)):
        own = [r for r in lines if r.marker and r.marker.evaluate({"extra": extra}) and r.name != "pgcontrol"]
        lacking = [r.name for r in own if not _fits(r.name, r.specifier)]
        value = f"{FOR[extra]}: " + (f"needs {', '.join(lacking)}" if lacking else "installed")
        mend = f"pip install 'pgcontrol[{extra}]'" if lacking else ""
        checks.append(Check(f"extra {extra}", value, ok=not lacking, mend=mend))
    return checks


def _fits(name: str, versions) -> bool:
    """Installed in such a version; not imported, which would take seconds."""
    try:
        return versions.contains(metadata.version(name), prereleases=True)
    except metadata.PackageNotFoundError:
        return False


def _package(name: str, requirement: str, versions) -> Check:
    mend = f"pip install '{requirement}'"
    try:
        found = metadata.version(name)
    except metadata.PackageNotFoundError:
        return Check(name, "not installed", False, True, mend)
    if not versions.contains(found, prereleases=True):
        return Check(name, f"{found}, {versions} needed", False, True, mend)
    module = {"pyyaml": "yaml", "pillow": "PIL"}.get(name.lower(), name.replace("-", "_"))
    try:
        importlib.import_module(module)
    except Exception as error:  # an installation may be broken in any way
        why = f"{found} does not import: {' '.join(str(error).split())}"
        return Check(name, why, False, True, f"pip install --force-reinstall '{requirement}'")
    return Check(name, found)


def _batch() -> Check:
    try:
        importlib.import_module("mujoco.batch")
    except Exception as error:
        return Check("mujoco.batch", f"{error}", False, True, "pip install --upgrade 'mujoco>=4.0'")
    return Check("mujoco.batch", "batched physics")


def _compiler() -> list[Check]:
    try:
        from pgcontrol.machine.compiler import compiler
    except Exception:  # torch is broken, which another line says
        return []
    found = compiler()
    if found is None:
        return [Check("compiler", "none: updates run uncompiled, four times slower", ok=False, mend="apt install g++")]
    return [Check("compiler", found)]


def _processors() -> list[Check]:
    cpus = usable_cpus()
    checks = [Check("processors", f"{cpus} usable of {os.cpu_count()}, {platform.machine()}")]
    try:
        import torch
    except Exception:
        return checks
    threads = torch.get_num_threads()
    mend = f"export OMP_NUM_THREADS={cpus}" if threads > cpus else ""
    return [*checks, Check("torch threads", f"{threads}", ok=threads <= cpus, mend=mend)]


def _graphics() -> Check:
    probe = graphics.probe()
    found = probe.graphics
    if found is None:
        tried = "; ".join(f"{backend}: {why}" for backend, why in probe.failures.items())
        return Check("graphics", f"none, so no video ({tried})", ok=False, mend=graphics.advice())
    kind = "software" if found.software else "hardware"
    speed = f"{found.ms_per_frame:g} ms a frame of 640x480"
    mend = "pgcontrol video --size 320x240 takes less time" if found.ms_per_frame > SLOW_MS else ""
    skipped = "".join(f"; {backend} does not work" for backend in probe.failures)
    value = f"{found.backend}, {kind}: {found.renderer}, OpenGL {found.version}, {speed}{skipped}"
    return Check("graphics", value, mend=mend)


def _ffmpeg() -> Check:
    mend = "pip install --force-reinstall imageio-ffmpeg"
    try:
        import imageio_ffmpeg

        binary, version = imageio_ffmpeg.get_ffmpeg_exe(), imageio_ffmpeg.get_ffmpeg_version()
        source = ["-f", "lavfi", "-i", "color=size=64x64:rate=5:duration=1", "-c:v", "libx264", "-f", "null", "-"]
        subprocess.run([binary, "-v", "error", *source], check=True, capture_output=True, timeout=30)
    except subprocess.SubprocessError:
        return Check("ffmpeg", "does not encode H.264, so no video", ok=False, mend=mend)
    except Exception as error:
        return Check("ffmpeg", f"none, so no video: {' '.join(str(error).split())}", ok=False, mend=mend)
    return Check("ffmpeg", f"{version.split()[0]}, H.264  {binary}")


def _writable(folder: Path) -> Check:
    """A file can be made in the folder, or in the nearest one above it that exists."""
    place = next(p for p in (folder.absolute(), *folder.absolute().parents) if p.exists())
    try:
        with tempfile.NamedTemporaryFile(dir=place):
            pass
    except OSError as error:
        mend = "name another place: --run-dir DIR"
        return Check("run folder", f"{place}: {error.strerror}", False, True, mend)
    return Check("run folder", f"{folder.absolute()} can be written")
