"""Clones of demonstrators with several routes, and of a trained HalfCheetah policy, with every head: cloning.md.

    .venv/bin/python experiments/cloning.py [--jobs 2] [--tasks Fork-v0 ...] [--seeds 5] [--steps 10000]

Records the datasets that are missing: 200 episodes of a demonstrator, or 20 of a trained policy's mode, one dataset per
seed. Clones each with every head and adds a row to cloning.jsonl when the clone has ended; existing rows are not made
again. The scores are those of the clone's last evaluation, 200 episodes by samples and by mode. If a task has routes,
`pgcontrol diagnose` judges whether the clone averages them. For HalfCheetah a policy is trained first, for 1M steps:
with a Gaussian head, whose torques can have any value, or with bins, which have eleven. finetuning.yaml starts from
clones of a policy's samples, because these have a σ: of that Gaussian, and of one that was trained for 80k steps.
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

from scipy import stats

from pgcontrol.data.dataset import Dataset

HERE = Path(__file__).parent
ROWS = HERE / "cloning.jsonl"
RUNS = HERE.parent / "runs" / "cloning"
CHEETAH = "HalfCheetah-v5"
TRAINED = {
    f"{CHEETAH}-binned": ("binned", 1_000_000, ["--mode"]),
    f"{CHEETAH}-gaussian": ("gaussian", 1_000_000, ["--mode"]),
    f"{CHEETAH}-expert": ("gaussian", 1_000_000, []),
    f"{CHEETAH}-mediocre": ("gaussian", 80_000, []),
}
"""The demonstrators of HalfCheetah: head, steps of training, and flags of `pgcontrol record`."""
ROUTES = ("Fork-v0", "Avoiding-v0")
RVQ = "--head token --head.tokenizer rvq --head.levels 2 --head.codes"
HEADS = {
    "gaussian": "--head gaussian",
    "gaussian-state": "--head gaussian-state",
    "gaussian-tanh": "--head gaussian-tanh",
    "beta": "--head beta",
    # without a least σ, a component on a bound shrinks to nothing; without a spread, equal components stay equal
    "mixture": "--head mixture --head.min-std 0.05 --head.components 8 --head.initial-spread 0.7",
    "binned": "--head binned",
    "ordinal": "--head ordinal",
    "autoregressive": "--head autoregressive",
    "token-kmeans": "--head token --head.tokenizer kmeans --head.codes 64",
    "token-rvq-16": f"{RVQ} 16",
    "token-rvq": f"{RVQ} 256",
    "token-rvq-1024": f"{RVQ} 1024",
    "token-residual-16": "--head token-residual --head.codes 16",
    "token-residual-256": "--head token-residual --head.codes 256",
    "token-residual-256-wide": "--head token-residual --head.codes 256 --hidden 256,256 --steps 20000",
}
COLUMNS = {
    "return (mode)": "mean_reward",
    "return (samples)": "mean_reward_sampled",
    "success (mode)": "success",
    "success (samples)": "success_sampled",
    "route entropy (samples)": "route_entropy_sampled",
}
SCORES = ("mean_reward", "success", "route_entropy")


def pgcontrol(*words: object) -> None:
    subprocess.run([sys.executable, "-m", "pgcontrol", *map(str, words)], check=True, stdout=subprocess.DEVNULL)


def demonstrator(head: str, steps: int, how: list[str]) -> list[object]:
    """A run folder, trained for `steps` if it is missing, and the flags of `pgcontrol record`."""
    folder = RUNS / f"cheetah-{head}-{steps}"
    if not (folder / "checkpoints").exists() or not any((folder / "checkpoints").iterdir()):
        words = ["--total-steps", steps, "--seed", 100, "--threads", 1, "--eval-every", 0, "--run-dir", folder]
        pgcontrol("train", CHEETAH, "--head", head, *words)
    return [folder, *how]


def recorded(task: str, seed: int) -> Path:
    """The dataset of a task and a seed, recorded or completed if necessary."""
    folder, routes = RUNS / f"{task}-demos-s{seed}", task in ROUTES
    made = json.loads((folder / "metadata.json").read_text())["total_episodes"] if folder.exists() else 0
    wanted = 200 if routes else 20
    if made < wanted:
        source = [task] if routes else demonstrator(*TRAINED[task])
        pgcontrol("record", *source, "--episodes", wanted, "--seed", seed, "--out", folder)
    return folder


def run(task: str, head: str, seed: int, steps: int) -> dict:
    data, folder = RUNS / f"{task}-demos-s{seed}", RUNS / f"{task}-{head}-s{seed}"
    words = ["--steps", steps, "--seed", seed, "--eval-episodes", 200, "--run-dir", folder]
    pgcontrol("clone", data, *words, *HEADS[head].split())
    if task in ROUTES:
        pgcontrol("diagnose", folder)
    last = json.loads((folder / "metrics.jsonl").read_text().splitlines()[-1])
    manifest = json.loads((folder / "manifest.json").read_text())
    scores = {f"{s}{by}": last.get(f"eval/{s}{by}") for s in SCORES for by in ("", "_sampled")}
    kept = {"steps": manifest["steps"], "nll": last["eval/nll"], "seconds": manifest["seconds"]}
    kept |= {"verdict": manifest["verdict"]} if task in ROUTES else {}
    shown = [float(episode.reward.sum()) for episode in Dataset(data).episodes()]
    kept |= {"demonstrated": sum(shown) / len(shown)}
    when = {"revision": manifest["git"], "date": datetime.date.today().isoformat()}
    return {"task": task, "head": head, "seed": seed} | scores | kept | when


def rows() -> list[dict]:
    return [json.loads(line) for line in ROWS.read_text().splitlines()] if ROWS.exists() else []


def spread(cell: list[dict], key: str, percent: bool = False) -> str:
    """IQM over seeds, with the smallest and the largest value."""
    found = [row[key] for row in cell if row[key] is not None]
    if not found:
        return "–"
    numbers = [float(stats.trim_mean(found, 0.25)), min(found), max(found)]
    said = [f"{100 * n:.0f}" if percent else f"{n:,.0f}" if abs(n) >= 100 else f"{n:.2f}" for n in numbers]
    return f"{said[0]} ({said[1]} … {said[2]})"


def table() -> str:
    lines = [
        "# Which heads can clone demonstrators with two routes, and a trained policy?",
        "",
        "`python experiments/cloning.py`. IQM over seeds (smallest … largest); 200 episodes each; success in percent;"
        " route entropy of the successful episodes; averaging: the number of clones with this verdict of `pgcontrol"
        " diagnose`. Rows: cloning.jsonl.",
    ]
    columns = ["head", *COLUMNS, "averaging", "seeds"]
    for task in dict.fromkeys(row["task"] for row in rows()):
        lines += ["", f"## {task}", "", f"| {' | '.join(columns)} |", "|---" + "|---:" * (len(columns) - 1) + "|"]
        for head in HEADS:
            cell = [row for row in rows() if (row["task"], row["head"]) == (task, head)]
            if cell:
                said = [spread(cell, key, percent="success" in key) for key in COLUMNS.values()]
                judged = [row["verdict"] for row in cell if "verdict" in row]
                said.append(f"{sum('averaging' in v for v in judged)} of {len(judged)}" if judged else "–")
                lines.append(f"| {head} | {' | '.join(said)} | {len(cell)} |")
        shown = [row["demonstrated"] for row in rows() if row["task"] == task and row["head"] == "gaussian"]
        if shown:
            lines += ["", f"The demonstrations' own return: {min(shown):,.2f} … {max(shown):,.2f}."]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)), help="clones at the same time")
    parser.add_argument("--tasks", nargs="+", default=ROUTES, choices=(*ROUTES, *TRAINED))
    parser.add_argument("--heads", nargs="+", default=list(HEADS), choices=list(HEADS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=10_000, help="largest number of gradient steps of a clone")
    given = parser.parse_args()
    done = {(row["task"], row["head"], row["seed"]) for row in rows()}
    every = [(t, h, s) for s in range(given.seeds) for t in given.tasks for h in given.heads]
    cells = [cell for cell in every if cell not in done]
    for task, _, seed in cells:
        recorded(task, seed)
    with concurrent.futures.ThreadPoolExecutor(given.jobs) as pool:
        for future in concurrent.futures.as_completed([pool.submit(run, *cell, given.steps) for cell in cells]):
            row = future.result()
            with ROWS.open("a") as file:
                file.write(json.dumps(row) + "\n")
            (HERE / "cloning.md").write_text(table())
            print(row, flush=True)


if __name__ == "__main__":
    main()
