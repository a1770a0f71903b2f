"""Watch a policy play, in a window or in a browser."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pgcontrol.flags import Section
from pgcontrol.options import REQUIRED, option

PREFIX = "env."  # of its settings


@dataclass(frozen=True)
class Options:
    """Run, viewer and agent."""

    run: Path = option(REQUIRED, "run folder or checkpoint; a task's id without a policy", positional=True)
    viewer: str | None = option(
        None, "a window or a page for browsers [a window if there is a display]", choices=("native", "web")
    )
    agent: str = option("policy", "the player", choices=("policy", "random", "zero"))
    sampled: bool = option(False, "play samples of the policy instead of its mode")
    seed: int = option(0, "seed of the first start state; later episodes count up", least=0, most=2**63 - 1)
    port: int = option(0, "port of the page; 0: the first free one from 8080 on", least=0, most=65_535)
    host: str = option("127.0.0.1", "address on which the page is served; 0.0.0.0: all of this machine")


def run(options: Options, settings: Mapping[str, str]) -> int:
    """Play until the viewer is closed."""
    from pgcontrol.viewer.play import play

    who = options.agent, options.sampled, options.seed
    return play(options.run, options.viewer, *who, options.port, options.host, settings)


def sections(options: Options, settings: Mapping[str, str]) -> list[Section]:
    """The settings of the task."""
    from pgcontrol.runs.task_settings import of_played

    return of_played([options.run])
