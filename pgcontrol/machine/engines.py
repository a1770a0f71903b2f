"""Engines that run jobs on other machines: whether they are here, and answer."""

import os
import shutil
import socket
import subprocess
from importlib.util import find_spec
from pathlib import Path

from pgcontrol.machine.processes import last_line
from pgcontrol.options import InputError

PATIENCE = 60.0  # seconds for an answer of Slurm's controller, which may be busy


def slurm(*words: str) -> str:
    """What a command of Slurm's says.

    Raises:
        InputError: there is no such command here, or it fails; one line with its last words.
    """
    if shutil.which(words[0]) is None:
        raise InputError(f"Slurm: no {words[0]} here: type this on a machine that submits jobs, or say --on local")
    try:
        ran = subprocess.run(words, capture_output=True, text=True, errors="replace", timeout=PATIENCE, check=False)
    except subprocess.TimeoutExpired:
        raise InputError(f"Slurm: {words[0]} had no answer within {PATIENCE:.0f} s") from None
    if ran.returncode:
        raise InputError(f"Slurm: {last_line(ran.stderr) or f'{words[0]} ended with {ran.returncode}'}")
    return ran.stdout


def ray_address() -> str | None:
    """Of the Ray cluster that this machine is part of, as Ray's own "auto" finds it; None where there is none."""
    noted = Path(os.environ.get("RAY_TMPDIR", "/tmp")) / "ray" / "ray_current_cluster"
    try:
        return os.environ.get("RAY_ADDRESS") or noted.read_text().strip() or None
    except OSError:
        return None


def ray_cluster(address: str) -> str:
    """HOST:PORT of a Ray cluster that takes connections; Ray itself waits minutes for one that is not there.

    Args:
        address: HOST:PORT, or auto.

    Raises:
        InputError: there is none.
    """
    found = (ray_address() if address == "auto" else address) or ""
    host, _, port = found.rpartition("/")[2].rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except (OSError, ValueError, OverflowError):
        raise InputError(f"Ray: no cluster at {address!r}: start one with `ray start --head`") from None
    return found


def require(module: str, extra: str) -> None:
    """Make sure that the package of an engine is installed.

    Raises:
        InputError: it is not.
    """
    if find_spec(module) is None:
        raise InputError(f"--on {extra}: it needs {module}: pip install 'pgcontrol[{extra}]'")
