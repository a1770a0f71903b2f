"""The arguments of the public functions and of the commands with the same names: one dataclass each.

Fields have help and limits. A command adds flags for its output. The functions themselves are on their own floors. This
module imports nothing slow, so that help and misspelt flags are answered immediately.
"""

import math
from dataclasses import dataclass
from pathlib import Path

from pgcontrol.options import REQUIRED, option

# what scores a final policy: this many episodes, whose start states follow from one seed, the same for all runs
EPISODES = 100
EVALUATION_SEED = 0

CLIPS = "videos in the report: of the median run of each task and arm, of every run, or none"
WHICH = ("some", "all", "none")
ENGINES = ("local", "slurm", "ray")
FOLDER = "folder of the run folders [runs/FILE]"
AGAIN = (
    "repeat finished runs, selected by name ('HalfCheetah-v5-*-s3') or by a word of their verdict (diverged); their old"
    " folders are renamed and kept. Failed runs are always repeated"
)
QUIET = "show no progress"


@dataclass(frozen=True)
class EvaluateOptions:
    """Run and episodes."""

    run: Path = option(REQUIRED, "run folder or checkpoint", positional=True)
    episodes: int = option(EPISODES, "number of episodes; a sweep has the same default", least=1, most=10**6)
    agent: str = option("policy", "the player", choices=("policy", "random", "zero"))
    seed: int = option(EVALUATION_SEED, "seed of the start states", least=0, most=2**63 - 1)


@dataclass(frozen=True)
class VideoOptions:
    """Runs and the video."""

    runs: tuple[Path, ...] = option(
        REQUIRED, "run folders, checkpoints or recordings (.npz), side by side", metavar="RUN", positional=True
    )
    out: Path = option(REQUIRED, "the video to write", metavar="FILE.mp4")
    seconds: float | None = option(None, "maximum length [whole episodes]", above=0, below=1e6, metavar="S")
    sampled: bool = option(False, "play samples of the policy instead of its mode")
    overlay: bool = option(False, "show every joint's action distribution next to each scene")
    seed: int = option(0, "seed of the start state, the same for all runs", least=0, most=2**63 - 1)
    size: str = option("640x480", "size of one scene", metavar="WxH")
    max_fps: float = option(50.0, "maximum frame rate; further steps are dropped", above=0, metavar="R")
    crf: int = option(20, "compression: 6 more halves the file size", least=0, most=51, metavar="Q")
    force: bool = option(False, "replace FILE.mp4 if it exists")
    quiet: bool = option(True, QUIET)


@dataclass(frozen=True)
class DiagnoseOptions:
    """The run and the experiments on it; thresholds of the verdicts are settings."""

    run: Path = option(REQUIRED, "run folder", positional=True)
    branches: int = option(0, "test a collapse with N widened and N unchanged branches; 0: none", least=0, most=1000)
    at: int | None = option(None, "step where branches begin [the onset, or three places]", least=0, most=10**11)
    branch_steps: int | None = option(
        None, "environment steps per branch [the rest, at least a quarter]", least=1, most=10**11
    )
    jobs: int | None = option(None, "branches at the same time [one per core]", least=1, most=1024)
    against: Path | None = option(None, "run to compare routes with [its data, or the demonstrator]", metavar="RUN")
    quiet: bool = option(True, QUIET)


@dataclass(frozen=True)
class ExportOptions:
    """Run and file."""

    run: Path = option(REQUIRED, "run folder or checkpoint", positional=True)
    out: Path = option(REQUIRED, "the file to write, with a description in FILE.json", metavar="FILE.onnx")
    sampled: bool = option(False, "export sampling, with random numbers as a second input")
    float32: bool = option(False, "use float32 inputs, for runtimes without float64; prints the effect")
    force: bool = option(False, "replace FILE.onnx and FILE.json if they exist")


@dataclass(frozen=True)
class SecondPhysics:
    """Differences between the second simulation's physics and training's; `same` and neutral numbers: no difference."""

    solver: str = option(
        "other",
        "contact solver; other: CG, or Newton if training uses CG. All but same: to convergence, elliptic cones",
        choices=("other", "same", "CG", "Newton", "PGS"),
    )
    integrator: str = option(
        "other",
        "other: Euler, or implicitfast if training uses Euler",
        choices=("other", "same", "Euler", "RK4", "implicit", "implicitfast"),
    )
    timestep: float | None = option(
        None, "physics timestep in seconds [half of training's]", above=0, below=1, metavar="S"
    )
    latency: int = option(1, "control steps until an action takes effect", least=0, most=100, metavar="STEPS")
    noise: float = option(1.0, "factor of training's sensor noise", least=0, below=1e6, metavar="X")
    friction: float = option(1.0, "factor of the sliding friction of all contacts", least=0, below=1e6, metavar="X")
    frictionloss: float = option(2.0, "factor of the joints' dry friction", least=0, below=1e6, metavar="X")
    damping: float = option(2.0, "factor of the joints' damping", least=0, below=1e6, metavar="X")


@dataclass(frozen=True)
class PlayedFile:
    """The policy, and the episodes."""

    run: Path = option(REQUIRED, "run folder, checkpoint, or exported file", metavar="RUN|FILE.onnx", positional=True)
    episodes: int = option(20, "number of episodes", least=1, most=10**4)
    seconds: float | None = option(
        None, "length of an episode with the exported file [as in the task]", above=0, below=1e5, metavar="S"
    )
    seed: int = option(0, "seed of start states, commands and noise", least=0, most=2**63 - 1)
    out: Path | None = option(None, "also write the results to this file", metavar="FILE.json")
    force: bool = option(False, "replace FILE.json if it exists")


@dataclass(frozen=True)
class Sim2SimOptions(SecondPhysics, PlayedFile):
    """The run, the episodes, and the second simulation."""


@dataclass(frozen=True)
class RecordOptions:
    """The source, and the dataset."""

    source: str = option(
        REQUIRED, "run folder or checkpoint, or a task with a demonstrator", metavar="RUN|TASK", positional=True
    )
    out: Path = option(REQUIRED, "the dataset's folder", metavar="DIR")
    episodes: int = option(REQUIRED, "total number of episodes in the dataset", least=1, most=10**6)
    mode: bool = option(False, "play the policy's mode instead of samples")
    noise: float = option(1.0, "scale of the demonstrator's noise", least=0, below=math.inf)
    seed: int = option(0, "seed of start states and samples", least=0, most=2**63 - 1)
    quiet: bool = option(True, QUIET)


@dataclass(frozen=True)
class TokenizeOptions:
    """Source, kind and size of the chunks; the kind's own options are settings."""

    source: Path = option(REQUIRED, "run folder, Minari dataset, or .npz file", metavar="RUN|DATASET", positional=True)
    out: Path = option(REQUIRED, "the folder to write", metavar="DIR")
    kind: str = option("kmeans", "kind of tokenizer, see below", metavar="NAME")
    horizon: int = option(1, "actions per chunk", least=1, most=64, metavar="H")
    steps: int = option(32_000, "environment steps to play with a run", least=1, most=10**8)
    seed: int = option(0, "seed of start states, samples and the fit", least=0, most=2**63 - 1)
    clip_actions: bool = option(False, "for a dataset: clip actions beyond the task's bounds, and count them")


@dataclass(frozen=True)
class ReplayOptions:
    """A simulation that became unstable."""

    file: Path = option(REQUIRED, "RUN/breakdowns/….json, written by a training", metavar="FILE", positional=True)


@dataclass(frozen=True)
class CompareOptions:
    """The sweep."""

    sweep: Path = option(REQUIRED, "sweep: question, arms, grid", metavar="FILE.yaml", positional=True)
    jobs: int | None = option(None, "runs at the same time [one per core; on a cluster 64]", least=1, most=1024)
    runs: Path | None = option(None, FOLDER, metavar="DIR")
    again: str | None = option(None, AGAIN, metavar="WHICH")
    dry_run: bool = option(False, "only print what would run, and how long it would take")
    search_only: bool = option(False, "only make the search's trials; several processes may do this at the same time")
    clips: str = option("some", CLIPS, choices=WHICH)
    quiet: bool = option(True, QUIET)
    on: str | None = option(None, "where the runs are made [the file's value, or local]", choices=ENGINES)
    cores: int | None = option(None, "cores per run [the file's value, or 1]", least=1, most=1024)
    cancel: bool = option(False, "end the sweep's jobs on a cluster, queued or running, and run nothing")
    dirty: bool = option(
        False, "let code with uncommitted changes add rows to a committed results file; they are marked"
    )


@dataclass(frozen=True)
class ReportOptions:
    """A sweep with results."""

    sweep: Path = option(REQUIRED, "sweep: question, arms, grid", metavar="FILE.yaml", positional=True)
    runs: Path | None = option(None, FOLDER, metavar="DIR")
    clips: str = option("some", CLIPS, choices=WHICH)
    quiet: bool = option(True, QUIET)
