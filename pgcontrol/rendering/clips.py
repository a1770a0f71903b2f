"""Makes recordings of a policy's episodes, and clips of finished runs."""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from pgcontrol_envs import VecEnv

from pgcontrol.arguments import VideoOptions
from pgcontrol.machine.graphics import NoGraphics, RenderError
from pgcontrol.machine.terminal import Terminal
from pgcontrol.measures import spread
from pgcontrol.options import InputError, takes
from pgcontrol.parts import require_plugins
from pgcontrol.play import evaluate
from pgcontrol.play.density import density, joint_names
from pgcontrol.policy import Policy
from pgcontrol.rendering.clip_format import ClipFormat
from pgcontrol.rendering.pending import claimed, clear, pending, recording_of
from pgcontrol.rendering.recording import ActionDistributions, Recording
from pgcontrol.rendering.render import RenderResult, render_clip
from pgcontrol.runs import checkpoint
from pgcontrol.runs.folder import RunFolder
from pgcontrol.runs.load import changed, load_with_meta, make_env

SLOWEST = 1.0  # seconds for the image of one scene; without a graphics card it takes a tenth of that


def recorded(policy: Policy, env: VecEnv, trace: evaluate.Trace, seed: int, **further: Any) -> Recording:
    """An episode that a policy played from `seed`, as a recording; `further` sets its other fields."""
    further |= {"head": policy.head.name, "own": trace.own, "meters": trace.meters}
    return Recording(env.env_id, seed, env.control_dt, trace.rewards, trace.qpos, trace.actions, **further)


def distributions(
    policy: Policy, env: VecEnv, trace: evaluate.Trace, seed: int, seconds: float | None
) -> ActionDistributions:
    """The action distributions in an episode for the length of the clip; seconds None: for the whole episode.

    All parts of a chunk show the distribution of the choice: in the state of the chunk's first step.
    """
    length, horizon = len(trace.actions), policy.head.horizon
    steps = length if seconds is None else min(length, int(seconds / env.control_dt) + 1)
    choices = -(-steps // horizon)
    shown = density(policy, torch.from_numpy(trace.obs[:choices]), seed, parts=horizon)
    chosen = spread.unit(torch.from_numpy(trace.actions[:steps]), policy.head.low, policy.head.high).numpy()
    # the last chunk may be longer than the clip
    return ActionDistributions(shown.columns[:steps], shown.spread[:steps], chosen, joint_names(env), shown.discrete)


@takes(VideoOptions, further="env.")
def video(options: VideoOptions, settings: Mapping[str, Any]) -> RenderResult:
    """Render the newest policies of runs side by side, from the same start state.

    Further arguments change settings of the runs' tasks: `**{"env.push": 0}`.

    Raises:
        InputError: a run cannot be loaded, the file exists, or a setting is wrong.
        RenderError: the clip could not be made; the message suggests what to do.
    """
    if options.out.exists() and not options.force:
        raise InputError(f"{options.out} exists already; choose another file, or pass --force")
    if options.out.suffix != ".mp4":
        raise InputError(f"--out {options.out}: must end in .mp4")
    if all(run.suffix == ".npz" for run in options.runs):
        for name in ("sampled", "overlay", "seed", *settings):
            if name in settings or getattr(options, name) != getattr(VideoOptions, name):
                raise InputError(f"--{name}: recordings are drawn as they were played; leave it out")
    clip, say = clip_format(options), Terminal(quiet=options.quiet, highlight=False, soft_wrap=True).print
    sampled, overlay = options.sampled, options.overlay
    return video_of_runs(options.runs, options.out, clip, options.seed, not sampled, overlay, settings, say)


def clip_format(options: VideoOptions) -> ClipFormat:
    """The clip's format; raises InputError for an invalid size."""
    try:
        width, height = (int(n) for n in options.size.lower().split("x"))
    except ValueError:
        raise InputError(f"--size {options.size}: must look like 640x480") from None
    return ClipFormat((width, height), options.seconds, options.max_fps, options.crf)


def video_of_runs(
    runs: Sequence[Path],
    out: Path,
    clip: ClipFormat,
    seed: int = 0,
    deterministic: bool = True,
    overlay: bool = False,
    settings: Mapping[str, Any] = MappingProxyType({}),
    say: Callable[[str], object] = lambda line: None,
) -> RenderResult:
    """Play an episode with the newest policy of each run, from the same start state, and render them side by side.

    Args:
        runs: run folders or checkpoints, or recordings (.npz), which are rendered as they are.
        out: the mp4 file.
        clip: its format.
        seed: seed of the start state.
        deterministic: play the policies' modes instead of samples.
        overlay: show the action distribution of every joint next to each scene.
        settings: changed settings `env.NAME` of the runs' tasks.
        say: receives a line before the rendering, which may take minutes.

    Raises:
        InputError: a run or a recording cannot be loaded.
        RenderError: the clip could not be made; the message suggests what to do.
    """
    recordings = list(runs)
    checkpoints = {i: checkpoint.latest(run) for i, run in enumerate(runs) if run.suffix != ".npz"}
    with tempfile.TemporaryDirectory() as scratch:
        for i, folder in checkpoints.items():
            policy, meta = load_with_meta(folder)
            env = make_env(changed(meta["policy"]["env"], settings), 1, seed)
            trace = evaluate.episodes(env, evaluate.policy_agent(policy, deterministic, seed), seed, record=True).trace
            assert trace is not None
            labels = {"algorithm": meta["algorithm"], "step": meta["steps"], "run": runs[i].name}
            shown = distributions(policy, env, trace, seed, clip.seconds) if overlay else None
            recordings[i] = Path(scratch) / f"{i}.npz"
            recorded(policy, env, trace, seed, distributions=shown, **labels).save(recordings[i])
        try:
            timing = clip.timing([Recording.load(recording) for recording in recordings])
        except FileNotFoundError as error:
            raise InputError(f"{error.filename}: no such recording") from None
        except ValueError as error:
            raise InputError(error) from None
        out.parent.mkdir(parents=True, exist_ok=True)
        say(f"{out}: drawing {timing.frames:,} frames, {float(timing.frames / timing.fps):.1f} s of video")
        return render_clip(recordings, out, clip, timeout=max(600.0, SLOWEST * timing.frames * len(recordings)))


def render_pending(folder: RunFolder, clip: ClipFormat, say: Callable[[str], object]) -> int:
    """Render a run's pending clips, except those that another process is rendering.

    Args:
        folder: the run's folder.
        clip: format of the clips.
        say: receives a line for each clip that was made or that failed.

    Returns:
        The number of clips that failed; their recordings are kept.

    Raises:
        InputError: a plug-in of the run is missing.
        NoGraphics: no OpenGL backend works.
    """
    require_plugins(folder.manifest().get("plugins", {}), folder.path)
    with suppress(InputError), folder.alone():
        clear(folder.videos)
    failed, backend = 0, None
    if not (clips := pending(folder.videos)):
        say(f"{folder.path}: no clip is pending")
    for out in clips:
        with claimed(out) as mine:
            if not mine:
                say(f"{out}: another process is rendering it")
                continue
            try:
                made = render_clip([recording_of(out)], out, clip, backend=backend)
            except NoGraphics:
                raise
            except RenderError as error:
                say(f"no clip: {error}")
                failed += 1
                continue
            recording_of(out).unlink(missing_ok=True)
            backend = made.backend
            say(f"{out}: {made.frames / made.fps:.1f} s, rendered in {made.seconds:.0f} s")
    return failed
