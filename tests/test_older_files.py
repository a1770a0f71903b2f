"""Files of earlier revisions still load: runs, clones, datasets, tokenizers, sweeps (`fixtures/`)."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import pgcontrol
from pgcontrol.cli import main

FIXTURES = sorted(f for f in (Path(__file__).parent / "fixtures").iterdir() if f.is_dir())
EXPECTED = [(f, name) for f in FIXTURES for name in json.loads((f / "expected.json").read_text())]


def command(*words: object) -> int:
    """Runs a command as a user would type it; returns its exit code."""
    with pytest.raises(SystemExit) as end:
        main([str(w) for w in words])
    return int(end.value.code or 0)


@pytest.fixture(params=FIXTURES, ids=lambda f: f.name)
def old(request, tmp_path, monkeypatch) -> Path:
    """A copy of one revision's files, in the current folder."""
    shutil.copytree(request.param, tmp_path / "old")
    monkeypatch.chdir(tmp_path / "old")
    return tmp_path / "old"


@pytest.mark.parametrize(("fixture", "name"), EXPECTED, ids=lambda x: getattr(x, "name", x))
def test_policies_act_as_they_did(fixture, name):
    policy = pgcontrol.load(fixture / name)
    expected = json.loads((fixture / "expected.json").read_text())[name]
    obs = np.linspace(-1, 1, 4 * policy.obs_size).reshape(4, policy.obs_size)
    np.testing.assert_allclose(policy.predict(obs), expected["mode"], atol=1e-5)
    np.testing.assert_allclose(policy.predict(obs, deterministic=False, seed=1), expected["sampled"], atol=1e-5)


@pytest.mark.parametrize("name", ["run", "tuned"])
def test_a_run_continues(old, name):
    before = pgcontrol.load(old / name).theta.clone()
    steps = json.loads((old / name / "manifest.json").read_text())["steps"]
    assert command("resume", old / name, "--total-steps", 2 * steps, "--quiet") == 0
    assert json.loads((old / name / "manifest.json").read_text())["steps"] == 2 * steps
    assert not (pgcontrol.load(old / name).theta == before).all()


def test_a_run_trains_on_from_a_clone_of_a_dataset(old):
    assert command("clone", old / "dataset", "--steps", 20, "--eval-episodes", 0, "--run-dir", "new", "--quiet") == 0
    start = ["train", "Fork-v0", "--total-steps", 512, "--rollout-steps", 32, "--eval-every", 0, "--video", "false"]
    assert command(*start, "--prior", old / "clone", "--run-dir", "newer", "--quiet") == 0


def test_a_tokenizer_is_learned_with(old):
    flags = ["--head.tokenizer", "rvq", "--head.horizon", 2, "--head.codes", 8, "--head.levels", 2]
    start = ["train", "Fork-v0", "--total-steps", 512, "--rollout-steps", 16, "--eval-every", 0, "--video", "false"]
    end = command(*start, "--head", "token", "--head.source", old / "tokenizer", *flags, "--run-dir", "r", "--quiet")
    assert end == 0


def test_a_sweep_is_reported_and_its_scores_are_reported_as_older(old, capsys):
    """The runs are those of the sweep, but were scored in another way, so they count as missing."""
    sweep = old / "sweep" / "sweep.yaml"
    rows = (old / "sweep" / "sweep.jsonl").read_text()
    assert command("report", sweep) == 0
    assert "from its own start states" in (old / "sweep" / "sweep.md").read_text()
    capsys.readouterr()
    assert command("compare", sweep, "--dry-run") == 0
    out = capsys.readouterr().out
    assert ", 0 of them done" in out
    assert "scored from their own start states" in out
    assert "other settings" not in out
    assert (old / "sweep" / "sweep.jsonl").read_text() == rows
