"""The queue, with render processes that the test controls."""

import json
import os
import time

import pytest

from pgcontrol.rendering import render
from pgcontrol.rendering.clip_format import ClipFormat
from pgcontrol.rendering.pending import claimed, clip_path
from pgcontrol.rendering.queue import RenderQueue
from pgcontrol.rendering.recording import Recording
from pgcontrol.runs.folder import RunFolder
from tests.rendering.worlds import travelling

DONE = json.dumps({"frames": 1, "fps": 20.0, "backend": "egl"})
MAKE = f"""
import json, pathlib, sys
pathlib.Path(json.loads(sys.argv[1])["out"]).write_text(sys.argv[1])
print({DONE!r})
"""
HANG = "import time; time.sleep(60)"


class Bench:
    """A queue, what it said, and a run folder with clips of steps 1 to 9."""

    def __init__(self, path, **options):
        self.videos, self.said = path / "videos", []
        self.videos.mkdir()
        self.queue = RenderQueue(self.videos, self.said.append, ClipFormat(), **options)

    def submit(self, *steps: int):
        for step in steps:
            self.queue.submit(travelling(steps=1, step=step))

    def drain(self):
        deadline = time.monotonic() + 60
        while len(self.queue) and time.monotonic() < deadline:
            self.queue.poll()
            time.sleep(0.01)

    def files(self):
        return sorted(f.name.removeprefix("step_00000000") for f in self.videos.iterdir())


def test_clips_come_out_in_order_one_at_a_time(render_as, tmp_path):
    render_as(f"import time, pathlib; log = pathlib.Path({str(tmp_path / 'log')!r})\n"
              "def note(w): log.open('a').write(w)\n"
              f"note('('); time.sleep(0.1); note(')')\n{MAKE}")  # fmt: skip
    bench = Bench(tmp_path)
    bench.submit(1, 2, 3)
    assert len(bench.queue) == 3
    bench.drain()
    assert (tmp_path / "log").read_text() == "()()()"
    assert bench.files() == ["1.mp4", "2.mp4", "3.mp4"]  # recordings go once their clips are there
    made = [clip_path(bench.videos, step) for step in (1, 2, 3)]
    assert made == sorted(made, key=lambda clip: clip.stat().st_mtime_ns)
    assert bench.said == []
    # the first had to find the backend, the others know it; all at the lowest priority
    requests = [json.loads(clip.read_text()) for clip in made]
    assert [request["backend"] for request in requests] == [None, "egl", "egl"]
    assert [request["niceness"] for request in requests] == [19, 19, 19]


def test_nothing_waits(render_as, tmp_path):
    render_as(HANG)
    bench = Bench(tmp_path)
    with bench.queue:
        bench.submit(1)
        began = time.perf_counter()
        for _ in range(100):
            bench.queue.poll()
        assert time.perf_counter() - began < 0.5


def test_the_oldest_that_waits_is_dropped(render_as, tmp_path):
    # the first takes as long as there is no file `go`, so that the others have to wait
    render_as(
        f"import time, pathlib\nwhile not pathlib.Path({str(tmp_path / 'go')!r}).exists(): time.sleep(0.01)\n{MAKE}"
    )
    bench = Bench(tmp_path, capacity=2)
    bench.submit(1, 2, 3, 4, 5)  # 1 is in work, 2 and 3 have to go
    assert len(bench.queue) == 3
    assert len(bench.said) == 1
    assert "skipped step_000000002.mp4, kept its recording" in bench.said[0]
    (tmp_path / "go").touch()
    bench.drain()
    assert bench.files() == ["1.mp4", "2.npz", "3.npz", "4.mp4", "5.mp4"]


def test_a_failure_is_a_line_and_the_next_continues(render_as, tmp_path):
    render_as("raise SystemExit('it broke')")
    bench = Bench(tmp_path)
    bench.submit(1, 2)
    bench.drain()
    assert bench.said == ["no clip: step_000000001.mp4: it broke; its recording is kept"]
    render_as(MAKE)
    bench.submit(3)
    bench.drain()
    assert bench.files() == ["1.npz", "2.npz", "3.mp4"]


def test_a_clip_that_takes_too_long_is_given_up(render_as, tmp_path):
    render_as(HANG)
    bench = Bench(tmp_path, timeout=0.2)
    bench.submit(1)
    bench.drain()
    assert len(bench.said) == 1
    assert "not rendered within 0.2 s" in bench.said[0]
    assert bench.files() == ["1.npz"]


def test_a_renderer_that_cannot_start_is_a_line(tmp_path, monkeypatch):
    monkeypatch.setattr(render, "command", lambda: ["/no/such/program"])
    bench = Bench(tmp_path)
    bench.submit(1)
    assert len(bench.queue) == 0
    assert len(bench.said) == 1
    assert "no clip: step_000000001.mp4" in bench.said[0]
    assert bench.files() == ["1.npz"]


def test_a_recording_that_cannot_be_written_is_a_line(tmp_path, monkeypatch):
    def full(self, path):
        raise OSError("No space left on device")

    monkeypatch.setattr(Recording, "save", full)
    bench = Bench(tmp_path)
    bench.submit(1)
    assert len(bench.queue) == 0
    assert bench.said == ["no clip of step 1: No space left on device"]


def test_without_graphics_it_is_said_once_and_recordings_stay(render_as, tmp_path):
    render_as("import sys; print('apt-get install it', file=sys.stderr); sys.exit(3)")
    bench = Bench(tmp_path)
    with bench.queue:
        bench.submit(1, 2)
        bench.drain()
        bench.submit(3)
        assert len(bench.queue) == 0
        assert len(bench.said) == 1
        assert "apt-get install it" in bench.said[0]
    assert bench.files() == ["1.npz", "2.npz", "3.npz"]
    assert bench.said[1:] == [f"3 clips not rendered yet: pgcontrol video {tmp_path} --pending"]


def test_the_command_that_is_still_to_be_given_names_the_plug_ins(render_as, tmp_path):
    folder = RunFolder(tmp_path / "a run")
    folder.path.mkdir()
    folder.write_manifest(plugins={"robot": {"source": "my robot.py"}})
    bench = Bench(folder.path)
    render_as(HANG)
    bench.submit(1)
    bench.queue.__exit__()
    command = f"pgcontrol video '{folder.path}' --pending --plugin 'my robot.py'"
    assert bench.said == [f"1 clip not rendered yet: {command}"]


def test_the_end_waits_for_what_is_left(render_as, tmp_path):
    render_as(MAKE)
    bench = Bench(tmp_path)
    with bench.queue:
        bench.submit(1, 2)
        bench.queue.finish(trained=60)
    assert bench.files() == ["1.mp4", "2.mp4"]
    assert bench.said == ["rendering the last clips (2); press Ctrl-C to stop waiting"]


def test_an_interrupted_run_waits_for_nothing(render_as, tmp_path):
    render_as(HANG)
    bench = Bench(tmp_path)
    with bench.queue:
        bench.submit(1)
        began = time.monotonic()
        bench.queue.finish(trained=60, interrupt=True)
        assert time.monotonic() - began < 10
    assert bench.files() == ["1.npz"]


def test_the_end_kills_what_takes_longer(render_as, tmp_path):
    note = tmp_path / "pid"
    render_as(f"import os, pathlib; pathlib.Path({str(note)!r}).write_text(str(os.getpid())); {HANG}")
    bench = Bench(tmp_path)
    began = time.monotonic()
    with bench.queue:
        bench.submit(1, 2, 3)
        while not (note.exists() and note.read_text()):
            time.sleep(0.01)
        bench.queue.finish(trained=0.2)
    assert time.monotonic() - began < 20
    with pytest.raises(ProcessLookupError):  # it is not even there to be collected
        os.kill(int(note.read_text()), 0)
    assert len(bench.queue) == 0
    assert bench.said[1:] == [f"3 clips not rendered yet: pgcontrol video {tmp_path} --pending"]
    assert bench.files() == ["1.npz", "2.npz", "3.npz"]


def test_what_a_session_left_is_taken_up_and_what_is_played_again_is_not(render_as, tmp_path):
    bench = Bench(tmp_path)
    with bench.queue:
        for step in (1, 2, 3):
            travelling(steps=1, step=step).save(clip_path(bench.videos, step).with_suffix(".npz"))
        (bench.videos / ".step_000000004.npz.77").touch()  # killed while it was written
    render_as(MAKE)
    bench.queue.take_up(until=2)
    bench.drain()
    assert bench.files() == ["1.mp4", "2.mp4", "3.npz"]


def test_a_clip_that_another_process_makes_is_left_to_it(render_as, tmp_path):
    render_as(MAKE)
    bench = Bench(tmp_path)
    travelling(steps=1, step=1).save(clip_path(bench.videos, 1).with_suffix(".npz"))
    with claimed(clip_path(bench.videos, 1)) as mine:
        assert mine
        bench.queue.take_up(until=9)
        bench.submit(2)
        bench.drain()
    assert bench.files() == ["1.npz", "2.mp4"]
    assert bench.said == []
