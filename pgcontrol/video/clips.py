"""From episodes to clips: those an evaluation leaves behind, and those asked for afterwards."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pgcontrol_envs
import torch

from pgcontrol.measures import spread
from pgcontrol.play import evaluate
from pgcontrol.play.density import density, joint_names
from pgcontrol.policy import Policy
from pgcontrol.runs import checkpoint
from pgcontrol.runs.config import Config
from pgcontrol.runs.load import load_with_meta, make_env
from pgcontrol.video.queue import RenderQueue
from pgcontrol.video.recording import Recording
from pgcontrol.video.render import CRF, MAX_FPS, RenderResult, render_clip

SECONDS_FOR_THE_LAST_CLIPS = 120.0
"""How long the end of a training waits for clips that are still being rendered."""


class Clips:
    """The clips of a training: recorded here, rendered by a process of low priority, never in the way of the run."""

    def __init__(self, folder: Path, config: Config, say: Callable[[str], None]):
        self.folder, self.config, self.say = folder, config, say
        self.queue = RenderQueue(say=say, seconds=config.video_seconds)

    def add(self, trace: evaluate.Trace, env: pgcontrol_envs.VecEnv, seed: int, step: int, policy: Policy) -> None:
        """Keep an episode of the policy as a recording and queue its clip."""
        config = self.config
        shown = _distributions(policy, env, trace, seed, config.video_seconds) if config.video_overlay else {}
        labels = config.head.name, config.algorithm.name, step, self.folder.parent.name
        recording = _recording(trace, env, seed, *labels, shown)
        stem = self.folder / f"step_{step:09d}"
        try:
            recording.save(stem.with_suffix(".npz"))
        except OSError as error:  # a full disk costs the clip, not the run
            self.say(f"no clip of step {step:,}: {error}")
            return
        self.queue.submit(stem.with_suffix(".npz"), stem.with_suffix(".mp4"))

    def poll(self) -> None:
        """Start the next render if the last one has ended; costs nothing."""
        self.queue.poll()

    def finish(self, interrupt: object) -> None:
        """Wait a while for clips still to come, unless `interrupt` becomes true."""
        if len(self.queue):
            self.say(f"rendering the last clips ({len(self.queue)}); Ctrl-C leaves without them")
        deadline = time.monotonic() + SECONDS_FOR_THE_LAST_CLIPS
        while len(self.queue) and time.monotonic() < deadline and not interrupt:
            time.sleep(0.05)
            self.queue.poll()

    def __enter__(self) -> Clips:
        return self

    def __exit__(self, *_: object) -> None:
        # ends what is still rendering; recordings without a clip stay, and can be rendered later
        self.queue.close(0.0)


def _recording(
    trace: evaluate.Trace,
    env: pgcontrol_envs.VecEnv,
    seed: int,
    head: str,
    algorithm: str,
    step: int,
    run: str,
    distributions: dict[str, Any],
) -> Recording:
    return Recording(
        env_id=env.env_id,
        seed=seed,
        control_dt=env.control_dt,
        rewards=trace.rewards,
        qpos=trace.qpos,
        actions=trace.actions,
        head=head,
        algorithm=algorithm,
        step=step,
        run=run,
        **distributions,
    )


def _distributions(
    policy: Policy, env: pgcontrol_envs.VecEnv, trace: evaluate.Trace, seed: int, seconds: float | None
) -> dict[str, Any]:
    """What a recording needs to show action distributions, for as long as the clip will be.

    Of a chunk, every part is shown as the choice was made: in the state of its first step.
    """
    length, horizon = len(trace.actions), policy.head.horizon
    steps = length if seconds is None else min(length, int(seconds / env.control_dt) + 1)
    choices = -(-steps // horizon)
    shown = density(policy, torch.from_numpy(trace.obs[:choices]), seed, parts=horizon)
    chosen = spread.unit(torch.from_numpy(trace.actions[:steps]), policy.head.low, policy.head.high).numpy()
    names = joint_names(env)
    return {
        "columns": shown.columns[:steps],  # the last chunk may go on
        "spread": shown.spread[:steps],
        "chosen": chosen,
        "joints": names,
        "discrete": shown.discrete,
    }


def video_of_runs(
    runs: Sequence[Path],
    out: Path,
    seconds: float | None = None,
    size: tuple[int, int] = (640, 480),
    seed: int = 0,
    deterministic: bool = True,
    overlay: bool = False,
    max_fps: float = MAX_FPS,
    crf: int = CRF,
) -> RenderResult:
    """Play each run's newest policy for an episode from the same start state, and render them side by side.

    Args:
        runs: run folders or checkpoints.
        out: the mp4 file.
        seconds: at most so long; None for whole episodes.
        size: width and height of one scene, in pixels.
        seed: of the start state.
        deterministic: the policies' modes instead of samples.
        overlay: beside each scene, the action distribution of every joint.
        max_fps: steps above this rate are dropped.
        crf: x264's constant rate factor: six more is half the bytes, and coarser.

    Raises:
        InputError: something there cannot be loaded.
        RenderError: the clip could not be made; says what would mend it.
    """
    folders = [checkpoint.latest(run) for run in runs]
    with tempfile.TemporaryDirectory() as scratch:
        paths = []
        for i, (run, folder) in enumerate(zip(runs, folders, strict=True)):
            policy, meta = load_with_meta(folder)
            spec = meta["policy"]
            env = make_env(spec["env"], 1, seed)
            agent = evaluate.policy_agent(policy, deterministic, seed)
            trace = evaluate.episodes(env, agent, seed, record=True).trace
            assert trace is not None
            shown = _distributions(policy, env, trace, seed, seconds) if overlay else {}
            labels = spec["head"]["name"], meta["algorithm"], meta["steps"], Path(run).name
            recording = _recording(trace, env, seed, *labels, shown)
            paths.append(Path(scratch) / f"{i}.npz")
            recording.save(paths[-1])
        out.parent.mkdir(parents=True, exist_ok=True)
        return render_clip(paths, out, seconds=seconds, size=size, max_fps=max_fps, crf=crf)
