"""Small real renders, in the same process as for users."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import gymnasium
import imageio.v3 as imageio
import numpy as np
import pytest
from pgcontrol_envs import catalog

from pgcontrol.machine.graphics import NoGraphics, RenderError
from pgcontrol.machine.processes import python
from pgcontrol.rendering import render
from pgcontrol.rendering.clip_format import ClipFormat
from pgcontrol.rendering.encoding import check, decode
from pgcontrol.rendering.film import scenes
from pgcontrol.rendering.layout import Layout
from pgcontrol.rendering.recording import Recording
from pgcontrol.rendering.render import RenderJob, RenderResult, render_clip
from tests.rendering.worlds import saved, travelling

SIZE = (160, 120)
SMALL = ClipFormat(SIZE)
posix = pytest.mark.skipif(os.name != "posix", reason="needs POSIX processes and signals")


def finish(job: RenderJob) -> RenderResult:
    while (result := job.poll()) is None:
        time.sleep(0.02)
    return result


@pytest.fixture
def render_as(monkeypatch):
    """Makes render processes run this Python code instead of ours."""

    def use(code: str):
        monkeypatch.setattr(render, "command", lambda: [sys.executable, "-c", code])

    return use


@pytest.mark.slow
def test_two_tasks_side_by_side(backend, tmp_path):
    """HalfCheetah travels 30 m in 0.3 s and ends; Walker2d stands for 0.5 s: 20 Hz against 125 / 3 Hz."""
    first = saved(travelling(steps=6, distance=30.0), tmp_path)
    second = travelling("Walker2d-v5", 63, 0.0, head="binned", step=5)
    out = tmp_path / "clip.mp4"
    result = render_clip([first, saved(second, tmp_path, "two.npz")], out, SMALL, timeout=120)

    assert (result.path, result.backend) == (out, backend)
    assert result.frames == 22  # 0.504 s x 125 / 3 and the start
    assert sorted(f.name for f in tmp_path.iterdir()) == ["clip.mp4", "one.npz", "two.npz"]
    facts = imageio.immeta(out, plugin="FFMPEG")
    assert (facts["codec"], facts["pix_fmt"][:7]) == ("h264", "yuv420p")
    assert facts["fps"] == pytest.approx(125 / 3, abs=0.01)

    frames, layout = [page.astype(int) for page in decode(out)], Layout(2, SIZE)
    assert len(frames) == 22
    assert frames[0].shape[:2] == layout.page[::-1]
    cheetah = layout.scenes[0]
    for scene in layout.scenes:  # something is to be seen, and the bar above it has text
        assert scene.of(frames[0]).std() > 5
        assert scene._replace(y=scene.y - layout.bar, height=layout.bar).of(frames[0]).std() > 10
    # the camera goes along: the agent, the only thing with more red than blue, stays in the middle
    for frame in frames[::3]:
        scene = cheetah.of(frame)
        columns = np.nonzero(scene[..., 0] - scene[..., 2] > 40)[1]
        assert len(columns) > 20
        assert abs(columns.mean() - SIZE[0] / 2) < SIZE[0] / 5
    # and the floor goes by below it, until the recording ends; its last picture stays, marked
    below = cheetah._replace(y=cheetah.y + 100, height=20)
    assert abs(below.of(frames[0]) - below.of(frames[8])).max() > 15
    assert abs(cheetah.of(frames[15]) - cheetah.of(frames[21])).mean() < 3
    marks = [((f[: layout.bar, ..., 0] - f[: layout.bar, ..., 2]) > 60) for f in (frames[8], frames[21])]
    assert not marks[0].any()
    assert marks[1][:, : SIZE[0]].any()
    assert not marks[1][:, SIZE[0] :].any()


def test_a_gymnasium_env_is_played_again(backend, tmp_path):
    env = gymnasium.make("InvertedPendulum-v5")
    env.reset(seed=5)
    env.action_space.seed(5)
    actions = np.array([env.action_space.sample() for _ in range(4)])
    rewards = np.array([env.step(a)[1] for a in actions], float)
    recording = Recording("gym:InvertedPendulum-v5", 5, 0.04, rewards, actions=actions, head="gaussian")
    job = RenderJob([saved(recording, tmp_path)], tmp_path / "a.mp4", SMALL, timeout=120, backend=backend)
    result = finish(job)
    assert (result.frames, result.fps) == (5, 25.0)
    assert len(list(decode(result.path))) == 5

    other = replace(recording, rewards=rewards + [0, 0, 1, 0])  # noqa: RUF005
    (scene,) = scenes([other], SIZE)
    with pytest.raises(RenderError, match=r"is not deterministic given its seed.* at step 3"):
        scene.draw(4)


OWN = """
import gymnasium

if "Own-v0" not in gymnasium.registry:
    gymnasium.register("Own-v0", "gymnasium.envs.mujoco.inverted_pendulum_v5:InvertedPendulumEnv", max_episode_steps=9)
"""


def test_a_gymnasium_env_of_a_plugin_file_is_found_in_the_render_process(backend, tmp_path, monkeypatch):
    (tmp_path / "own.py").write_text(OWN)
    monkeypatch.setenv("PGCONTROL_PLUGINS", str(tmp_path / "own.py"))
    actions = np.zeros((3, 1), np.float32)
    recording = Recording("gym:Own-v0", 5, 0.04, np.ones(3), actions=actions, head="gaussian")
    job = RenderJob([saved(recording, tmp_path)], tmp_path / "a.mp4", SMALL, timeout=120, backend=backend)
    assert finish(job).frames == 4


@pytest.mark.parametrize(
    ("recording", "message"),
    [
        (travelling(steps=3), "is not a folder"),
        (replace(travelling(steps=3), qpos=np.zeros((4, 7))), "7 positions, but the task has 9"),
        (
            replace(travelling(steps=3), own={"geom_pos": np.zeros((2, 3))}),
            r"the simulation has geom_pos \[2, 3\], this model \[9",
        ),
        (replace(travelling(steps=3), own={"legs": np.zeros(2)}), r"the simulation has legs \[2\], this model none"),
        (None, "is not a recording, or is damaged"),
    ],
    ids=["folder", "positions", "field", "no field", "damaged"],
)
def test_bad_input_is_one_line(recording, message, backend, tmp_path):
    path, out = tmp_path / "one.npz", tmp_path / ("" if message != "is not a folder" else "none") / "a.mp4"
    if recording:
        recording.save(path)
    else:
        path.write_text("not one")
    job = RenderJob([path], out, SMALL, timeout=120, backend=backend)
    with pytest.raises(RenderError, match=message) as caught:
        finish(job)
    assert "\n" not in str(caught.value)
    assert [f.name for f in tmp_path.iterdir()] == ["one.npz"]


def test_a_task_that_is_not_here_is_one_line():
    with pytest.raises(RenderError, match="Cat-v5, which is not a task here"):
        scenes([replace(travelling(steps=3), env_id="Cat-v5")], SIZE)


def test_the_film_shows_models_of_their_own(backend, tmp_path):
    """Recordings of one task whose targets lie elsewhere are drawn side by side, each with its own."""
    task = catalog()["dm:reacher-easy"]()
    places = [task.model.geom_pos.copy() for _ in range(2)]
    places[1][task.model.geom("target").id] += 0.1
    plain = travelling("dm:reacher-easy", steps=2, distance=0)
    files = [saved(replace(plain, own={"geom_pos": places[k]}), tmp_path, f"{i}.npz") for i, k in enumerate((0, 1, 0))]
    result = finish(RenderJob(files, tmp_path / "a.mp4", SMALL, timeout=120, backend=backend))
    picture = next(iter(decode(result.path))).astype(int)
    here, there, again = (scene.of(picture) for scene in Layout(3, SMALL.size).scenes)
    assert abs(here - there).max() > 60
    assert abs(here - again).max() < 30


def test_a_black_picture_is_no_clip(render_as, tmp_path):
    """The result of a driver that draws nothing: correct, but black."""
    render_as(
        "import numpy as np; from pgcontrol.rendering import film, render\n"
        "class Dark:\n"
        "    def draw(self, step):\n"
        f"        return np.zeros({(*SIZE[::-1], 3)}, np.uint8)\n"
        "film.scenes = lambda recordings, size: [Dark() for _ in recordings]; render.main()"
    )
    source = saved(travelling(steps=3), tmp_path)
    with pytest.raises(RenderError, match=r"a\.mp4: the picture is black"):
        finish(RenderJob([source], tmp_path / "a.mp4", SMALL, timeout=60, backend="disable"))
    assert list(tmp_path.iterdir()) == [source]


def test_a_renderer_that_hangs_is_killed(render_as, tmp_path):
    render_as("import time; time.sleep(60)")
    began = time.monotonic()
    with pytest.raises(RenderError, match=r"a\.mp4: not rendered within 0\.3 s"):
        render_clip([tmp_path / "one.npz"], tmp_path / "a.mp4", SMALL, timeout=0.3)
    assert time.monotonic() - began < 10


@posix
def test_its_children_are_killed_with_it(render_as, tmp_path):
    note = tmp_path / "pid"
    render_as(
        "import subprocess, sys, time, pathlib\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        f"pathlib.Path({str(note)!r}).write_text(str(child.pid)); time.sleep(60)"
    )
    job = RenderJob([tmp_path / "one.npz"], tmp_path / "a.mp4", SMALL, timeout=60)
    while not (note.exists() and note.read_text()):
        time.sleep(0.02)
    job.kill()
    assert gone(int(note.read_text()))


def gone(pid: int, within: float = 5.0) -> bool:
    """Whether a process has ended; a zombie has."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
            with open(f"/proc/{pid}/stat") as file:
                if file.read().rpartition(")")[2].split()[0] == "Z":
                    return True
        except (ProcessLookupError, FileNotFoundError):
            return True
        time.sleep(0.02)
    return False


@pytest.mark.parametrize(
    ("code", "error", "message"),
    [
        ("import os; os.abort()", RenderError, "ended by SIGABRT"),
        (
            "raise SystemExit('Traceback\\n  in a driver\\nValueError: what went wrong')",
            RenderError,
            "ValueError: what",
        ),
        ("raise SystemExit(9)", RenderError, "exit code 9"),
        ("import sys; print('apt-get install it', file=sys.stderr); sys.exit(3)", NoGraphics, "apt-get install it"),
    ],
)
def test_a_renderer_that_fails_is_reported_in_one_line(code, error, message, render_as, tmp_path):
    render_as(code)
    with pytest.raises(error, match=message) as caught:
        render_clip([tmp_path / "one.npz"], tmp_path / "a.mp4", SMALL, timeout=60)
    assert type(caught.value) is error
    assert "\n" not in str(caught.value)


def test_without_graphics_the_real_renderer_reports_it(tmp_path, monkeypatch):
    monkeypatch.setenv("MUJOCO_GL", "off")
    with pytest.raises(NoGraphics, match="unset MUJOCO_GL") as caught:
        render_clip([saved(travelling(steps=3), tmp_path)], tmp_path / "a.mp4", SMALL, timeout=60)
    assert "\n" not in str(caught.value)


def test_nothing_half_written_is_left(render_as, tmp_path):
    out = tmp_path / "a.mp4"
    out.write_text("the clip that was there")
    render_as(
        "import os; from pathlib import Path; from pgcontrol.rendering.render import partial_path\n"
        f"half = partial_path(Path({str(out)!r}), os.getpid()); half.write_text('half')\n"
        "raise SystemExit(f'there is {half.name}')"
    )
    with pytest.raises(RenderError, match=r"there is \.a\.\d+\.part\.mp4"):
        render_clip([tmp_path / "one.npz"], out, SMALL, timeout=60)
    assert [f.name for f in tmp_path.iterdir()] == ["a.mp4"]
    assert out.read_text() == "the clip that was there"


@pytest.mark.slow
def test_two_may_film_the_same_clip_at_once(backend, tmp_path):
    recording, out = saved(travelling(steps=3), tmp_path), tmp_path / "a.mp4"
    jobs = [RenderJob([recording], out, SMALL, timeout=120, backend=backend) for _ in range(2)]
    results = [finish(job) for job in jobs]
    assert [result.path for result in results] == [out, out]
    check(out, results[0].frames, Layout(1, SIZE).scenes)
    assert {f.name for f in tmp_path.iterdir()} == {recording.name, "a.mp4"}


@pytest.mark.skipif(sys.platform != "linux", reason="the parent's death is noticed at once on Linux only")
def test_a_renderer_dies_with_its_parent(tmp_path):
    child = (
        "from pgcontrol.machine.processes import confine; import time; confine(60); print('up', flush=True);"
        " time.sleep(60)"
    )
    parent = (
        "import os, sys\nfrom pgcontrol.machine.processes import start\n"
        f"child = start([sys.executable, '-c', {child!r}], dict(os.environ), sys.stdout)\n"
        "print(child.pid, flush=True); child.wait()"
    )
    process = subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    said = [process.stdout.readline().strip() for _ in range(2)]
    pid = int(next(line for line in said if line != "up"))
    process.kill()
    process.wait()
    assert gone(pid)


@posix
def test_a_confined_process_ends_itself():
    code = "from pgcontrol.machine.processes import confine; import time; confine(0.2); time.sleep(60)"
    assert subprocess.run([sys.executable, "-c", code], timeout=30, check=False).returncode == -signal.SIGALRM


def test_a_file_in_the_current_folder_is_not_taken_for_a_library(tmp_path, monkeypatch):
    (tmp_path / "queue.py").write_text("raise SystemExit('taken')")
    monkeypatch.chdir(tmp_path)
    done = subprocess.run(
        [*python("pgcontrol.rendering.render"), "no JSON"], capture_output=True, check=False, text=True
    )
    assert "taken" not in done.stderr
    assert "JSONDecodeError" in done.stderr


def test_what_trains_needs_no_libraries_of_pictures():
    """They would cost every process of a run memory and time; only the renderer draws and encodes."""
    code = "import sys, pgcontrol.rendering.queue; print({'imageio', 'PIL', 'mujoco'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout.strip() == "set()"
