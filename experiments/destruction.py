"""Steps x1 … x100 for four rules on HalfCheetah-v5: which policies survive. The table and plot in destruction.md, .png.

    .venv/bin/python experiments/destruction.py [--jobs 2]

A rule's step is multiplied as a length in θ: the learning rate of gae-pg and ppo, √δ of npg and trpo (δ by the square).
Runs whatever is missing; 300k steps, no decay, so that the step stays what it is.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib
from cells import Cell, interval, main

matplotlib.use("Agg")
from matplotlib import pyplot

FACTORS = (1, 3, 10, 30, 100)
STEPS: dict[str, tuple[str, float, float]] = {
    # setting, its usual value, the power of the factor it takes
    "gae-pg": ("algorithm.learning_rate", 1e-3, 1),
    "ppo": ("algorithm.learning_rate", 3e-4, 1),
    "npg": ("algorithm.max_kl", 0.01, 2),
    "trpo": ("algorithm.max_kl", 0.01, 2),
}
CELLS: list[Cell] = [
    {
        "env": "HalfCheetah-v5",
        "label": f"{name} x{factor}",
        "algorithm": name,
        "seed": seed,
        "total_steps": 300_000,
        setting: usual * factor**power,
    }
    | ({"algorithm.decay": "none"} if setting.endswith("rate") else {})
    for seed in range(3)
    for factor in FACTORS
    for name, (setting, usual, power) in STEPS.items()
]


def report(rows: list[dict[str, Any]], here: Path) -> None:
    lines = [
        "# Destruction",
        "",
        "`python experiments/destruction.py`: HalfCheetah-v5, 300k steps, the step of each rule multiplied. IQM over"
        " three seeds of the training return at the end; KL(before || after) of an update: median, and 90 % quantile.",
        "",
        "| algorithm | step | return | KL, median | KL, 90 % | survived |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    figure, axes = pyplot.subplots(1, 2, figsize=(10, 4), layout="constrained")
    for name in STEPS:
        points = []
        for factor in FACTORS:
            cell = [r for r in rows if r["label"] == f"{name} x{factor}"]
            known = [r for r in cell if r["training"] is not None and r["kl"] is not None]
            if not known:
                continue
            score = interval(r["training"] for r in known)[0]
            median, high = (sum(r["kl"][k] for r in known) / len(known) for k in (1, 2))
            survived = f"{sum(r['survived'] for r in cell)} of {len(cell)}"
            lines.append(f"| {name} | x{factor} | {score:,.0f} | {median:.2g} | {high:.2g} | {survived} |")
            points.append((factor, score, median))
        if points:
            factors, scores, kls = zip(*points, strict=True)
            axes[0].semilogx(factors, scores, "o-", label=name)
            axes[1].loglog(factors, kls, "o-", label=name)
    axes[0].set(xlabel="step, times the usual", ylabel="return at 300k steps")
    axes[1].set(xlabel="step, times the usual", ylabel="KL of an update, median, nats")
    axes[0].legend(frameon=False)
    figure.savefig(here / "destruction.png", dpi=150)
    pyplot.close(figure)
    (here / "destruction.md").write_text("\n".join([*lines, "", "![destruction](destruction.png)"]) + "\n")


if __name__ == "__main__":
    main("destruction", __doc__ or "", CELLS, report)
