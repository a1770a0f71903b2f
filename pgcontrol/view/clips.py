"""From episodes to clips: those an evaluation leaves behind, and those asked for afterwards."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pgcontrol_envs

from pgcontrol.runs import checkpoint
from pgcontrol.runs.config import Config
from pgcontrol.runs.load import load_with_meta, make_env
from pgcontrol.view import evaluate
from pgcontrol.view.queue import RenderQueue
from pgcontrol.view.recording import Recording
from pgcontrol.view.render import RenderResult, render_clip

SECONDS_FOR_THE_LAST_CLIPS = 120.0
"""How long the end of a training waits for clips that are still being rendered."""


class Clips:
    """The clips of a training: recorded here, rendered by a process of low priority, never in the way of the run."""

    def __init__(self, folder: Path, config: Config, say: Callable[[str], None]):
        self.folder, self.config, self.say = folder, config, say
        self.queue = RenderQueue(say=say, seconds=config.video_seconds)

    def add(self, trace: evaluate.Trace, env: pgcontrol_envs.VecEnv, seed: int, step: int) -> None:
        """Keep an episode as a recording and queue its clip."""
        config = self.config
        recording = _recording(trace, env, seed, config.head.name, config.algorithm.name, step, self.folder.parent.name)
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
    trace: evaluate.Trace, env: pgcontrol_envs.VecEnv, seed: int, head: str, algorithm: str, step: int, run: str
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
    )


def video_of_runs(
    runs: Sequence[Path],
    out: Path,
    seconds: float | None = None,
    size: tuple[int, int] = (640, 480),
    seed: int = 0,
    deterministic: bool = True,
) -> RenderResult:
    """Play each run's newest policy for an episode from the same start state, and render them side by side.

    Args:
        runs: run folders or checkpoints.
        out: the mp4 file.
        seconds: at most so long; None for whole episodes.
        size: width and height of one scene, in pixels.
        seed: of the start state.
        deterministic: the policies' modes instead of samples.

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
            recording = _recording(
                trace, env, seed, spec["head"]["name"], meta["algorithm"], meta["steps"], Path(run).name
            )
            paths.append(Path(scratch) / f"{i}.npz")
            recording.save(paths[-1])
        out.parent.mkdir(parents=True, exist_ok=True)
        return render_clip(paths, out, seconds=seconds, size=size)
