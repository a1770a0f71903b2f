"""A Slurm of one node, started here."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pgcontrol.machine import doctor, engines
from pgcontrol.options import InputError
from pgcontrol.sweep import results, run_state
from pgcontrol.sweep.cell import Cell
from pgcontrol.sweep.engines import executor_of
from pgcontrol.sweep.executor import Ended
from pgcontrol.sweep.on import On
from pgcontrol.sweep.slurm import Slurm
from tests.sweep.nodes import identical, outcomes, pair, typed

pytestmark = pytest.mark.slow

CONFIG = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
AuthType=auth/munge
AuthInfo=socket={place}/munge/socket,cred_expire=5
CredType=cred/munge
SlurmUser=root
StateSaveLocation={place}/state
SlurmdSpoolDir={place}/spool
SlurmctldPidFile={place}/slurmctld.pid
SlurmdPidFile={place}/slurmd.pid
SlurmctldLogFile={place}/slurmctld.log
SlurmdLogFile={place}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
JobRequeue=1
SchedulerParameters=sched_interval=1,sched_min_interval=0,bf_interval=1
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN
PartitionName=debug Nodes={host} Default=YES MaxTime=INFINITE State=UP OverSubscribe=NO
"""


def free() -> int:
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        return opened.getsockname()[1]


@pytest.fixture(scope="module")
def slurm(tmp_path_factory) -> Iterator[Path]:
    """Its folder."""
    needed = ("munged", "slurmctld", "slurmd", "sbatch")
    if missing := [name for name in needed if not shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")]:
        pytest.skip(f"no {', '.join(missing)} here: apt-get install slurm-wlm")
    if os.geteuid() != 0:
        pytest.skip("slurmd starts jobs of others: only root can start one")
    place = tmp_path_factory.mktemp("slurm")
    for name in ("munge", "state", "spool"):
        (place / name).mkdir(mode=0o700)
    (place / "slurm.conf").write_text(
        CONFIG.format(host=socket.gethostname().split(".")[0], place=place, ports=[free(), free()])
    )
    (place / "cgroup.conf").write_text("CgroupPlugin=autodetect\nIgnoreSystemd=yes\n")
    (place / "munge" / "key").write_bytes(os.urandom(128))
    (place / "munge" / "key").chmod(0o600)
    munge = {"key-file": "key", "socket": "socket", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
    words = [f"--{flag}={place / 'munge' / name}" for flag, name in munge.items()]
    environment = os.environ | {"SLURM_CONF": str(place / "slurm.conf"), "PATH": f"{os.environ['PATH']}:/usr/sbin"}
    commands = [["munged", "--foreground", "--force", *words], ["slurmctld", "-D"], ["slurmd", "-D"]]
    with pytest.MonkeyPatch.context() as patch, (place / "said").open("w") as said:
        patch.setenv("SLURM_CONF", str(place / "slurm.conf"))
        running = []
        try:
            for command in commands:
                running.append(subprocess.Popen(command, env=environment, stdout=said, stderr=said))
                time.sleep(1)
            deadline = time.monotonic() + 30
            while not idle():
                if time.monotonic() > deadline or any(process.poll() is not None for process in running):
                    pytest.skip(f"Slurm does not start here: {(place / 'said').read_text()[-500:]}")
                time.sleep(0.5)
            yield place
        finally:
            for process in reversed(running):
                process.terminate()
            for process in running:
                process.wait(30)


def idle() -> bool:
    try:
        return "idle" in engines.slurm("sinfo", "--noheader", "--format=%T")
    except InputError:
        return False


def test_a_sweep_is_left_and_taken_up_again_and_ends_as_on_one_machine(slurm, tmp_path):
    where, on, sweep = tmp_path / "runs", On(engine="slurm"), pair(tmp_path)
    first = executor_of(on).run(sweep.cells, where)
    next(first)
    first.close()
    assert set(Slurm(on).names()) == {str(where / cell.name) for cell in sweep.cells}
    code, said = typed("compare", sweep.path, "--runs", where, "--on", "slurm", "--clips", "none", "--no-open")
    assert code == 0, said
    assert set(results.read(sweep)) == {cell.key for cell in sweep.cells}
    assert len([*(where / ".jobs").glob("*_submitted.pkl")]) == len(sweep.cells)  # none was submitted twice
    for cell in sweep.cells:
        identical(where / cell.name, cell)
    assert "slurm" in next(check.value for check in doctor.report() if check.name == "engines")


@pytest.fixture
def long(tmp_path) -> Cell:
    return pair(tmp_path, budget="40_000").cells[0]


@pytest.mark.parametrize("signal_", [signal.SIGUSR2, signal.SIGKILL])
def test_a_job_that_runs_out_of_time_or_is_killed_continues_from_its_checkpoint(slurm, long, tmp_path, signal_):
    where, engine, sent, errors = tmp_path / "runs", Slurm(On(engine="slurm")), False, []
    for outcome in engine.run([long], where):
        if isinstance(outcome, Ended):
            errors.append(outcome.error)
        elif not sent and run_state.reached(where / long.name):
            (job,) = engine.names().values()
            engines.slurm("scancel", f"--signal={signal_.name[3:]}", job)
            sent = True
    assert sent
    assert errors == [""]
    identical(where / long.name, long)


def test_jobs_are_cancelled_and_leave_a_checkpoint(slurm, long, tmp_path):
    where, engine = tmp_path / "runs", Slurm(On(engine="slurm"))
    for _ in engine.run([long], where):
        if run_state.reached(where / long.name):
            break
    assert engine.cancel(where) == 1
    deadline = time.monotonic() + 60
    while engine.names():
        assert time.monotonic() < deadline
        time.sleep(0.5)
    reached = run_state.reached(where / long.name)
    assert 0 < reached < 40_000
    assert outcomes(engine, [long], where) == {long.name: ""}


def test_what_slurm_refuses_is_one_line(slurm, sweep, tmp_path, capsys):
    engine = Slurm(On(engine="slurm", partition="nowhere"))
    with pytest.raises(InputError, match=r"^Slurm rejected .*: .*Invalid partition name specified$"):
        next(engine.run(sweep.cells, tmp_path / "runs"))
    assert capsys.readouterr().err == ""
