"""`pgcontrol check` and `pgcontrol new`, typed in a user's folder."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pgcontrol.commands import new
from pgcontrol.options import InputError

ROOT = Path(__file__).parents[2]


def pgcontrol(folder: Path, *words: str, code: int = 0) -> tuple[str, str]:
    """stdout and stderr of a command typed in a folder."""
    here = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "envs")]), "PYTHONSAFEPATH": "1"}
    command = [sys.executable, "-m", "pgcontrol", *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600, env=here)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout, done.stderr


QUICK = {"total-steps": 2048, "num-envs": 4, "eval-every": 0, "threads": 1, "video": "false", "run-dir": "run"}


@pytest.mark.parametrize(
    ("part", "name", "files"),
    [
        ("task", "My-Quad-v0", "my_quad"),
        pytest.param("head", "my-head", "my_head", marks=pytest.mark.slow),
    ],
)
def test_new_then_check_then_train(part, name, files, tmp_path):
    said, _ = pgcontrol(tmp_path, "new", part, name)
    written = {file.name for file in tmp_path.iterdir()}
    assert written == ({f"{files}.py", f"{files}.xml"} if part == "task" else {f"{files}.py"})
    *_, check, train = (line.split()[1:] for line in said.splitlines())
    text = (tmp_path / f"{files}.py").read_text()
    assert f"class {files.title().replace('_', '')}({part.title()}):" in text
    assert "template" not in text
    out, error = pgcontrol(tmp_path, *check)
    assert error == ""
    assert f"{part} {name}" in out
    reason, times = {
        "task": ("the task defines no interface", 1),
        "head": ("its actions are not differentiable in params", 2),  # also with the options of its variant
    }[part]
    assert out.count(reason) == times
    assert out.splitlines()[-1].endswith(f" ok, {times} skipped, 0 broken")
    pgcontrol(tmp_path, *train, "--quiet", *(f"--{key}={value}" for key, value in QUICK.items()))
    assert (tmp_path / "run" / "checkpoints").is_dir()


def test_new_overwrites_nothing(tmp_path):
    (tmp_path / "quad.xml").write_text("mine")
    with pytest.raises(InputError, match=r"quad.xml exists already; choose another name"):
        new.write("task", "Quad-v0", tmp_path)
    assert [file.read_text() for file in tmp_path.iterdir()] == ["mine"]


@pytest.mark.parametrize(
    ("part", "name", "says"),
    [
        ("task", "Hopper-v5", "a task with this name exists already"),
        ("head", "gaussian", "a head with this name exists already"),
        ("head", "3x", "begin with a letter"),
        ("task", "../x", "must be letters"),
    ],
)
def test_names_that_cannot_be(part, name, says, tmp_path):
    with pytest.raises(InputError, match=says):
        new.write(part, name, tmp_path)
    assert list(tmp_path.iterdir()) == []


STILL = """
from pgcontrol_envs.tasks.inverted_pendulum import InvertedPendulum


class Still(InvertedPendulum):
    id = "Still-v0"
    frame_skip = 0
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "code"), [(("check", "still.py"), 1), (("train", "Still-v0", "--plugin", "still.py"), 2)]
)
def test_no_process_ends_without_a_message(words, code, tmp_path):
    (tmp_path / "still.py").write_text(STILL)
    out, error = pgcontrol(tmp_path, *words, code=code)
    assert "frame_skip: expected a whole number, at least 1, got 0" in out + error
    assert not (tmp_path / "runs").exists()


PARTS = '''
from pgcontrol.critics.mse import MSE
from pgcontrol.heads.gaussian import Gaussian
from pgcontrol.learning.advantages import GAE, Estimator
from pgcontrol.learning.algorithms import Algorithm
from pgcontrol.learning.ppo import ClippedSurrogate
from pgcontrol.tokenizers.bins import Bins
from pgcontrol.trunks.mlp import MLP


class Critic(MSE):
    name = "mine-critic"

    def value(self, output):
        return output.mean()


class Layers(MLP):
    name = "mine-trunk"


class Words(Bins):
    name = "mine-tokens"


class Base(Estimator):
    """Says nothing."""


class Smooth(GAE):
    pass


class Crash(GAE):
    def __call__(self, trajectories):
        return 1 / 0


ROW = Algorithm("mine", "a row of my own", Smooth, ClippedSurrogate)
LOST = Algorithm("lost", "cannot run", Crash, ClippedSurrogate)
'''


@pytest.mark.slow
def test_a_plug_in_of_every_other_kind(tmp_path):
    (tmp_path / "parts.py").write_text(PARTS)
    out, _ = pgcontrol(tmp_path, "check", "parts.py", code=1)
    titles = [line for line in out.splitlines() if not line.startswith(" ")]
    assert titles == [
        "critic mine-critic",
        "trunk mine-trunk",
        "tokenizer mine-tokens, horizon = 1",
        "tokenizer mine-tokens, horizon = 4",
        "estimator Smooth",
        "estimator Crash",
        "algorithm lost",
        "algorithm mine",
        titles[-1],
    ]
    broken = [" ".join(line.split()) for line in out.splitlines() if "FAILED" in line]
    assert broken == [
        "shapes FAILED: value returned [] float32; expected [B] = [64] float32",
        "shapes FAILED: line 36: ZeroDivisionError: division by zero",
        "it trains FAILED: line 36: ZeroDivisionError: division by zero",
    ]
    assert "all other laws" in out
    assert titles[-1].endswith(" ok, 2 skipped, 3 broken")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "title", "verdict"),
    [
        ("from pgcontrol.learning.advantages import GAE\nclass Mine(GAE): pass", "estimator Mine", "ok"),
        (
            "from pgcontrol.learning.score import Score\nclass Mine(Score): pass",
            "rule Mine",
            "skipped: no algorithm of this plug-in uses it",
        ),
    ],
)
def test_a_plug_in_of_nothing_but_what_an_algorithm_names(text, title, verdict, tmp_path):
    (tmp_path / "mine.py").write_text(text)
    out, _ = pgcontrol(tmp_path, "check", "mine.py")
    first, law, *_ = out.splitlines()
    assert first == title
    assert law.endswith(verdict)
    out, error = pgcontrol(tmp_path, "list", "--plugin", "mine.py")
    assert "Hopper-v5" in out
    assert error == ""


WRONG_TASK = """
from pgcontrol_envs.tasks.hopper import Hopper


class Mine(Hopper):
    id = "Mine-v0"

    def reward(self, action, before, terminated):
        reward, terms = super().reward(action, before, terminated)
        return reward.mean(), terms
"""
SAYS = "Mine.reward: returned one float64 ("


@pytest.mark.slow
def test_a_task_that_returns_a_scalar_reward(tmp_path):
    (tmp_path / "mine.py").write_text(WRONG_TASK)
    out, _ = pgcontrol(tmp_path, "check", "mine.py", code=1)
    assert f"FAILED: {SAYS}" in out
    _, error = pgcontrol(tmp_path, "train", "Mine-v0", "--plugin", "mine.py", code=2)
    assert error.startswith(f"pgcontrol: {SAYS}")
    assert error.count("\n") == 1
    assert not (tmp_path / "runs").exists()


GROWS = """
import numpy as np
from pgcontrol_envs.tasks.hopper import Hopper


class Mine(Hopper):
    id = "Mine-v0"

    def privileged(self):
        return np.zeros((len(self.velocity), 2 if (np.abs(self.velocity) < 3).all() else 3))
"""


def test_what_breaks_the_contract_later_on_ends_the_run(tmp_path):
    (tmp_path / "mine.py").write_text(GROWS)
    _, error = pgcontrol(tmp_path, "train", "Mine-v0", "--plugin", "mine.py", "--quiet", code=2)
    says = "observe() returned 11 numbers per environment and privileged() 3; at first it was 11 and 2"
    assert error == f"pgcontrol: Mine-v0: {says}\n"
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "no such file"),
        pytest.param("x = (", "line 1: SyntaxError", marks=pytest.mark.slow),
        pytest.param(
            "from pgcontrol.heads.gaussian import Gaussian", "defines no task, no head", marks=pytest.mark.slow
        ),
        (
            "from pgcontrol.learning.advantages import GAE, Estimator",
            "no rule, and registers no Gymnasium environment; parts need",
        ),
        pytest.param(
            "from pgcontrol import Estimator\nclass Base(Estimator): pass",
            "defines no task, no head",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_what_is_no_plug_in(text, says, tmp_path):
    if text is not None:
        (tmp_path / "mine.py").write_text(text)
    _, error = pgcontrol(tmp_path, "check", "mine.py", code=2)
    assert says in error
    assert error.count("\n") == 1


@pytest.mark.slow
def test_the_heads_of_the_ablations_keep_every_law(tmp_path):
    out, _ = pgcontrol(tmp_path, "check", str(ROOT / "experiments" / "ablation_heads.py"))
    assert out.splitlines()[-1].endswith(" 0 broken")
    assert "head gaussian-bins" in out
