import importlib
import os
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

from pgcontrol import cli
from pgcontrol.machine import compiler, cores, doctor, graphics
from pgcontrol.machine.terminal import Terminal


@pytest.fixture
def without_graphics(monkeypatch):
    monkeypatch.setattr(graphics, "probe", lambda: graphics.Probe(None, {"egl": "libEGL is not installed"}))


def shown(report) -> str:
    console = Terminal(width=80, no_color=True)
    with console.capture() as capture:
        doctor.show(report, console)
    return capture.get()


def exit_code(report) -> int:
    return doctor.show(report, Terminal(quiet=True))


def by_name(report) -> dict[str, doctor.Check]:
    return {check.name: check for check in report}


def test_this_machine(backend, tmp_path):
    report = doctor.report(tmp_path)
    assert exit_code(report) == 0, shown(report)
    checks = by_name(report)
    assert {"python", "pgcontrol", "mujoco", "gymnasium", "torch", "numpy"} < set(checks)
    assert checks["torch"].value == metadata.version("torch")
    found = graphics.probe().require()
    assert found.renderer in checks["graphics"].value
    assert ("software" if found.software else "hardware") in checks["graphics"].value
    assert "ms per frame" in checks["graphics"].value
    assert "H.264" in checks["ffmpeg"].value


def test_without_graphics_training_is_possible(without_graphics, tmp_path):
    report = doctor.report(tmp_path)
    assert exit_code(report) == 0
    assert not by_name(report)["graphics"].ok
    text = shown(report)
    assert "libEGL is not installed" in text
    if sys.platform == "linux":
        assert "apt-get install libegl1 libopengl0 libgl1-mesa-dri" in text


def test_every_extra_for_users_is_checked():
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert {*doctor.FOR} == project["optional-dependencies"].keys() - {"dev", "docs"}


def test_extras_say_what_they_add_and_what_to_type(without_graphics, monkeypatch, tmp_path):
    """None of them is essential: without them the exit code is 0."""
    lines = ["numpy>=2.0", "onnx>=1.20; extra == 'export'", "tokenizers>=0.20; extra == 'tokens'"]
    there = {"onnx": "1.19"}  # too old
    real = metadata.version

    def version(name):
        if name == "tokenizers":
            raise metadata.PackageNotFoundError
        return there.get(name) or real(name)

    monkeypatch.setattr(metadata, "requires", lambda name: lines)
    monkeypatch.setattr(metadata, "version", version)
    report = doctor.report(tmp_path)
    checks = by_name(report)
    assert checks["extra export"].value == "`pgcontrol export`: needs onnx"
    assert checks["extra tokens"].fix == "pip install 'pgcontrol[tokens]'"
    assert exit_code(report) == 0
    there["onnx"] = "1.21"
    assert by_name(doctor.report(tmp_path))["extra export"] == doctor.Check(
        "extra export", "`pgcontrol export`: installed"
    )


def test_a_missing_or_old_package_says_what_to_type(without_graphics, monkeypatch):
    real = metadata.version

    def version(name):
        if name == "scipy":
            raise metadata.PackageNotFoundError
        return "3.9.0" if name == "mujoco" else real(name)

    monkeypatch.setattr(metadata, "version", version)
    report = doctor.report()
    assert exit_code(report) == 1
    assert by_name(report)["scipy"].fix.startswith("pip install 'scipy>=")
    assert by_name(report)["mujoco"].fix.startswith("pip install 'mujoco>=4")
    assert "3.9.0, >=4.0 needed" in by_name(report)["mujoco"].value


def test_a_package_that_does_not_import(without_graphics, monkeypatch):
    real = importlib.import_module

    def import_module(name):
        if name == "safetensors":
            raise ImportError("libfoo.so: cannot open")
        return real(name)

    monkeypatch.setattr(importlib, "import_module", import_module)
    report = doctor.report()
    assert exit_code(report) == 1
    assert "does not import: libfoo.so" in by_name(report)["safetensors"].value


def test_no_ffmpeg_is_no_video_but_training(without_graphics, monkeypatch):
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", "/no/such/ffmpeg")
    report = doctor.report()
    assert exit_code(report) == 0
    assert not by_name(report)["ffmpeg"].ok
    assert "imageio-ffmpeg" in by_name(report)["ffmpeg"].fix


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="every folder can be written by this user")
def test_a_folder_that_cannot_be_written(without_graphics, tmp_path):
    tmp_path.chmod(0o500)
    report = doctor.report(tmp_path / "runs" / "deeper")
    assert exit_code(report) == 1
    assert "--run-dir" in by_name(report)["run folder"].fix


def test_a_file_where_the_run_folder_would_be(without_graphics, tmp_path):
    (tmp_path / "runs").touch()
    report = doctor.report(tmp_path / "runs" / "deeper")
    assert exit_code(report) == 1
    assert not by_name(report)["run folder"].ok


def test_processors_within_the_quota(monkeypatch):
    assert 1 <= doctor.usable_cpus() <= (os.cpu_count() or 1)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    for text, expected in {"max 100000": 8, "250000 100000": 3, "50000 100000": 1, "broken": 8}.items():
        monkeypatch.setattr(doctor.Path, "read_text", lambda self, text=text: text)
        assert doctor.usable_cpus() == expected


@pytest.mark.parametrize(("path", "ok"), [(None, False), ("/usr/bin/g++", True)])
def test_a_compiler_or_what_to_type(without_graphics, monkeypatch, tmp_path, path, ok):
    monkeypatch.setattr(compiler, "compiler", lambda: path)
    check = by_name(doctor.report(tmp_path))["compiler"]
    assert check.ok == ok
    assert ("g++" in check.fix) != ok
    assert exit_code(doctor.report(tmp_path)) == 0  # training works without


def test_engines_that_are_here_are_named(without_graphics, monkeypatch, tmp_path):
    (tmp_path / "scontrol").write_text("#!/bin/sh\necho 'Slurmctld(primary) at here is UP'\n")
    (tmp_path / "scontrol").chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("RAY_ADDRESS", "head:6379")
    found = by_name(doctor.report(tmp_path))["engines"].value
    assert found == "local, slurm (Slurmctld(primary) at here is UP), ray (head:6379)"
    (tmp_path / "scontrol").write_text("#!/bin/sh\nexit 1\n")
    monkeypatch.delenv("RAY_ADDRESS")
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    assert by_name(doctor.report(tmp_path))["engines"].value == "local"


def test_the_command_prints_and_returns_the_code(without_graphics, capsys):
    with pytest.raises(SystemExit, match="0"):
        cli.main(["doctor"])
    assert "python" in capsys.readouterr().out


def test_a_busy_machine_is_mentioned(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    for load, line in {1.0: "", 20.4: " (the machine is busy: load 20 on 2 cores)"}.items():
        monkeypatch.setattr(os, "getloadavg", lambda load=load: (load, 0, 0))
        assert cores.busy() == line
