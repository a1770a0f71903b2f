"""Engines that run jobs on other machines: checks that they are installed and answer."""

import os
import shutil
import socket
import subprocess
from importlib.util import find_spec
from pathlib import Path

from pgcontrol.machine.processes import last_line
from pgcontrol.options import InputError


class Unavailable(InputError):
    """An engine is not installed or does not answer."""


PATIENCE = 60.0  # seconds to wait for Slurm's controller, which may be busy


def slurm(*words: str) -> str:
    """The output of a Slurm command.

    Raises:
        Unavailable: the command does not exist or fails; the message has the last line of its output.
    """
    if shutil.which(words[0]) is None:
        raise Unavailable(f"Slurm: {words[0]} not found: use a machine that can submit jobs, or --on local")
    try:
        ran = subprocess.run(words, capture_output=True, text=True, errors="replace", timeout=PATIENCE, check=False)
    except subprocess.TimeoutExpired:
        raise Unavailable(f"Slurm: {words[0]} did not answer within {PATIENCE:.0f} s") from None
    if ran.returncode:
        raise Unavailable(f"Slurm: {last_line(ran.stderr) or f'{words[0]} ended with exit code {ran.returncode}'}")
    return ran.stdout


def ray_address() -> str | None:
    """Address of the Ray cluster that contains this machine, as Ray's "auto" finds it; None without one."""
    noted = Path(os.environ.get("RAY_TMPDIR", "/tmp")) / "ray" / "ray_current_cluster"
    try:
        return os.environ.get("RAY_ADDRESS") or noted.read_text().strip() or None
    except OSError:
        return None


def ray_cluster(address: str) -> str:
    """HOST:PORT of a Ray cluster that accepts connections. Ray itself would wait minutes for a missing cluster.

    Args:
        address: HOST:PORT, or auto.

    Raises:
        Unavailable: no cluster answers.
    """
    found = (ray_address() if address == "auto" else address) or ""
    host, _, port = found.rpartition("/")[2].rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except (OSError, ValueError, OverflowError):
        raise Unavailable(f"Ray: no cluster at {address!r}: start one with `ray start --head`") from None
    return found


def require(module: str, extra: str) -> None:
    """Check that the package of an engine is installed.

    Raises:
        Unavailable: it is not.
    """
    if find_spec(module) is None:
        raise Unavailable(f"--on {extra}: needs {module}: pip install 'pgcontrol[{extra}]'")
