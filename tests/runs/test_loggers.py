"""Loggers: the same names everywhere, a resumed run continues, and a failing logger does not end a training."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import pgcontrol
from pgcontrol.learning.rule import Diverged
from pgcontrol.loggers import base
from pgcontrol.loggers.base import Logger
from pgcontrol.options import InputError
from pgcontrol.runs.config import configure
from pgcontrol.sweep.cell import run_of
from pgcontrol.training.learner import Learner
from tests.test_cli import run as command
from tests.training.test_train import SMALL

TINY = SMALL | {"env": "Reacher-v5", "total_steps": 1024, "eval_every": 0, "checkpoint_every": 512}


class Notebook(Logger):
    """Records everything."""

    name = "notebook"
    opened, rows, closed = list[base.LoggedRun](), list[tuple[int, dict]](), list[bool]()

    def __init__(self, run):
        self.opened.append(run)
        self.id = run.id or f"page {len(self.opened)}"

    def write(self, steps, row):
        self.rows.append((steps, dict(row)))

    def close(self, failed):
        self.closed.append(failed)


class Fails(Notebook):
    """Raises at `at`."""

    name = "fails"
    at = ""

    def __init__(self, run):
        self.fail("open")
        super().__init__(run)

    def write(self, steps, row):
        self.fail("write")

    def close(self, failed):
        self.fail("close")

    def fail(self, where):
        if where == type(self).at:
            raise ConnectionError(f"the network\nis gone at {where}")


@pytest.fixture(autouse=True)
def _blank():
    for kept in (Notebook.opened, Notebook.rows, Notebook.closed):
        kept.clear()


def names(path: Path) -> set[str]:
    return {name for row in pgcontrol.Run.open(path).metrics() for name in row}


def test_a_logger_of_ones_own_gets_what_the_log_has(tmp_path):
    run = pgcontrol.train(TINY | {"run_dir": str(tmp_path / "run"), "logger": Notebook})
    assert [(steps, *sorted(row)) for steps, row in Notebook.rows] == [
        (row["time/total_timesteps"], *sorted(row)) for row in run.metrics()
    ]
    (opened,) = Notebook.opened
    assert (opened.folder, opened.start, opened.id) == (run.path, 0, None)
    assert opened.settings["algorithm.minibatch"] == 64
    assert Notebook.closed == [False]


def test_a_resumed_run_continues_under_its_id(tmp_path):
    path = tmp_path / "run"
    pgcontrol.train(TINY | {"run_dir": str(path), "logger": Notebook}, on_update=lambda row: len(Notebook.rows) == 2)
    pgcontrol.resume(path)
    assert [(run.start, run.id) for run in Notebook.opened] == [(0, None), (512, "page 1")]
    assert [steps for steps, _ in Notebook.rows] == [256, 512, 768, 1024]
    assert json.loads((path / "manifest.json").read_text())["loggers"] == {"notebook": "page 1"}


@pytest.mark.parametrize("where", ["open", "write", "close"])
def test_one_that_fails_is_left_out_with_one_warning(where, tmp_path, monkeypatch):
    monkeypatch.setattr(Fails, "at", where)
    with pytest.warns(UserWarning, match="logger") as warned:
        run = pgcontrol.train(TINY | {"run_dir": str(tmp_path / "run"), "logger": [Fails.name, Notebook.name]})
    messages = [str(warning.message) for warning in warned if "logger" in str(warning.message)]
    assert messages == [f"logger 'fails' failed and is off from now on: the network is gone at {where}"]
    assert run.status == "finished"
    assert len(Notebook.rows) == len(run.metrics()) == 4


def test_loggers_learn_that_a_training_failed(tmp_path, monkeypatch):
    def diverges(self):
        raise Diverged("all is lost")

    monkeypatch.setattr(Learner, "update", diverges)
    with pytest.raises(Diverged):
        pgcontrol.train(TINY | {"run_dir": str(tmp_path / "run"), "logger": Notebook})
    assert Notebook.closed == [True]


def test_tensorboard_has_the_same_names(tmp_path):
    run = pgcontrol.train(TINY | {"run_dir": str(tmp_path / "run")})
    board = EventAccumulator(str(run.path / "tensorboard"))
    board.Reload()
    assert set(board.Tags()["scalars"]) == names(run.path)


@pytest.mark.parametrize("logger", ["wandb", "mlflow"])
def test_a_missing_extra_says_what_to_type(logger, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(base, "find_spec", lambda name: None)
    line = f"logger '{logger}' needs {logger}: pip install 'pgcontrol[{logger}]'"
    assert command(capsys, "train", "Reacher-v5", "--logger", logger) == (2, "", f"pgcontrol: {line}\n")
    with pytest.raises(InputError, match="needs"):
        pgcontrol.train(TINY | {"logger": logger})
    assert list(tmp_path.iterdir()) == []


def test_a_resumed_run_without_its_logger_stays_as_it_is(tmp_path, monkeypatch):
    path = tmp_path / "run"
    pgcontrol.train(TINY | {"run_dir": str(path)}, on_update=lambda _: True)
    before = (path / "manifest.json").read_text(), (path / "config.yaml").read_text()
    monkeypatch.setattr(base, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="pip install"):
        pgcontrol.resume(path, settings={"logger": "wandb"})
    assert ((path / "manifest.json").read_text(), (path / "config.yaml").read_text()) == before
    assert pgcontrol.evaluate(path, episodes=1).agents


def test_an_unknown_one_is_named_and_the_run_is_the_same_with_any(tmp_path):
    with pytest.raises(InputError, match=r"unknown logger 'wandbb'; did you mean 'wandb'\?"):
        pgcontrol.configure({"env": "Hopper-v5", "logger": "wandbb"})
    assert configure({"env": "Hopper-v5", "logger": "wandb, mlflow"}).logger == ("wandb", "mlflow")
    assert run_of(configure({"env": "Hopper-v5", "logger": "wandb"})) == run_of(configure({"env": "Hopper-v5"}))


def begun_and_resumed(tmp_path: Path, logger: str, **env: str) -> Path:
    """A run in processes of its own, with a resume; the training's output shows nothing of the logger's."""
    pytest.importorskip(logger, reason=f"{logger} is not installed: pip install '.[{logger}]'")
    flags = [word for key, value in TINY.items() if key != "env" for word in (f"--{key}", str(value).lower())]
    for words in (["train", "Reacher-v5", *flags, "--logger", logger, "--run-dir", "run"], ["resume", "run"]):
        words += ["--total-steps", "2048"] if words[0] == "resume" else []
        done = subprocess.run(
            [sys.executable, "-m", "pgcontrol", *words, "--quiet"],
            cwd=tmp_path,
            env=os.environ | env,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    return tmp_path / "run"


@pytest.mark.slow
def test_wandb_offline(tmp_path):
    path = begun_and_resumed(tmp_path, "wandb", WANDB_MODE="offline")
    kept = json.loads((path / "manifest.json").read_text())["loggers"]["wandb"]
    first, second = sorted(path.glob("wandb/offline-run-*"))
    assert first.name.endswith(kept)
    assert second.name.endswith(kept)
    for folder in (first, second):
        written = next(folder.glob("*.wandb")).read_bytes()
        assert all(name.encode() in written for name in pgcontrol.Run.open(path).metrics()[0])


@pytest.mark.slow
def test_mlflow_in_a_file(tmp_path):
    store = f"sqlite:///{tmp_path / 'mlflow.db'}"
    path = begun_and_resumed(tmp_path, "mlflow", MLFLOW_TRACKING_URI=store)
    import mlflow  # pyright: ignore[reportMissingImports]

    client = mlflow.MlflowClient(store)
    (run,) = client.search_runs([client.get_experiment_by_name("pgcontrol").experiment_id])
    assert run.info.run_id == json.loads((path / "manifest.json").read_text())["loggers"]["mlflow"]
    assert run.info.status == "FINISHED"
    assert set(run.data.metrics) == names(path)
    history = {metric.step: metric.value for metric in client.get_metric_history(run.info.run_id, "train/std")}
    assert history == {row["time/total_timesteps"]: row["train/std"] for row in pgcontrol.Run.open(path).metrics()}
    assert run.data.params["algorithm.minibatch"] == "64"


@pytest.mark.slow
def test_an_mlflow_server_that_is_gone_ends_nothing(tmp_path):
    pytest.importorskip("mlflow", reason="mlflow is not installed: pip install '.[mlflow]'")
    words = [
        "train",
        "Reacher-v5",
        "--logger",
        "mlflow",
        "--total-steps",
        "512",
        "--eval-every",
        "0",
        "--run-dir",
        "run",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "pgcontrol", *words, "--quiet"],
        cwd=tmp_path,
        env=os.environ | {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0
    assert done.stderr.count("is off from now on") == 1
