"""What experiments of many runs share: run what is missing, one process a run, a row of JSON as each ends."""

from __future__ import annotations

import argparse
import concurrent.futures
import datetime
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

Cell = dict[str, Any]
"""Settings of one run by dotted name, `env` and `seed` among them, with `label` for the row of the table it is in."""


def read(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def run(cell: Cell, where: Path) -> dict[str, Any]:
    """Train one cell and say what came of it; a run that diverges is a result too."""
    folder = where / f"{cell['env']}-{cell['label']}-s{cell['seed']}".replace(" ", "_")
    fixed = {"threads": 1, "video": False, "eval_every": 1_000_000_000, "run_dir": folder}
    settings = fixed | {key: value for key, value in cell.items() if key != "label"}
    words = [f"--{key}={value}" for key, value in settings.items()]
    done = subprocess.run(
        [sys.executable, "-m", "pgcontrol", "train", *words, "--quiet"], capture_output=True, text=True
    )
    rows = read(folder / "metrics.jsonl")
    manifest = json.loads((folder / "manifest.json").read_text())
    if done.returncode and manifest["status"] != "failed":
        raise RuntimeError(f"{folder}: {done.stderr}")
    last, kl = rows[-1] if rows else {}, [row["train/kl"] for row in rows if row.get("train/kl") is not None]
    return cell | {
        "return": last.get("eval/mean_reward"),
        "sampled": last.get("eval/mean_reward_sampled"),
        "training": last.get("rollout/ep_rew_mean"),
        "kl": [float(x) for x in np.quantile(kl, [0.1, 0.5, 0.9])] if kl else None,
        "survived": done.returncode == 0,
        "steps": last.get("time/total_timesteps", 0),
        "seconds": manifest["seconds"],
        "revision": manifest["git"],
        "date": datetime.date.today().isoformat(),
    }


def interval(scores: Iterable[float]) -> tuple[float, float, float]:
    """IQM over seeds, and its 95 % percentile bootstrap interval (seeds resampled)."""
    scores = np.array(list(scores))
    resamples = np.random.default_rng(0).choice(scores, (10_000, len(scores)))
    low, high = np.quantile(stats.trim_mean(resamples, 0.25, axis=1), [0.025, 0.975])
    return float(stats.trim_mean(scores, 0.25)), float(low), float(high)


def main(name: str, doc: str, cells: list[Cell], report: Callable[[list[dict[str, Any]], Path], None]) -> None:
    """Command line of an experiment: run the missing cells, and write the report after each."""
    here = Path(__file__).parent
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)), help="runs at a time")
    parser.add_argument("--labels", nargs="+", help="only these rows of the table")
    parser.add_argument("--runs", type=Path, default=here.parent / "runs" / name, help="where run folders go")
    arguments = parser.parse_args()
    file, key = here / f"{name}.jsonl", ("env", "label", "seed")
    done = {tuple(row[k] for k in key) for row in read(file)}
    missing = [cell for cell in cells if tuple(cell[k] for k in key) not in done]
    missing = [cell for cell in missing if not arguments.labels or cell["label"] in arguments.labels]
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        for future in concurrent.futures.as_completed([pool.submit(run, cell, arguments.runs) for cell in missing]):
            with file.open("a") as rows:
                rows.write(json.dumps(future.result()) + "\n")
            report(read(file), here)
            print(future.result(), flush=True)
    report(read(file), here)
