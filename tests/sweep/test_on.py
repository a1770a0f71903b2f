"""The block `on:` and the flags with the same names."""

import pytest

from pgcontrol.cli import main
from pgcontrol.options import InputError
from pgcontrol.sweep.cell import command
from pgcontrol.sweep.engines import executor_of
from pgcontrol.sweep.executor import Local
from pgcontrol.sweep.on import On
from pgcontrol.sweep.sweep import read_sweep
from tests.sweep.worlds import SWEEP


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("", On()),
        ("on: ray", On(engine="ray")),
        ("on: {cores: 2}", On(cores=2)),
        (
            "on: {engine: slurm, partition: cpu, account: lab, memory: 1.5, time: 30}",
            On(engine="slurm", partition="cpu", account="lab", memory=1.5, time=30),
        ),
        ("on: {partition: cpu, address: 'head:6379'}", On(partition="cpu", address="head:6379")),  # for --on
    ],
)
def test_where_runs_are_made(tmp_path, said, found):
    (tmp_path / "heads.yaml").write_text(SWEEP + said)
    assert read_sweep(tmp_path / "heads.yaml").on == found


@pytest.mark.parametrize(
    ("said", "line"),
    [
        ("on: slrum", "on.engine = 'slrum': must be one of local, slurm, ray; did you mean 'slurm'?"),
        ("on: [slurm]", "on = ['slurm']: must be one of local, slurm, ray, or map engine, cores, ... to values"),
        ("on: {engine: slurm, partitoin: cpu}", "unknown setting 'on.partitoin'; did you mean 'on.partition'?"),
        ("on: {engine: ray, partition: cpu}", "on: partition = 'cpu': this is a setting of slurm, not of ray"),
        ("on: {cores: 0}", "on.cores = 0: must be at least 1"),
        ("on: {engine: slurm, time: 4h}", "on.time = '4h': must be a whole number"),
    ],
)
def test_what_is_wrong_is_one_line_and_leaves_nothing(tmp_path, capsys, said, line):
    (tmp_path / "heads.yaml").write_text(SWEEP + said)
    with pytest.raises(SystemExit, match="2"):
        main(["compare", str(tmp_path / "heads.yaml"), "--runs", str(tmp_path / "runs")])
    assert capsys.readouterr().err == f"pgcontrol: {tmp_path / 'heads.yaml'}: {line}\n"
    assert [file.name for file in tmp_path.iterdir()] == ["heads.yaml"]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--on", "slurm"], "Slurm: squeue not found: use a machine that can submit jobs, or --on local"),
        (["--on", "ray"], "Ray: no cluster at 'auto': start one with `ray start --head`"),
        (["--on", "local", "--cancel"], "--cancel: local runs end with the compare that started them"),
        (["--on", "pbs"], "--on = 'pbs': must be one of local, slurm, ray"),
    ],
)
def test_an_engine_that_is_not_there_is_one_line_and_leaves_nothing(tmp_path, capsys, monkeypatch, words, line):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    (tmp_path / "heads.yaml").write_text(SWEEP)
    with pytest.raises(SystemExit, match="2"):
        main(["compare", str(tmp_path / "heads.yaml"), "--runs", str(tmp_path / "runs"), *words])
    assert capsys.readouterr().err.startswith(f"pgcontrol: {line}")
    assert [file.name for file in tmp_path.iterdir()] == ["heads.yaml"]


@pytest.mark.slow
def test_a_dry_run_needs_no_engine(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "heads.yaml").write_text(f"{SWEEP}\non: slurm\n")
    with pytest.raises(SystemExit, match="0"):
        main(["compare", str(tmp_path / "heads.yaml"), "--runs", str(tmp_path / "runs"), "--dry-run"])
    out = capsys.readouterr().out
    assert "; this counts the runs as on this machine" in out
    assert "of them done" in out
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("address", ["127.0.0.1:1", "nowhere", "127.0.0.1:99999", "ray://127.0.0.1:1"])
def test_a_ray_cluster_that_does_not_answer_is_an_error_at_once(tmp_path, address):
    with pytest.raises(InputError, match=f"^Ray: no cluster at '{address}': start one with `ray start --head`$"):
        executor_of(On(engine="ray", address=address))


def test_a_package_that_is_missing_is_named_with_the_extra_that_brings_it(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr("pgcontrol.machine.engines.find_spec", lambda name: None)
    (tmp_path / "heads.yaml").write_text(SWEEP)
    for engine, package in {"slurm": "submitit", "ray": "ray"}.items():
        with pytest.raises(SystemExit, match="2"):
            main(["compare", str(tmp_path / "heads.yaml"), "--on", engine])
        said = f"pgcontrol: --on {engine}: needs {package}: pip install 'pgcontrol[{engine}]'\n"
        assert capsys.readouterr().err == said


def test_a_run_of_several_cores_has_as_many_threads_and_leaves_room(monkeypatch, tmp_path):
    monkeypatch.setattr("pgcontrol.sweep.engines.usable_cpus", lambda: 8)
    local = executor_of(On().changed("local", 3))
    assert isinstance(local, Local)
    assert (local.jobs, local.cores) == (2, 3)
    assert command({"env": "Reacher-v5"}, tmp_path, 3)[2:4] == ["--threads", "3"]
    assert command({"env": "Reacher-v5", "threads": 2}, tmp_path, 3)[2:4] == ["--threads", "2"]
