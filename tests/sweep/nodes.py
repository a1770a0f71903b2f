"""Helpers for tests of executors: runs that take no time, and comparison with a run made here."""

import contextlib
import io
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pgcontrol.cli import main
from pgcontrol.runs import checkpoint
from pgcontrol.runs.config import configure
from pgcontrol.runs.folder import RunFolder
from pgcontrol.runs.log import read_rows
from pgcontrol.sweep.cell import Cell
from pgcontrol.sweep.executor import Ended, Executor
from pgcontrol.sweep.sweep import Sweep, read_sweep
from pgcontrol.training.train import train
from tests.sweep.worlds import SWEEP

POPEN = subprocess.Popen


class Quick:
    """In place of processes: runs that have ended when they are looked at for the third time.

    Attributes:
        fail: seed of the runs that end with exit code 2.
        made: names of the runs that were begun.
    """

    def __init__(self, fail: int | None = None):
        self.fail, self.made = fail, list[str]()

    def __call__(self, words: list[str], **how: Any) -> Any:
        if "train" not in words:  # git
            return POPEN(words, **how)
        env, *settings = words[words.index("train") + 1 :]
        said = dict(zip((key[2:] for key in settings[::2]), settings[1::2], strict=True))
        folder = RunFolder.create(configure({"env": env} | said))
        folder.metrics_file.write_text('{"time/total_timesteps": 512}\n')
        self.made.append(folder.path.name)
        return _Run(folder, 2 if said["seed"] == str(self.fail) else 0)


class _Run:
    def __init__(self, folder: RunFolder, code: int):
        self.folder, self.code, self.looks = folder, code, 0

    def poll(self) -> int | None:
        self.looks += 1
        if self.looks == 3:
            self.folder.write_manifest(status="failed" if self.code else "finished")
        return self.code if self.looks >= 3 else None

    def terminate(self) -> None:
        self.code, self.looks = 130, 2

    def wait(self) -> None:
        pass


def pair(folder: Path, budget: str = "512") -> Sweep:
    """Two runs of one arm."""
    (folder / "pair.yaml").write_text(SWEEP[: SWEEP.rindex("  - {")].replace("budget: 512", f"budget: {budget}"))
    return read_sweep(folder / "pair.yaml")


def outcomes(executor: Executor, cells: list[Cell], where: Path) -> dict[str, str]:
    """Name of each cell -> why it failed; empty if it did not."""
    return {o.cell.name: o.error for o in executor.run(cells, where) if isinstance(o, Ended)}


def identical(folder: Path, cell: Cell) -> list[dict[str, Any]]:
    """Assert that a run is to the bit what training here makes of its settings; its log without times."""
    run = train(cell.settings | {"threads": 1, "run_dir": str(folder.with_name(f"{folder.name}.plain"))})
    theirs, ours = (
        [{k: v for k, v in line.items() if not k.startswith("time/") or k == "time/total_timesteps"} for line in log]
        for log in (read_rows(folder / "metrics.jsonl"), run.metrics())
    )
    assert theirs == ours
    weights = [checkpoint.find(where)[-1] / "tensors.safetensors" for where in (folder, run.path)]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    return ours


def typed(*words: object) -> tuple[object, str]:
    """Exit code and output of a command."""
    with contextlib.redirect_stdout(io.StringIO()) as out, pytest.raises(SystemExit) as ended:
        main([str(word) for word in words])
    return ended.value.code, out.getvalue()
