"""Returns of a trained policy, by mode and by samples."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pgcontrol.options import REQUIRED, option

# of the table: the value that must be there, and what is written
COLUMNS: dict[str, tuple[str, Callable[[dict[str, float]], str]]] = {
    "return": ("eval/mean_reward", lambda row: f"{row['eval/mean_reward']:,.1f}"),
    "95 % of the mean": ("eval/low_reward", lambda r: f"{r['eval/low_reward']:,.1f} … {r['eval/high_reward']:,.1f}"),
    "deviation": ("eval/std_reward", lambda row: f"{row['eval/std_reward']:,.1f}"),
    "length": ("eval/mean_ep_length", lambda row: f"{row['eval/mean_ep_length']:,.0f}"),
    "success": ("eval/success", lambda row: f"{100 * row['eval/success']:.0f} %"),
    "route entropy": ("eval/route_entropy", lambda row: f"{row['eval/route_entropy']:.2f}".replace("nan", "–")),
}


@dataclass(frozen=True)
class Options:
    """Run and episodes."""

    run: Path = option(REQUIRED, "run folder or checkpoint", positional=True)
    episodes: int = option(20, "episodes", least=1)
    agent: str = option("policy", "who plays", choices=("policy", "random", "zero"))
    seed: int = option(0, "of the start states", least=0)
    json: bool = option(False, "print one JSON object instead of a table")


def run(options: Options) -> int:
    """Print the returns of the newest checkpoint, or of another agent in the same task from the same start states."""
    from rich.console import Console
    from rich.table import Table

    from pgcontrol.play import evaluate
    from pgcontrol.runs import checkpoint
    from pgcontrol.runs.load import load_with_meta, make_env
    from pgcontrol.runs.log import finite

    seed = options.seed
    folder = checkpoint.latest(options.run)
    policy, meta = load_with_meta(folder)
    env_id = meta["policy"]["env"]
    env = make_env(env_id, options.episodes, seed)
    if options.agent == "policy":
        agents = {
            "mode": evaluate.policy_agent(policy, deterministic=True, seed=seed),
            "sampled": evaluate.policy_agent(policy, deterministic=False, seed=seed),
        }
    elif options.agent == "random":
        agents = {"random": evaluate.random_agent(env, seed)}
    else:
        agents = {"zero": evaluate.zero_agent(env)}
    rows = {name: evaluate.summary(evaluate.episodes(env, act, seed), "") for name, act in agents.items()}
    if options.json:
        setup = {"checkpoint": str(folder), "env": env_id, "episodes": options.episodes, "seed": seed}
        print(json.dumps(setup | finite(rows)))  # without a success the entropy is no number
        return 0
    table = Table(title=f"{env_id}, {options.episodes} episodes, start states from seed {seed}\n{folder}")
    shown = {title: cell for title, (key, cell) in COLUMNS.items() if all(key in row for row in rows.values())}
    table.add_column("agent")
    for title in shown:
        table.add_column(title, justify="right")
    for name, row in rows.items():
        table.add_row(name, *(cell(row) for cell in shown.values()))
    Console(highlight=False).print(table)
    return 0
