"""Write a policy as ONNX, for use without this package."""

from dataclasses import dataclass
from pathlib import Path

from pgcontrol.options import REQUIRED, InputError, option


@dataclass(frozen=True)
class Options:
    """Run and file."""

    run: Path = option(REQUIRED, "run folder or checkpoint", positional=True)
    out: Path = option(REQUIRED, "where it goes; FILE.json beside", metavar="FILE.onnx")
    sampled: bool = option(False, "samples of the policy, drawn from a second input")
    force: bool = option(False, "replace FILE.onnx and FILE.json if they exist")


def run(options: Options) -> int:
    """The file and its description."""
    from pgcontrol.exporting.export import export

    if options.out.suffix != ".onnx":
        raise InputError(f"--out {options.out}: must end in .onnx")
    description = options.out.with_suffix(".json")
    for path in (options.out, description):
        if path.exists() and not options.force:
            raise InputError(f"{path} exists already; name another file, or say --force")
    parity = export(options.run, options.out, options.sampled)
    ties = f", {parity.ties} ties" if parity.ties else ""
    print(
        f"{options.out}: acts like the policy at {parity.observations:,} observations, to"
        f" {parity.largest_difference:.1g} of the half-range{ties}; {description} says how to use it"
    )
    return 0
