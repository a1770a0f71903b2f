"""What the public functions take, and so the commands of their names: one dataclass each, with help and limits.

A command adds what it shows and how; what a function does lies on the function's own floor. Imports nothing slow, so
that help and a misspelt flag are answered at once.
"""

import math
from dataclasses import dataclass
from pathlib import Path

from pgcontrol.options import REQUIRED, option

CLIPS = "videos in the report: of the median run of each task and arm, of every run, or of none"
WHICH = ("some", "all", "none")
ENGINES = ("local", "slurm", "ray")
FOLDER = "folder of the run folders [runs/FILE]"
AGAIN = (
    "make finished runs anew, by name ('HalfCheetah-v5-*-s3') or by a word of their verdict (diverged); their folders"
    " are set aside. Failed runs are tried again in any case"
)
QUIET = "show no progress"


@dataclass(frozen=True)
class EvaluateOptions:
    """Run and episodes."""

    run: Path = option(REQUIRED, "run folder or checkpoint", positional=True)
    episodes: int = option(20, "episodes", least=1, most=10**6)
    agent: str = option("policy", "who plays", choices=("policy", "random", "zero"))
    seed: int = option(0, "of the start states", least=0, most=2**63 - 1)


@dataclass(frozen=True)
class VideoOptions:
    """Runs and the clip."""

    runs: tuple[Path, ...] = option(
        REQUIRED, "run folders, checkpoints or recordings (.npz), side by side", metavar="RUN", positional=True
    )
    out: Path = option(REQUIRED, "where the clip goes", metavar="FILE.mp4")
    seconds: float | None = option(None, "at most this long; whole episodes otherwise", above=0, below=1e6, metavar="S")
    sampled: bool = option(False, "play samples of the policy instead of its mode")
    overlay: bool = option(False, "beside each scene, every joint's action distribution")
    seed: int = option(0, "of the start state, the same for all runs", least=0, most=2**63 - 1)
    size: str = option("640x480", "of one scene", metavar="WxH")
    max_fps: float = option(50.0, "steps above this rate are dropped", above=0, metavar="R")
    crf: int = option(20, "coarseness: 6 more is half the bytes", least=0, most=51, metavar="Q")
    force: bool = option(False, "replace FILE.mp4 if it exists")


@dataclass(frozen=True)
class DiagnoseOptions:
    """The run, and the experiments it is worth; limits of the verdicts are settings."""

    run: Path = option(REQUIRED, "run folder", positional=True)
    branches: int = option(0, "prove a collapse by N runs widened and N left alone; 0: none", least=0, most=1000)
    at: int | None = option(None, "step where branches begin [the onset, or several in turn]", least=0, most=10**11)
    branch_steps: int | None = option(None, "environment steps of a branch [what was left]", least=1, most=10**11)
    jobs: int | None = option(None, "branches at a time [one a core]", least=1, most=1024)
    against: Path | None = option(
        None, "run whose routes are the reference [its data, or the demonstrator]", metavar="RUN"
    )
    quiet: bool = option(True, QUIET)


@dataclass(frozen=True)
class ExportOptions:
    """Run and file."""

    run: Path = option(REQUIRED, "run folder or checkpoint", positional=True)
    out: Path = option(REQUIRED, "where it goes; FILE.json beside", metavar="FILE.onnx")
    sampled: bool = option(False, "samples of the policy, drawn from a second input")
    float32: bool = option(False, "inputs in float32, for runtimes without float64; says what that costs")
    force: bool = option(False, "replace FILE.onnx and FILE.json if they exist")


@dataclass(frozen=True)
class SecondPhysics:
    """How a second simulation differs from that of training; `same` and neutral numbers: not at all."""

    solver: str = option(
        "other",
        "of contacts; other: CG, or Newton where training has CG. All but same: to convergence, elliptic cones",
        choices=("other", "same", "CG", "Newton", "PGS"),
    )
    integrator: str = option(
        "other",
        "other: Euler, or implicitfast where training has Euler",
        choices=("other", "same", "Euler", "RK4", "implicit", "implicitfast"),
    )
    timestep: float | None = option(
        None, "seconds of a physics step [half of training's]", above=0, below=1, metavar="S"
    )
    latency: int = option(1, "control steps until an action acts", least=0, most=100, metavar="STEPS")
    noise: float = option(1.0, "times the sensor noise of training", least=0, below=1e6, metavar="X")
    frictionloss: float = option(2.0, "times the joints' dry friction", least=0, below=1e6, metavar="X")
    damping: float = option(2.0, "times the joints' damping", least=0, below=1e6, metavar="X")


@dataclass(frozen=True)
class PlayedFile:
    """What is played, and how long."""

    run: Path = option(
        REQUIRED, "run folder or checkpoint, or what was exported from one", metavar="RUN|FILE.onnx", positional=True
    )
    episodes: int = option(20, "episodes", least=1, most=10**4)
    seconds: float = option(20.0, "an episode in the second simulation", above=0, below=1e5, metavar="S")
    seed: int = option(0, "of start states, commands and noise", least=0, most=2**63 - 1)
    out: Path | None = option(None, "write what was measured there", metavar="FILE.json")
    force: bool = option(False, "replace FILE.json if it exists")


@dataclass(frozen=True)
class Sim2SimOptions(SecondPhysics, PlayedFile):
    """The run, the episodes, and the second simulation."""


@dataclass(frozen=True)
class RecordOptions:
    """Who is recorded, and where to."""

    source: str = option(
        REQUIRED, "run folder or checkpoint, or a task with a demonstrator", metavar="RUN|TASK", positional=True
    )
    out: Path = option(REQUIRED, "the dataset's folder", metavar="DIR")
    episodes: int = option(REQUIRED, "episodes the dataset is to have", least=1, most=10**6)
    mode: bool = option(False, "play the policy's mode, not its samples")
    noise: float = option(1.0, "scale of the demonstrator's noise", least=0, below=math.inf)
    seed: int = option(0, "of start states and samples", least=0, most=2**63 - 1)
    quiet: bool = option(True, QUIET)


@dataclass(frozen=True)
class TokenizeOptions:
    """Source, kind and size of the chunks; the kind's own options are settings."""

    source: Path = option(REQUIRED, "run folder, Minari dataset, or .npz file", metavar="RUN|DATASET", positional=True)
    out: Path = option(REQUIRED, "the folder to write", metavar="DIR")
    kind: str = option("kmeans", "what kind of tokenizer, see below", metavar="NAME")
    horizon: int = option(1, "actions a chunk", least=1, most=64, metavar="H")
    steps: int = option(32_000, "steps to play of a run", least=1, most=10**8)
    seed: int = option(0, "of start states, samples and the fit", least=0, most=2**63 - 1)
    clip_actions: bool = option(False, "of a dataset: clip those beyond the task's bounds, and count them")


@dataclass(frozen=True)
class ReplayOptions:
    """A breakdown of a simulation."""

    file: Path = option(REQUIRED, "RUN/breakdowns/….json, which a training wrote", metavar="FILE", positional=True)


@dataclass(frozen=True)
class CompareOptions:
    """The sweep."""

    sweep: Path = option(REQUIRED, "question, arms and grid", metavar="FILE.yaml", positional=True)
    jobs: int | None = option(None, "runs at a time [one a core; on a cluster 64]", least=1, most=1024)
    runs: Path | None = option(None, FOLDER, metavar="DIR")
    again: str | None = option(None, AGAIN, metavar="WHICH")
    dry_run: bool = option(False, "say what would run and how long it would take")
    search_only: bool = option(
        False, "make the search's trials, and no reported run; several processes may do so at once"
    )
    clips: str = option("some", CLIPS, choices=WHICH)
    quiet: bool = option(True, QUIET)
    on: str | None = option(None, "what places the runs [as the file says, or local]", choices=ENGINES)
    cores: int | None = option(None, "of a run [as the file says, or 1]", least=1, most=1024)
    cancel: bool = option(False, "end the sweep's jobs on a cluster, queued or running, and run nothing")


@dataclass(frozen=True)
class ReportOptions:
    """A sweep that has results."""

    sweep: Path = option(REQUIRED, "question, arms and grid", metavar="FILE.yaml", positional=True)
    runs: Path | None = option(None, FOLDER, metavar="DIR")
    clips: str = option("some", CLIPS, choices=WHICH)
    quiet: bool = option(True, QUIET)
