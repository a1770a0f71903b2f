"""Clips for which a training did not wait are made later: by `pgcontrol video RUN --pending`, or by a resume."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pgcontrol import cli
from pgcontrol.rendering.pending import claimed, clip_path, pending
from pgcontrol.runs.folder import RunFolder
from pgcontrol.training.resume import resume
from pgcontrol.training.train import train
from tests.rendering.test_queue import HANG, MAKE
from tests.rendering.worlds import travelling
from tests.training.test_train import small

PGCONTROL = [sys.executable, "-m", "pgcontrol"]


def run_of(path: Path, *steps: int) -> RunFolder:
    """A run folder with recordings of these steps."""
    folder = RunFolder.create(small(run_dir=str(path)))
    for step in steps:
        travelling(steps=2, step=step).save(clip_path(folder.videos, step).with_suffix(".npz"))
    return folder


def files(folder: RunFolder) -> list[str]:
    return sorted(f.name.removeprefix("step_00000000") for f in folder.videos.iterdir())


def video(capsys, *words: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as caught:
        cli.main(["video", *map(str, words)])
    captured = capsys.readouterr()
    return int(caught.value.code or 0), captured.out, captured.err


def test_pending_clips_are_made_once(render_as, capsys, tmp_path):
    folder = run_of(tmp_path / "run", 1, 2)
    (folder.videos / ".step_000000001.77.part.mp4").touch()  # of a renderer that was killed
    (folder.videos / ".step_000000003.npz.77").touch()  # of a training that was killed while it wrote
    render_as(MAKE)
    code, out, error = video(capsys, folder.path, "--pending")
    assert (code, error) == (0, "")
    assert [line.partition(":")[0] for line in out.splitlines()] == [str(clip_path(folder.videos, s)) for s in (1, 2)]
    assert files(folder) == ["1.mp4", "2.mp4"]
    # like the run's other clips, and only the first one looks for a backend
    first, second = (json.loads(clip_path(folder.videos, step).read_text()) for step in (1, 2))
    assert first["clip"]["seconds"] == folder.config().video_seconds
    assert (first["backend"], second["backend"]) == (None, "egl")
    assert video(capsys, folder.path, "--pending") == (0, f"{folder.path}: no clip is pending\n", "")
    assert files(folder) == ["1.mp4", "2.mp4"]


def test_one_that_cannot_be_made_is_a_line_and_the_next_continues(capsys, tmp_path, backend):
    folder = run_of(tmp_path / "run", 1, 2)
    clip_path(folder.videos, 1).with_suffix(".npz").write_bytes(b"no recording")
    code, out, _ = video(capsys, folder.path, "--pending", "--size", "64x64")
    assert code == 1
    assert out.splitlines()[0].startswith("no clip: step_000000001.mp4: ")
    assert "is not a recording, or is damaged" in out.splitlines()[0]
    assert files(folder) == ["1.npz", "2.mp4"]


def test_what_another_process_renders_is_left_to_it(render_as, capsys, tmp_path):
    folder = run_of(tmp_path / "run", 1, 2)
    render_as(MAKE)
    with claimed(clip_path(folder.videos, 1)) as mine:
        assert mine
        code, out, _ = video(capsys, folder.path, "--pending")
    assert code == 0
    assert out.splitlines()[0] == f"{clip_path(folder.videos, 1)}: another process is rendering it"
    assert files(folder) == ["1.npz", "2.mp4"]
    with claimed(clip_path(folder.videos, 2)) as mine:
        assert not mine


@pytest.mark.slow
def test_two_at_once_make_each_clip_once(tmp_path, backend):
    folder = run_of(tmp_path / "run", *range(1, 6))
    both = [
        subprocess.Popen(
            [*PGCONTROL, "video", str(folder.path), "--pending", "--size", "64x64"], stdout=subprocess.PIPE
        )
        for _ in range(2)
    ]
    said = [process.communicate(timeout=120)[0].decode() for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert files(folder) == [f"{step}.mp4" for step in range(1, 6)]
    assert sum(line.count("rendered in") for line in said) == 5


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("--pending --out a.mp4", "--out cannot be combined with --pending"),
        ("--pending --overlay", "--overlay cannot be combined with --pending"),
        ("", "video needs --out FILE.mp4 or --pending"),
    ],
)
def test_bad_input(words, line, capsys, tmp_path):
    folder = run_of(tmp_path / "run", 1)
    code, out, error = video(capsys, folder.path, *words.split())
    assert (code, out) == (2, "")
    assert error.startswith(f"pgcontrol: {line}")
    assert files(folder) == ["1.npz"]


def quick(path: Path, **settings):
    return small(run_dir=str(path), total_steps=1024, eval_every=512, eval_episodes=1, video=True, **settings)


def test_a_short_training_waits_no_longer_than_it_trained(render_as, capsys, tmp_path):
    render_as(HANG)
    began = time.monotonic()
    run = train(quick(tmp_path / "run"), quiet=False)
    took = time.monotonic() - began
    folder = RunFolder.open(run.path)
    assert took < 3 * folder.manifest()["seconds"] + 10
    assert [clip.stem for clip in pending(folder.videos)] == ["step_000000512", "step_000001024"]
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == f"2 clips not rendered yet: pgcontrol video {run.path} --pending"


def test_a_run_that_continues_renders_what_it_left(render_as, tmp_path):
    render_as(HANG)
    run = train(quick(tmp_path / "run"))
    render_as(MAKE)
    resume(run.path, 2048, on_update=lambda row: time.sleep(1))  # time for one clip an update
    made = {f.stem for f in (run.path / "videos").glob("*.mp4")}
    assert {"step_000000512", "step_000001024"} <= made
    assert not made & {clip.stem for clip in pending(run.path / "videos")}


@pytest.mark.slow
def test_clips_of_a_killed_run(tmp_path, backend):
    words = {"total-steps": 10**6, "eval-every": 256, "eval-episodes": 1, "num-envs": 4, "rollout-steps": 64}
    words |= {"algorithm.minibatch": 64, "threads": 1, "compile": "off", "checkpoint-every": 256}
    path = tmp_path / "run"
    command = [*PGCONTROL, "train", "Hopper-v5", f"--run-dir={path}", *(f"--{k}={v}" for k, v in words.items())]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    until = time.monotonic() + 120
    while len(list(path.glob("videos/*.npz"))) < 3:
        assert time.monotonic() < until
        time.sleep(0.1)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    done = subprocess.run([*PGCONTROL, "video", str(path), "--pending", "--size", "64x64"], timeout=300, check=False)
    assert done.returncode == 0
    left = {file.suffixes[-1] for file in (path / "videos").iterdir()}
    assert left == {".mp4"}
    assert not [file for file in (path / "videos").iterdir() if ".part." in file.name]
