"""What `eval` and `list` print."""

from __future__ import annotations

import inspect
import json
from pathlib import Path

from rich.console import Console
from rich.table import Table

from pgcontrol import catalog
from pgcontrol.runs import checkpoint
from pgcontrol.runs.load import load_with_meta, make_env
from pgcontrol.view import evaluate


def evaluate_run(where: Path, count: int, agent: str, seed: int, as_json: bool) -> int:
    """Print the returns of a run's newest checkpoint, or of another agent in the same task from the same start states.

    Raises:
        InputError: nothing to evaluate there.
    """
    folder = checkpoint.latest(where)
    policy, meta = load_with_meta(folder)
    env_id = meta["policy"]["env"]
    env = make_env(env_id, count, seed)
    if agent == "policy":
        agents = {
            "mode": evaluate.policy_agent(policy, deterministic=True, seed=seed),
            "sampled": evaluate.policy_agent(policy, deterministic=False, seed=seed),
        }
    else:
        agents = {agent: {"random": evaluate.random_agent(env, seed), "zero": evaluate.zero_agent(env)}[agent]}
    rows = {}
    for name, act in agents.items():
        rows[name] = evaluate.summary(evaluate.episodes(env, act, seed), "")
    if as_json:
        print(json.dumps({"checkpoint": str(folder), "env": env_id, "episodes": count, "seed": seed, **rows}))
        return 0
    table = Table(title=f"{env_id}, {count} episodes, start states from seed {seed}\n{folder}")
    for column in ("agent", "return", "95 % of the mean", "deviation", "length"):
        table.add_column(column, justify="left" if column == "agent" else "right")
    for name, row in rows.items():
        table.add_row(
            name,
            f"{row['eval/mean_reward']:,.1f}",
            f"{row['eval/low_reward']:,.1f} … {row['eval/high_reward']:,.1f}",
            f"{row['eval/std_reward']:,.1f}",
            f"{row['eval/mean_ep_length']:,.0f}",
        )
    Console(highlight=False).print(table)
    return 0


def print_catalog() -> int:
    """Print every task, head, algorithm and critic with its first line of documentation."""
    import pgcontrol_envs

    console = Console(highlight=False)
    for title, table in (
        ("tasks", pgcontrol_envs.catalog()),
        ("heads", catalog.heads()),
        ("algorithms", catalog.algorithms()),
        ("critics", catalog.critics()),
    ):
        console.print(title, style="bold")
        for name, item in table.items():
            console.print(f"  {name:26} {_first_line(item)}", markup=False, soft_wrap=True)
        if title == "tasks":
            console.print(f"  {'gym:ID':26} Any Gymnasium environment with Box spaces.", markup=False, soft_wrap=True)
    return 0


def _first_line(item: object) -> str:
    summary = getattr(item, "summary", None)
    return summary if isinstance(summary, str) else (inspect.getdoc(item) or "").split("\n")[0]
