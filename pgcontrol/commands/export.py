"""Write a policy as ONNX, for use without this package."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from pgcontrol.options import InputError


def arguments(parser: ArgumentParser) -> None:
    """Run and file."""
    parser.add_argument("run", type=Path, help="run folder or checkpoint")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.onnx", help="where it goes; FILE.json beside")
    parser.add_argument("--sampled", action="store_true", help="samples of the policy, drawn from a second input")
    parser.add_argument("--force", action="store_true", help="replace FILE.onnx and FILE.json if they exist")


def run(given: Namespace) -> int:
    """The file and its contract."""
    from pgcontrol.export.export import export

    if given.out.suffix != ".onnx":
        raise InputError(f"--out {given.out}: must end in .onnx")
    for path in (given.out, given.out.with_suffix(".json")):
        if path.exists() and not given.force:
            raise InputError(f"{path} exists already; name another file, or say --force")
    done = export(given.run, given.out, given.sampled)
    ties = f", {done.parity.ties} ties" if done.parity.ties else ""
    print(
        f"{done.model}: acts like the policy at {done.parity.observations:,} observations, to"
        f" {done.parity.largest_difference:.1g} of the half-range{ties}; {done.contract} says how to use it"
    )
    return 0
