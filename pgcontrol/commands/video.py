"""Render policies, several side by side."""

from pgcontrol.arguments import VideoOptions as Options


def run(options: Options) -> int:
    """The clip."""
    from pgcontrol.rendering.clips import video

    made = video(options)
    print(f"{made.path}: {made.frames / made.fps:.1f} s, rendered with {made.backend} in {made.seconds:.0f} s")
    return 0
