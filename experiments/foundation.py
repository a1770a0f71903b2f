"""Both heads on three locomotion tasks, five seeds each: the table in foundation.md.

    .venv/bin/python experiments/foundation.py [--jobs 2] [--tasks HalfCheetah-v5 ...]

Runs whatever is missing, one process a run, and adds a row to foundation.jsonl as each ends; rows that are there are
not run again. Every run uses the recommended settings of its task file. The score is the mean return of ten
deterministic episodes after the last update (`eval/mean_reward` of the last row of metrics.jsonl).
"""

from __future__ import annotations

import argparse
import concurrent.futures
import datetime
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from scipy import stats

HERE = Path(__file__).parent
ROWS = HERE / "foundation.jsonl"
TASKS = ("HalfCheetah-v5", "Hopper-v5", "Walker2d-v5")
HEADS = ("gaussian", "binned")
SEEDS = range(5)


def rows() -> list[dict]:
    return [json.loads(line) for line in ROWS.read_text().splitlines()] if ROWS.exists() else []


def run(task: str, head: str, seed: int, where: Path) -> dict:
    folder = where / f"{task}-{head}-s{seed}"
    words = ["train", task, "--head", head, "--seed", str(seed), "--threads", "1", "--video", "false"]
    words += ["--eval-every", "1_000_000_000", "--run-dir", str(folder)]
    subprocess.run([sys.executable, "-m", "pgcontrol", *words, "--quiet"], check=True)
    last = json.loads((folder / "metrics.jsonl").read_text().splitlines()[-1])
    manifest = json.loads((folder / "manifest.json").read_text())
    return {
        "task": task,
        "head": head,
        "seed": seed,
        "return": last["eval/mean_reward"],
        "sampled": last["eval/mean_reward_sampled"],
        "steps": last["time/total_timesteps"],
        "seconds": manifest["seconds"],
        "revision": manifest["git"],
        "date": datetime.date.today().isoformat(),
    }


def interval(scores: np.ndarray) -> tuple[float, float, float]:
    """IQM over seeds, and its 95 % percentile bootstrap interval (seeds resampled)."""
    iqm = stats.trim_mean(scores, 0.25)
    resamples = np.random.default_rng(0).choice(scores, (10_000, len(scores)))
    low, high = np.quantile(stats.trim_mean(resamples, 0.25, axis=1), [0.025, 0.975])
    return float(iqm), float(low), float(high)


def table() -> str:
    lines = [
        "# Two heads, three tasks, five seeds",
        "",
        "`python experiments/foundation.py`: 1M steps with each task's recommended settings; score = mean return of ten"
        " episodes of the final policy's mode. IQM over seeds with its 95 % bootstrap interval (seeds resampled); the"
        " sampled policy's IQM beside it. One process a run, one thread each. Rows: foundation.jsonl.",
        "",
        "| task | head | IQM (mode) | 95 % | IQM (sampled) | seeds | per seed (mode) | dates |",
        "|---|---|---:|---:|---:|---:|---|---|",
    ]
    found = rows()
    for task in TASKS:
        for head in HEADS:
            cell = sorted((r for r in found if (r["task"], r["head"]) == (task, head)), key=lambda r: r["seed"])
            if len(cell) < 2:
                continue
            iqm, low, high = interval(np.array([r["return"] for r in cell]))
            sampled, *_ = interval(np.array([r["sampled"] for r in cell]))
            each = ", ".join(f"{r['return']:.0f}" for r in cell)
            dates = " … ".join(sorted({r["date"] for r in cell}))
            row = (task, head, f"{iqm:,.0f}", f"{low:,.0f} … {high:,.0f}", f"{sampled:,.0f}", len(cell), each, dates)
            lines.append(f"| {' | '.join(map(str, row))} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)), help="runs at a time")
    parser.add_argument("--tasks", nargs="+", default=TASKS, choices=TASKS)
    parser.add_argument("--runs", type=Path, default=HERE.parent / "runs" / "foundation", help="where run folders go")
    arguments = parser.parse_args()
    done = {(r["task"], r["head"], r["seed"]) for r in rows()}
    cells = [(t, h, s) for s in SEEDS for t in arguments.tasks for h in HEADS if (t, h, s) not in done]
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        for future in concurrent.futures.as_completed([pool.submit(run, *cell, arguments.runs) for cell in cells]):
            row = future.result()
            with ROWS.open("a") as file:
                file.write(json.dumps(row) + "\n")
            (HERE / "foundation.md").write_text(table())
            print(row, flush=True)
    (HERE / "foundation.md").write_text(table())


if __name__ == "__main__":
    main()
