"""`pgcontrol tokenize`: a folder from a run or a dataset, one-line errors, and training with it."""

import numpy as np
import pytest
import torch

import pgcontrol
from pgcontrol.data.actions import of_file, of_run
from pgcontrol.laws.tokenizers import gaits
from pgcontrol.tokenizers import files
from tests.test_cli import run
from tests.training.test_train import small


@pytest.fixture
def dataset(tmp_path):
    file = tmp_path / "data.npz"
    np.savez(file, actions=gaits()[:, 0].numpy(), ends=np.arange(200) % 50 == 49)
    return file


def test_a_dataset_becomes_a_folder_that_trains(capsys, tmp_path, dataset):
    out = tmp_path / "tokens"
    words = ("--kind", "rvq", "--codes", "8", "--levels", "2", "--horizon", "2")
    code, said, _ = run(capsys, "tokenize", str(dataset), *words, "--out", str(out))
    assert code == 0
    # 160 actions to fit: 3 whole episodes of 50 give 49 pairs each, and 10 actions of the fourth give 9
    assert "156 chunks of 2" in said
    assert "2 codes with 8 values: 3.00 bits per action" in said
    assert "half-ranges (root mean square, held out)" in said
    command = next(line for line in said.splitlines() if line.startswith("pgcontrol train"))
    settings = dict(zip(command.split()[3::2], command.split()[4::2], strict=True))
    run_ = pgcontrol.train(
        small(run_dir=str(tmp_path / "run"), total_steps=512, **{k.removeprefix("--"): v for k, v in settings.items()})
    )
    assert torch.equal(run_.policy().head.get_buffer("tokenizer.table"), files.load(out).get_buffer("table"))


def test_a_run_becomes_a_folder(capsys, tmp_path):
    trained = pgcontrol.train(small(run_dir=str(tmp_path / "run"), total_steps=256))
    out = tmp_path / "tokens"
    words = ("tokenize", str(trained.path), "--out", str(out), "--steps", "800", "--seed", "7", "--codes", "8")
    code, said, _ = run(capsys, *words)
    assert code == 0
    assert "640 chunks of 1" in said
    assert "1 code with 8 values: 3.00 bits per action" in said
    assert "seed 7" in said
    assert files.load(out).name == "kmeans"
    code, _, error = run(capsys, *words)
    assert code == 2
    assert "exists already" in error


def test_actions_of_a_run_are_its_policys(tmp_path):
    """Sampled actions follow the seed; chunks are returned step by step."""
    trained = pgcontrol.train(
        small(run_dir=str(tmp_path / "run"), total_steps=256, head="token", **{"head.horizon": 4, "head.codes": 16})
    )
    actions = of_run(trained.path, 640, seed=1)
    assert actions.unit.shape == (40, 16, 3)
    assert actions.unit.abs().max() <= 1
    assert torch.equal(actions.unit, of_run(trained.path, 640, seed=1).unit)
    assert not torch.equal(actions.unit, of_run(trained.path, 640, seed=2).unit)
    held = actions.unit.unflatten(0, (10, 4))
    assert torch.equal(held[:, 0], held[:, 3])  # the warm-up holds a choice for its four steps


def test_bounds_of_a_dataset_are_normalised_away(tmp_path):
    np.savez(tmp_path / "d.npz", actions=[[0.0, 10.0], [2.0, 30.0], [1.0, 20.0]], low=[0.0, 10.0], high=[2.0, 30.0])
    assert of_file(tmp_path / "d.npz").unit.squeeze(1).tolist() == [[-1, -1], [1, 1], [0, 0]]


@pytest.mark.parametrize(
    ("arrays", "line"),
    [
        ({"obs": np.zeros(3)}, "no array `actions`; the file has obs"),
        ({"actions": np.zeros(3)}, "`actions` has shape (3,): must be [M, joints]"),
        ({"actions": np.array([["a"]])}, "`actions` must be numbers"),
        ({"actions": np.full((9, 2), 3.0)}, "must be finite and within [-1, 1]"),
        ({"actions": np.full((9, 2), np.nan)}, "must be finite and within [-1, 1]"),
        ({"actions": np.zeros((9, 2)), "ends": np.zeros(4)}, "`ends` must be numbers of shape (9,)"),
        ({"actions": np.zeros((9, 2)), "low": np.ones(2)}, "`low` must be less than `high`"),
        ({"actions": np.array([None, 1], dtype=object)}, "not an .npz file of arrays"),
    ],
)
def test_bad_datasets_get_one_line(arrays, line, capsys, tmp_path):
    np.savez(tmp_path / "d.npz", **arrays)
    code, out, error = run(capsys, "tokenize", str(tmp_path / "d.npz"), "--out", str(tmp_path / "o"))
    assert code == 2
    assert line in error
    assert error.count("\n") == 1
    assert out == ""
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("nowhere --out o", "nowhere: no such run or checkpoint folder"),
        ("text.npz --out o", "text.npz: not an .npz file of arrays"),
        ("data.npz --out o --kind rqv", "unknown tokenizer 'rqv'; did you mean 'rvq'?"),
        ("data.npz --out o --codes 1", "codes = 1: must be at least 2"),
        ("data.npz --out o --levels 2", "unknown setting 'levels'; expected one of: codes"),
        ("data.npz --out o --horizon 60", "horizon = 60: too long; there are at most"),
        ("data.npz --out o --horizon 0", "--horizon = 0: must be at least 1"),
        ("data.npz", "tokenize needs --out DIR"),
    ],
)
def test_bad_words_get_one_line(words, line, capsys, tmp_path, monkeypatch, dataset):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.npz").write_text("no arrays")
    code, _, error = run(capsys, "tokenize", *words.split())
    assert code == 2
    assert error.startswith(f"pgcontrol: {line}"), error
    assert error.count("\n") == 1
    assert not (tmp_path / "o").exists()
