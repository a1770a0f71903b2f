"""Stable-Baselines3's PPO on our tasks, as shipped and with our settings: the table in peers.md.

    .venv/bin/python experiments/peers.py [--jobs 2] [--tasks HalfCheetah-v5 ...] [--seeds 3] [--steps 1_000_000]

Runs whatever is missing, one process and one thread a run, and adds a row to peers.jsonl as each ends. The score is
ours: the mean return of ten episodes of the final policy's mode, on the task's own rewards. Needs the extra `peers`.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import datetime
import json
import multiprocessing
import os
import time
from importlib import metadata
from pathlib import Path

import torch
from scipy import stats

from pgcontrol.bench import peer
from pgcontrol.runs.config import configure

HERE = Path(__file__).parent
ROWS = HERE / "peers.jsonl"
TASKS = ("HalfCheetah-v5", "Hopper-v5", "Walker2d-v5")
SETTINGS = {"as shipped": False, "our settings": True}


def rows() -> list[dict]:
    return [json.loads(line) for line in ROWS.read_text().splitlines()] if ROWS.exists() else []


def run(task: str, settings: str, seed: int, steps: int) -> dict:
    """One training and its evaluation, in this process."""
    from stable_baselines3.common.env_util import make_vec_env
    from stable_baselines3.common.evaluation import evaluate_policy
    from stable_baselines3.common.vec_env import VecNormalize

    torch.set_num_threads(1)
    model = peer.ppo(configure({"env": task}), SETTINGS[settings], seed)
    began = time.perf_counter()
    model.learn(steps)
    seconds = time.perf_counter() - began
    env, trained = make_vec_env(task, 1, seed=seed + 1000), model.get_vec_normalize_env()
    if trained is not None:
        env = VecNormalize(env, training=False, norm_reward=False)
        env.obs_rms = trained.obs_rms
    score, _ = evaluate_policy(model, env, n_eval_episodes=10, deterministic=True)
    found = {"return": float(score), "steps": model.num_timesteps, "seconds": round(seconds, 1)}
    when = {"version": metadata.version(peer.PACKAGE), "date": datetime.date.today().isoformat()}
    return {"task": task, "settings": settings, "seed": seed} | found | when


def table() -> str:
    lines = [
        "# Stable-Baselines3's PPO, on the same tasks",
        "",
        "`python experiments/peers.py`. IQM over seeds (least … most) of the mode's return at the end; seconds a run,"
        " with one process a core. Rows: peers.jsonl.",
        "",
        "| task | settings | return | seconds | steps | seeds |",
        "|---|---|---:|---:|---:|---:|",
    ]
    cells: dict[tuple[str, str], list[dict]] = {}
    for row in sorted(rows(), key=lambda row: (row["task"], row["settings"], row["seed"])):
        cells.setdefault((row["task"], row["settings"]), []).append(row)
    for (task, settings), cell in cells.items():
        returns, seconds = [row["return"] for row in cell], [row["seconds"] for row in cell]
        spread = f"({min(returns):,.0f} … {max(returns):,.0f})" if len(cell) > 1 else "(one seed)"
        spread = f"{stats.trim_mean(returns, 0.25):,.0f} {spread}"
        steps = f"{max(row['steps'] for row in cell):,}"
        lines.append(f"| {task} | {settings} | {spread} | {sum(seconds) / len(cell):,.0f} | {steps} | {len(cell)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)), help="runs at a time")
    parser.add_argument("--tasks", nargs="+", default=TASKS)
    parser.add_argument("--settings", nargs="+", default=list(SETTINGS), choices=list(SETTINGS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=1_000_000)
    given = parser.parse_args()
    done = {(row["task"], row["settings"], row["seed"]) for row in rows()}
    cells = [(t, s, k) for k in range(given.seeds) for s in given.settings for t in given.tasks]
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(given.jobs, mp_context=context) as pool:
        begun = [pool.submit(run, *cell, given.steps) for cell in cells if cell not in done]
        for future in concurrent.futures.as_completed(begun):
            row = future.result()
            with ROWS.open("a") as file:
                file.write(json.dumps(row) + "\n")
            (HERE / "peers.md").write_text(table())
            print(row, flush=True)


if __name__ == "__main__":
    main()
