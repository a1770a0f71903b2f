"""`make demo`: two heads on HalfCheetah-v5, and their policies side by side."""

from __future__ import annotations

import datetime
from pathlib import Path

from rich.console import Console

from pgcontrol.learning.train import train
from pgcontrol.options import InputError
from pgcontrol.runs.config import configure
from pgcontrol.runs.log import read_rows
from pgcontrol.view.clips import video_of_runs

HEADS = {"gaussian": {}, "binned": {"head.bins": 11}}


def demo(total_steps: str, where: Path | None) -> int:
    """Train both heads, print their returns and folders, render them side by side.

    Returns:
        Exit code: 0 also where no graphics library allows the video, which is then said; 130 when stopped.

    Raises:
        InputError: bad number of steps, or a folder that exists.
    """
    console = Console(highlight=False, soft_wrap=True)
    where = where or Path("runs") / f"demo-{datetime.datetime.now():%Y%m%d-%H%M%S}"
    common = {"env": "HalfCheetah-v5", "total_steps": total_steps, "video": False, "eval_every": 0}
    configs = [
        configure(common | {"head": head, "run_dir": str(where / head)} | options) for head, options in HEADS.items()
    ]
    runs = []
    for config in configs:
        runs.append(train(config))
        if runs[-1].status != "finished":
            return 130
    for config, run in zip(configs, runs, strict=True):
        last = read_rows(run.path / "metrics.jsonl")[-1]
        console.print(
            f"{config.head.name:9} return {last['rollout/ep_rew_mean']:8,.0f}"
            f"   {last['time/fps']:,.0f} steps/s   {run.path}"
        )
    out = where / "side-by-side.mp4"
    try:
        video_of_runs([run.path for run in runs], out, seconds=20.0)
    except (InputError, RuntimeError) as error:
        console.print(f"no video: {error}")
    else:
        console.print(f"video     {out}")
    return 0
