"""Every algorithm of the table on two tasks, 1M steps: the table in spectrum.md.

    .venv/bin/python experiments/spectrum.py [--jobs 2] [--labels a2c trpo ...]

Runs whatever is missing; rows that are in spectrum.jsonl are not run again. Every run has its row's recommended
settings and the Gaussian head. The score is the mean return of ten episodes of the final policy's mode.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cells import Cell, interval, main

from pgcontrol import catalog

SEEDS = {"HalfCheetah-v5": 5, "Hopper-v5": 3}
PUBLISHED = {
    "HalfCheetah-v5": {"ppo": 5784, "a2c": 1830, "trpo": 4471, "npg": 3485, "reinforce": 884},
    "Hopper-v5": {"ppo": 2609, "a2c": 1253, "trpo": 2046, "npg": 1915, "reinforce": 396},
}
"""Tianshou's benchmark at 1M steps (REINFORCE 3M), on Gymnasium's v3 tasks."""
CELLS: list[Cell] = [
    {"env": env, "label": name, "algorithm": name, "seed": seed}
    for seed in range(max(SEEDS.values()))
    for env, count in SEEDS.items()
    for name in catalog.algorithms()
    if seed < count
]


def report(rows: list[dict[str, Any]], here: Path) -> None:
    lines = [
        "# The spectrum",
        "",
        "`python experiments/spectrum.py`: 1M steps, Gaussian head, each row's recommended settings; mean return of ten"
        " episodes of the final policy's mode, IQM over seeds with its 95 % bootstrap interval. Published: Tianshou's"
        " benchmark (v3 tasks; REINFORCE at 3M). Rows: spectrum.jsonl.",
        "",
        "| task | algorithm | IQM | 95 % | sampled | published | seeds | per seed | minutes a run |",
        "|---|---|---:|---:|---:|---:|---:|---|---:|",
    ]
    for env in SEEDS:
        for name in catalog.algorithms():
            cell = sorted((r for r in rows if (r["env"], r["label"]) == (env, name)), key=lambda r: r["seed"])
            scored = [r for r in cell if r["return"] is not None]
            if len(scored) < 2:
                continue
            iqm, low, high = interval(r["return"] for r in scored)
            sampled, *_ = interval(r["sampled"] for r in scored)
            each = ", ".join(f"{r['return']:.0f}" for r in scored)
            minutes = sum(r["seconds"] for r in cell) / len(cell) / 60
            published = f"{PUBLISHED[env][name]:,}" if name in PUBLISHED[env] else ""
            columns = (env, name, f"{iqm:,.0f}", f"{low:,.0f} … {high:,.0f}", f"{sampled:,.0f}", published)
            lines.append(f"| {' | '.join(map(str, (*columns, len(scored), each, f'{minutes:.1f}')))} |")
    (here / "spectrum.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main("spectrum", __doc__ or "", CELLS, report)
