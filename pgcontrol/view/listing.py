"""What `eval` and `list` print."""

from __future__ import annotations

import inspect
import json
import math
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from pgcontrol import catalog
from pgcontrol.runs import checkpoint
from pgcontrol.runs.load import load_with_meta, make_env
from pgcontrol.view import evaluate

COLUMNS: dict[str, tuple[str, Callable[[dict[str, float]], str]]] = {
    "return": ("eval/mean_reward", lambda row: f"{row['eval/mean_reward']:,.1f}"),
    "95 % of the mean": ("eval/low_reward", lambda r: f"{r['eval/low_reward']:,.1f} … {r['eval/high_reward']:,.1f}"),
    "deviation": ("eval/std_reward", lambda row: f"{row['eval/std_reward']:,.1f}"),
    "length": ("eval/mean_ep_length", lambda row: f"{row['eval/mean_ep_length']:,.0f}"),
    "success": ("eval/success", lambda row: f"{100 * row['eval/success']:.0f} %"),
    "route entropy": ("eval/route_entropy", lambda row: f"{row['eval/route_entropy']:.2f}".replace("nan", "–")),
}
"""Of the table: the value that must be there, and what is written."""


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
        # without a success the entropy is no number, which JSON has no word for
        rows = {name: {k: v if math.isfinite(v) else None for k, v in row.items()} for name, row in rows.items()}
        print(json.dumps({"checkpoint": str(folder), "env": env_id, "episodes": count, "seed": seed, **rows}))
        return 0
    table = Table(title=f"{env_id}, {count} episodes, start states from seed {seed}\n{folder}")
    shown = {title: cell for title, (key, cell) in COLUMNS.items() if all(key in row for row in rows.values())}
    table.add_column("agent")
    for title in shown:
        table.add_column(title, justify="right")
    for name, row in rows.items():
        table.add_row(name, *(cell(row) for cell in shown.values()))
    Console(highlight=False).print(table)
    return 0


def print_catalog() -> int:
    """Print every task, head, algorithm, critic, trunk and tokenizer with its first line of documentation."""
    import pgcontrol_envs

    console = Console(highlight=False)
    for title, table in (
        ("tasks", pgcontrol_envs.catalog()),
        ("heads", catalog.heads()),
        ("algorithms", catalog.algorithms()),
        ("critics", catalog.critics()),
        ("trunks", catalog.trunks()),
        ("tokenizers", catalog.tokenizers()),
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
