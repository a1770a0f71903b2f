"""Replay the step in which a simulation became unstable, from the file that the training wrote."""

from pgcontrol.arguments import ReplayOptions as Options


def run(options: Options) -> int:
    """Print the largest numbers of each substep; exit code 1 if the step works here."""
    from pgcontrol.runs.breakdown import replay

    seen = replay(options)
    print(f"{seen.env}: {seen.recorded}")
    print("\n".join(seen.lines))
    print(f"{'reproduced' if seen.reproduced else 'not reproduced'}: {seen.why}")
    return 0 if seen.reproduced else 1
