"""The step in which a simulation broke down, made again from the file that a training left."""

from pgcontrol.arguments import ReplayOptions as Options


def run(options: Options) -> int:
    """The largest numbers of each substep; 1 where the step goes well here."""
    from pgcontrol.runs.breakdown import replay

    seen = replay(options)
    print(f"{seen.env}: {seen.recorded}")
    print("\n".join(seen.lines))
    print(f"{'reproduced' if seen.reproduced else 'not reproduced'}: {seen.why}")
    return 0 if seen.reproduced else 1
