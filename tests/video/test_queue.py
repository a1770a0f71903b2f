"""The queue, with render processes that do what the test says."""

import json
import sys
import time

import pytest

from pgcontrol.video import render
from pgcontrol.video.queue import RenderQueue
from tests.video.worlds import saved, travelling

DONE = json.dumps({"frames": 1, "fps": 20.0, "backend": "egl"})
MAKE = f"""
import sys, pathlib
arguments = sys.argv
pathlib.Path(arguments[arguments.index("--out") + 1]).write_text(" ".join(arguments))
print({DONE!r})
"""
HANG = "import time; time.sleep(60)"


@pytest.fixture
def render_as(monkeypatch):
    def use(code: str):
        monkeypatch.setattr(render, "command", lambda: [sys.executable, "-c", code])

    return use


class Bench:
    """A queue, what it said, and recordings to give it."""

    def __init__(self, folder, **options):
        self.folder, self.said = folder, []
        self.queue = RenderQueue(self.said.append, **options)

    def submit(self, name: str):
        recording = self.folder / f"{name}.npz"
        recording.touch()
        self.queue.submit(recording, self.folder / f"{name}.mp4")

    def drain(self):
        deadline = time.monotonic() + 60
        while len(self.queue) and time.monotonic() < deadline:
            self.queue.poll()
            time.sleep(0.01)

    def files(self):
        return sorted(f.name for f in self.folder.iterdir())


def test_clips_come_out_in_order_one_at_a_time(render_as, tmp_path):
    render_as(f"import time, pathlib; log = pathlib.Path({str(tmp_path / 'log')!r})\n"
              "def note(w): log.open('a').write(w)\n"
              f"note('('); time.sleep(0.1); note(')')\n{MAKE}")  # fmt: skip
    bench = Bench(tmp_path)
    for name in "abc":
        bench.submit(name)
    assert len(bench.queue) == 3
    bench.drain()
    assert bench.queue.clips == [tmp_path / f"{n}.mp4" for n in "abc"]
    assert (tmp_path / "log").read_text() == "()()()"
    assert bench.files() == ["a.mp4", "b.mp4", "c.mp4", "log"]  # recordings go once their clips are there
    assert bench.said == []
    # the first had to find the backend, the others are told; all at the lowest priority
    assert ["--backend egl" in (tmp_path / f"{n}.mp4").read_text() for n in "abc"] == [False, True, True]
    assert all("--nice 19" in (tmp_path / f"{n}.mp4").read_text() for n in "abc")


def test_nothing_waits(render_as, tmp_path):
    render_as(HANG)
    bench = Bench(tmp_path)
    bench.submit("a")
    began = time.perf_counter()
    for _ in range(100):
        bench.queue.poll()
    assert time.perf_counter() - began < 0.5
    bench.queue.close(0.0)


def test_the_oldest_that_waits_is_dropped(render_as, tmp_path):
    render_as(HANG)
    bench = Bench(tmp_path, capacity=2)
    for name in "abcde":  # a is in work, b and c have to go
        bench.submit(name)
    assert (len(bench.queue), bench.queue.dropped) == (3, 2)
    assert len(bench.said) == 1
    assert "b.mp4" in bench.said[0]
    render_as(MAKE)
    assert bench.queue._job
    bench.queue._job.kill()
    bench.drain()
    assert bench.queue.clips == [tmp_path / "d.mp4", tmp_path / "e.mp4"]
    assert bench.files() == ["a.npz", "b.npz", "c.npz", "d.mp4", "e.mp4"]


def test_a_failure_is_a_line_and_the_next_goes_on(render_as, tmp_path):
    render_as("raise SystemExit('it broke')")
    bench = Bench(tmp_path)
    for name in "ab":
        bench.submit(name)
    bench.drain()
    assert bench.queue.failed == 2
    assert bench.said == ["no clip: a.mp4: it broke; its recording stays"]
    render_as(MAKE)
    bench.submit("c")
    bench.drain()
    assert bench.files() == ["a.npz", "b.npz", "c.mp4"]


def test_a_clip_that_takes_too_long_is_given_up(render_as, tmp_path):
    render_as(HANG)
    bench = Bench(tmp_path, timeout=0.2)
    bench.submit("a")
    bench.drain()
    assert bench.queue.failed == 1
    assert "not rendered within 0.2 s" in bench.said[0]


def test_a_renderer_that_cannot_start_is_a_line(tmp_path, monkeypatch):
    monkeypatch.setattr(render, "command", lambda: ["/no/such/program"])
    bench = Bench(tmp_path)
    bench.submit("a")
    assert bench.queue.failed == 1
    assert "no clip: a.mp4" in bench.said[0]


def test_without_graphics_it_is_said_once_and_recordings_stay(render_as, tmp_path):
    render_as("import sys; print('apt-get install it', file=sys.stderr); sys.exit(3)")
    bench = Bench(tmp_path)
    bench.submit("a")
    bench.submit("b")
    bench.drain()
    bench.submit("c")
    assert len(bench.queue) == 0
    assert bench.queue.dropped == 3
    assert len(bench.said) == 1
    assert "apt-get install it" in bench.said[0]
    assert bench.files() == ["a.npz", "b.npz", "c.npz"]
    bench.queue.close()


def test_close_waits_for_what_is_left(render_as, tmp_path):
    render_as(MAKE)
    bench = Bench(tmp_path)
    for name in "ab":
        bench.submit(name)
    bench.queue.close(60.0)
    assert bench.files() == ["a.mp4", "b.mp4"]
    assert bench.said == []


def test_close_kills_what_takes_longer(render_as, tmp_path):
    render_as(HANG)
    bench = Bench(tmp_path)
    for name in "abc":
        bench.submit(name)
    assert bench.queue._job
    process = bench.queue._job._process
    began = time.monotonic()
    bench.queue.close(0.2)
    assert time.monotonic() - began < 10
    assert process.poll() is not None
    assert (len(bench.queue), bench.queue.dropped) == (0, 3)
    assert bench.said == ["clips not rendered in time: 3; their recordings stay"]
    assert bench.files() == ["a.npz", "b.npz", "c.npz"]
    bench.queue.close(0.0)
    assert len(bench.said) == 1


def test_a_real_clip(backend, tmp_path):
    bench = Bench(tmp_path, seconds=0.2, size=(160, 120))
    bench.queue.submit(saved(travelling(), tmp_path, "a.npz"), tmp_path / "a.mp4")
    bench.queue.close(120.0)
    assert bench.said == []
    assert bench.files() == ["a.mp4"]
