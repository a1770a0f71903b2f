"""A program in C around Python: its signal handlers, which Python cannot name, stay, and a training returns."""

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

CODE = """
import sys
sys.argv = ["around"]
import pgcontrol
settings = {"env": "Bandit-v0", "total_steps": 64, "num_envs": 4, "rollout_steps": 16, "algorithm.minibatch": 64}
settings |= {"eval_every": 0, "video": False, "threads": 1, "compile": "off", "run_dir": "run"}
print("training", pgcontrol.train(settings).status, flush=True)
"""


@pytest.fixture
def around(tmp_path) -> Path:
    """The compiled program."""
    compiler, made = shutil.which("cc") or shutil.which("gcc"), tmp_path / "around"
    headers, folder = Path(sysconfig.get_paths()["include"]), sysconfig.get_config_var("LIBDIR")
    if compiler is None or not (headers / "Python.h").exists():
        pytest.skip(f"no C compiler, or no Python.h in {headers}: apt-get install gcc libpython3-dev")
    version = sysconfig.get_config_var("LDVERSION")
    inside = Path(sysconfig.get_config_var("LIBPL"), sysconfig.get_config_var("LIBRARY"))  # of a Python without a .so
    library = [f"-lpython{version}"] if sysconfig.get_config_var("Py_ENABLE_SHARED") else [str(inside)]
    system = [*sysconfig.get_config_var("LIBS").split(), *sysconfig.get_config_var("SYSLIBS").split()]
    where = [f"-I{headers}", f"-L{folder}", f"-Wl,-rpath,{folder}", "-rdynamic"]
    source = Path(__file__).with_name("around.c")
    subprocess.run([compiler, str(source), *where, *library, *system, "-o", str(made)], check=True, timeout=120)
    return made


@pytest.mark.slow
def test_a_program_around_python_keeps_its_handlers(around, tmp_path):
    command = [str(around), sys.executable, CODE]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "training finished\nhandlers kept: 1 1\n" in done.stdout
