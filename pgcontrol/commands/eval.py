"""Returns of a trained policy, by mode and by samples."""

from __future__ import annotations

import json
import math
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from pathlib import Path

from pgcontrol.arguments import seed, whole

COLUMNS: dict[str, tuple[str, Callable[[dict[str, float]], str]]] = {
    "return": ("eval/mean_reward", lambda row: f"{row['eval/mean_reward']:,.1f}"),
    "95 % of the mean": ("eval/low_reward", lambda r: f"{r['eval/low_reward']:,.1f} … {r['eval/high_reward']:,.1f}"),
    "deviation": ("eval/std_reward", lambda row: f"{row['eval/std_reward']:,.1f}"),
    "length": ("eval/mean_ep_length", lambda row: f"{row['eval/mean_ep_length']:,.0f}"),
    "success": ("eval/success", lambda row: f"{100 * row['eval/success']:.0f} %"),
    "route entropy": ("eval/route_entropy", lambda row: f"{row['eval/route_entropy']:.2f}".replace("nan", "–")),
}
"""Of the table: the value that must be there, and what is written."""


def arguments(parser: ArgumentParser) -> None:
    """Run and episodes."""
    parser.add_argument("run", type=Path, help="run folder or checkpoint")
    parser.add_argument("--episodes", type=whole, default=20, metavar="N", help="episodes [20]")
    parser.add_argument("--agent", choices=("policy", "random", "zero"), default="policy", help="who plays [policy]")
    parser.add_argument("--seed", type=seed, default=0, help="of the start states [0]")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")


def run(given: Namespace) -> int:
    """Print the returns of the newest checkpoint, or of another agent in the same task from the same start states."""
    from rich.console import Console
    from rich.table import Table

    from pgcontrol.play import evaluate
    from pgcontrol.runs import checkpoint
    from pgcontrol.runs.load import load_with_meta, make_env

    folder = checkpoint.latest(given.run)
    policy, meta = load_with_meta(folder)
    env_id = meta["policy"]["env"]
    env = make_env(env_id, given.episodes, given.seed)
    if given.agent == "policy":
        agents = {
            "mode": evaluate.policy_agent(policy, deterministic=True, seed=given.seed),
            "sampled": evaluate.policy_agent(policy, deterministic=False, seed=given.seed),
        }
    else:
        agents = {
            given.agent: {"random": evaluate.random_agent(env, given.seed), "zero": evaluate.zero_agent(env)}[
                given.agent
            ]
        }
    rows = {}
    for name, act in agents.items():
        rows[name] = evaluate.summary(evaluate.episodes(env, act, given.seed), "")
    if given.json:
        # without a success the entropy is no number, which JSON has no word for
        rows = {name: {k: v if math.isfinite(v) else None for k, v in row.items()} for name, row in rows.items()}
        print(
            json.dumps(
                {"checkpoint": str(folder), "env": env_id, "episodes": given.episodes, "seed": given.seed, **rows}
            )
        )
        return 0
    table = Table(title=f"{env_id}, {given.episodes} episodes, start states from seed {given.seed}\n{folder}")
    shown = {title: cell for title, (key, cell) in COLUMNS.items() if all(key in row for row in rows.values())}
    table.add_column("agent")
    for title in shown:
        table.add_column(title, justify="right")
    for name, row in rows.items():
        table.add_row(name, *(cell(row) for cell in shown.values()))
    Console(highlight=False).print(table)
    return 0
