"""A new user: pgcontrol from a wheel, and in an empty folder their own robot and parts."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
import zipfile
from pathlib import Path

import pytest

from tests.processes import hearing

ROOT, HERE = Path(__file__).parents[2], Path(__file__).parent
SHORT = "--total-steps 2048 --rollout-steps 32 --eval-every 2048 --eval-episodes 2 --threads 1 --compile off"
SWEEP = """
question: Does my head differ?
budget: 2048
settings: {video: false, eval_every: 0, compile: "off"}
arms: {gaussian: {head: gaussian}, mine: {head: my-gaussian}}
baseline: gaussian
grid: [{env: Robot-v0, seed: 1}]
"""


class Shell:
    """An empty folder in which `pgcontrol` is imported only from the wheel."""

    def __init__(self, folder: Path, installed: Path):
        self.folder = folder
        self.env = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "PYTHONPATH": str(installed),
            "OMP_NUM_THREADS": "1",
        }

    def run(self, words: str, code: int = 0, **env: str) -> str:
        """What the command prints; its exit code must be `code`."""
        command = [sys.executable, "-P", "-m", "pgcontrol", *words.split()]
        done = subprocess.run(command, cwd=self.folder, env=self.env | env, capture_output=True, text=True, timeout=300)
        assert done.returncode == code, f"{words}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        return done.stdout + done.stderr

    def watch(self, words: str) -> str:
        """The page that `play` serves for a browser, until Ctrl-C ends it."""
        command = [sys.executable, "-P", "-u", "-m", "pgcontrol", "play", *words.split(), "--viewer", "web"]
        said = self.folder / "said.txt"
        with said.open("w") as output:
            streams = {"stdout": output, "stderr": output, "preexec_fn": hearing(signal.SIGINT)}
            process = subprocess.Popen(command, cwd=self.folder, env=self.env, **streams)
        try:
            until, page = time.monotonic() + 120, ""
            while not page:
                assert process.poll() is None, said.read_text()
                assert time.monotonic() < until
                time.sleep(0.1)
                # the address is printed a moment before the server accepts connections
                with contextlib.suppress(OSError):
                    if found := re.search(r"http://localhost:\S+", said.read_text()):
                        page = urllib.request.urlopen(found[0], timeout=30).read().decode()
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=60) == 0, said.read_text()
        finally:
            process.kill()
        assert "Traceback" not in said.read_text()
        return page


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """The unpacked wheel, with the dependencies of the tests."""
    made, site = tmp_path_factory.mktemp("wheel"), tmp_path_factory.mktemp("site")
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(made), str(ROOT)]
    subprocess.run(build, check=True, timeout=300, cwd=made)
    (wheel,) = made.glob("*.whl")
    with zipfile.ZipFile(wheel) as file:
        file.extractall(site)
    return site


@pytest.fixture
def shell(installed, tmp_path) -> Shell:
    return Shell(tmp_path, installed)


def bring(shell: Shell, *names: str) -> None:
    for name in names:
        shutil.copy(HERE / name, shell.folder / name)


@pytest.mark.slow
def test_the_wheels_readme_has_no_dead_links(installed):
    (metadata,) = installed.glob("*.dist-info/METADATA")
    text = metadata.read_text()
    assert "getting started (`docs/start.md`)" in text
    assert [link for link in re.findall(r"\]\(([^)]*)\)", text) if not link.startswith("http")] == []


@pytest.mark.slow
def test_a_robot_from_nothing_but_two_files(shell):
    bring(shell, "robot.py", "robot.xml")
    assert "Robot-v0" in shell.run("list --plugin robot.py")
    shell.run(f"train Robot-v0 --plugin robot.py {SHORT} --run-dir r")
    noted = json.loads((shell.folder / "r/manifest.json").read_text())["plugins"]["robot"]
    assert noted["source"] == str(shell.folder / "robot.py")
    assert len(noted["sha256"]) == 64
    shell.run("resume r --plugin robot --total-steps 4096")
    assert '"mode"' in shell.run("eval r --episodes 2 --json", PGCONTROL_PLUGINS="robot.py")
    assert "<canvas" in shell.watch("r --plugin robot.py")
    shell.run("video r --pending --size 160x120 --plugin robot.py")
    assert {file.suffix for file in (shell.folder / "r/videos").iterdir()} == {".mp4"}
    assert "healthy" in shell.run("diagnose r --plugin robot.py") or (shell.folder / "r/diagnosis.md").exists()
    shell.run("export r --out r.onnx --plugin robot.py")
    shell.run("record r --episodes 3 --out d --plugin robot.py")
    shell.run("clone d --head gaussian --steps 50 --eval-episodes 2 --run-dir c --plugin robot.py")
    shell.run(f"train Robot-v0 --prior c --plugin robot.py {SHORT} --video false --run-dir t")
    shell.run(
        f"train Robot-v0 --algorithm a3c --algorithm.workers 2 --video false --plugin robot.py {SHORT} --run-dir a"
    )


@pytest.mark.slow
def test_every_other_kind_of_part_and_a_sweep_of_them(shell):
    bring(shell, "robot.py", "robot.xml", "parts.py")
    (shell.folder / "sweep.yaml").write_text(SWEEP)
    both, short = "--plugin robot.py --plugin parts.py", f"{SHORT} --video false"
    listed = shell.run(f"list {both}")
    for name in ("my-gaussian", "my-critic", "my-trunk", "corners", "centred", "my-logger"):
        assert f"  {name} " in listed
    parts = "--critic my-critic --trunk my-trunk --head token --head.tokenizer corners --head.reach 0.5"
    shell.run(f"train Robot-v0 {both} {parts} {short} --run-dir a")
    shell.run(f"train Robot-v0 {both} --algorithm centred --logger my-logger {short} --run-dir c")
    assert "steps" in (shell.folder / "c/rows.txt").read_text()
    assert "pass --plugin" in shell.run("resume c --total-steps 4096 --plugin robot.py", code=2)
    shell.run(f"eval a --episodes 2 {both}")
    assert "did you mean 'my-gaussian'?" in shell.run(f"train Robot-v0 {both} --head my-gausian", code=2)
    shell.run(f"compare sweep.yaml --clips none --no-open {both}")
    assert "2 of 2 runs" in shell.run("report sweep.yaml --clips none")  # finished rows need no plug-in
    assert "pass --plugin" in shell.run("eval runs/sweep/Robot-v0-mine-s0", code=2)


@pytest.mark.slow
def test_what_is_missing_or_wrong_is_one_line(shell):
    bring(shell, "robot.py", "robot.xml")
    shell.run(f"train Robot-v0 --plugin robot.py {SHORT} --video false --run-dir r")
    robot = shell.folder / "robot.py"

    def refused(words: str, **env: str) -> str:
        (line,) = shell.run(words, code=2, **env).strip().splitlines()
        return line

    assert f"pass --plugin {robot}" in refused("eval r")
    assert f"pass --plugin {robot}" in refused("resume r --total-steps 4096")
    robot.write_text(robot.read_text() + "# changed\n")
    assert "pass --accept-changed" in refused("eval r --plugin robot.py")
    shell.run("eval r --plugin robot.py --accept-changed --episodes 2")
    (shell.folder / "broken.py").write_text("x = (\n")
    assert "line 1: SyntaxError" in refused("list --plugin broken.py")
    assert "Hopper-v5" in shell.run("list", PGCONTROL_PLUGINS="broken.py")
    assert "no such file" in refused("list --plugin nowhere.py")
    (shell.folder / "empty.py").write_text("import numpy\n")
    assert "defines no task" in refused("list --plugin empty.py")
    shutil.copy(robot, shell.folder / "again.py")
    assert "already has a task 'Robot-v0'" in refused("list --plugin robot.py --plugin again.py")
    assert "--plugin FILE.py" in refused("train robot.py")
    xml = shell.folder / "robot.xml"
    xml.write_text(xml.read_text().replace(' ctrlrange="-1 1"', ""))
    line = refused("train Robot-v0 --plugin robot.py --run-dir n")
    assert "no ctrlrange for the actuators push, turn" in line
    assert not (shell.folder / "n").exists()
    xml.unlink()
    assert "model 'robot.xml': no such file" in refused("train Robot-v0 --plugin robot.py --run-dir n")
