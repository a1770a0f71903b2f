"""Play an exported policy in a second simulation, and measure whether it still follows its commands."""

import math
from typing import Any

from pgcontrol.arguments import Sim2SimOptions as Options
from pgcontrol.text import count

TITLES = {"speed_error": "speed error, m/s", "yaw_error": "yaw error, rad/s", "fell": "fell", "seconds": "length, s"}
WORLDS = {"training": "in training", "same": "same physics", "second": "second physics"}


def run(options: Options) -> int:
    """Print the measures in each simulation."""
    from rich.table import Table

    from pgcontrol.exporting.sim2sim import sim2sim
    from pgcontrol.machine.terminal import Terminal

    result = sim2sim(options)
    physics, summary = result.physics, result.summary()
    table = Table(title=f"{result.task}, {count(options.episodes, 'episode')}, ± 95 % interval\n{result.played}")
    table.add_column()
    for world in summary:
        table.add_column(WORLDS[world], justify="right")
    for name, title in TITLES.items():
        if any(name in measures for measures in summary.values()):
            table.add_row(title, *(_cell(name, measures.get(name)) for measures in summary.values()))
    Terminal(highlight=False).print(table)
    print(
        f"second physics: solver {physics.solver}, integrator {physics.integrator}, steps of {physics.timestep:g} s, "
        f"latency {physics.latency},\nnoise x {physics.noise:g}, friction x {physics.friction:g}, "
        f"joints' dry friction x {physics.frictionloss:g}, damping x {physics.damping:g}"
    )
    return 0


def _cell(name: str, measured: Any) -> str:
    """An estimate with its interval, if there is one."""
    if measured is None:
        return "–"
    estimate, low, high = measured
    if name == "fell":
        return f"{100 * estimate:.0f} % ({100 * low:.0f} … {100 * high:.0f} %)"
    if name == "seconds":
        return f"{estimate:.1f}"
    return f"{estimate:.3f}" + (f" ± {0.5 * (high - low):.3f}" if math.isfinite(low) else "")
