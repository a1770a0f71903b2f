"""Files that were damaged: what is read back is what was written, or one line refuses it by name.

`make faults` damages each kind of file 55 times, 330 in all; the tests 6 times.
"""

import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch

import pgcontrol
from pgcontrol.data.dataset import Dataset
from pgcontrol.data.writer import Episode, Writer
from pgcontrol.machine import tensors
from pgcontrol.options import InputError
from pgcontrol.runs import checkpoint
from pgcontrol.runs.folder import RunFolder
from pgcontrol.runs.log import read_rows
from pgcontrol.sweep import results
from pgcontrol.sweep.sweep import read_sweep
from pgcontrol.tokenizers import files as tokenizer_files
from tests.sweep.worlds import SWEEP, row_of

TIMES = int(os.environ.get("PGCONTROL_FAULTS", "6"))
SHORT = {"env": "Bandit-v0", "total_steps": 512, "num_envs": 4, "rollout_steps": 32, "checkpoint_every": 256}
SHORT |= {"eval_every": 0, "video": False, "compile": "off", "algorithm.minibatch": 64, "algorithm.epochs": 1}


class Kind(NamedTuple):
    """A kind of file.

    Attributes:
        files: those to damage, in a folder that `made` returns.
        read: the content of all of them, comparable; raises InputError.
    """

    files: tuple[str, ...]
    read: Callable[[Path], Any]


def read_checkpoint(where: Path) -> Any:
    loaded, meta = checkpoint.load(where / "run" / "checkpoints" / "step_000000512")
    return {name: tensor.numpy().tobytes() for name, tensor in loaded.items()}, meta


def read_tokenizer(where: Path) -> Any:
    tokenizer = tokenizer_files.load(where / "tokenizer")
    return {k: v.numpy().tobytes() for k, v in tokenizer.state_dict().items()}, tokenizer_files.spec(tokenizer)


def read_dataset(where: Path) -> Any:
    data = Dataset(where / "dataset")
    read = [(e.obs.tobytes(), e.action.tobytes(), e.reward.tobytes(), e[3:]) for e in data.episodes()]
    return read, data.low.tobytes(), data.high.tobytes(), data.env, data.routes()


def read_results(where: Path) -> Any:
    sweep = read_sweep(where / "sweep" / "heads.yaml")
    return [json.dumps(row.line) for row in results.read(sweep).values()]


def read_log(where: Path) -> Any:
    try:
        return [json.dumps(row) for row in read_rows(where / "run" / "metrics.jsonl")]
    except UserWarning as warning:
        raise InputError(str(warning)) from None


def read_folder(where: Path) -> Any:
    folder = RunFolder.open(where / "run")
    if not (manifest := folder.manifest()):
        raise InputError("there is no manifest to read")
    return folder.config(), manifest


STEP = "run/checkpoints/step_000000512"
KINDS = {
    "checkpoint": Kind((f"{STEP}/meta.json", f"{STEP}/tensors.safetensors"), read_checkpoint),
    "tokenizer": Kind(("tokenizer/meta.json", "tokenizer/tensors.safetensors"), read_tokenizer),
    "dataset": Kind(("dataset/metadata.json", "dataset/main_data.hdf5", "dataset/episodes_000000.hdf5"), read_dataset),
    "results": Kind(("sweep/heads.jsonl",), read_results),
    "log": Kind(("run/metrics.jsonl",), read_log),
    "folder": Kind(("run/config.yaml", "run/manifest.json"), read_folder),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A run, a tokenizer, a dataset and the results of a sweep."""
    where = tmp_path_factory.mktemp("made")
    pgcontrol.train(SHORT | {"run_dir": str(where / "run")})
    rng = np.random.default_rng(0)
    low, high = np.full(2, -1, np.float32), np.full(2, 1, np.float32)
    writer = Writer.create(where / "dataset", "Bandit-v0", low, high, 3, {"env": "Bandit-v0"})
    actions = rng.uniform(-1, 1, (4, 5, 2)).astype(np.float32)
    wave = [Episode(rng.normal(size=(6, 3)), action, rng.normal(size=5), False, True) for action in actions]
    writer.add(wave, [{"seed": i, "return": float(i), "route": "left"} for i in range(4)])
    tokenizer = tokenizer_files.make("kmeans", 1, 2, {"codes": 4})
    tokenizer.fit(torch.from_numpy(actions).reshape(-1, 1, 2), 0)
    tokenizer_files.save(where / "tokenizer", tokenizer, {})
    (where / "sweep").mkdir()
    (where / "sweep" / "heads.yaml").write_text(SWEEP)
    sweep = read_sweep(where / "sweep" / "heads.yaml")
    for cell in sweep.cells:
        results.add(sweep, row_of(cell, curves={"steps": [256, 512], "train/std": [0.5, 0.25]}))
    return where


def flip(content: bytes, rng: random.Random) -> bytes:
    at, bit = rng.randrange(len(content)), 1 << rng.randrange(8)
    return content[:at] + bytes([content[at] ^ bit]) + content[at + 1 :]


def cut(content: bytes, rng: random.Random) -> bytes:
    return content[: rng.randrange(len(content))]


def empty(content: bytes, rng: random.Random) -> bytes:
    return b""


HARM = (flip, flip, flip, cut, cut, empty)


@pytest.mark.filterwarnings("error::UserWarning")
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_read_is_what_was_written_or_nothing_is(kind, made, tmp_path):
    names, read = KINDS[kind]
    before, rng, refused = read(made), random.Random(kind), 0
    shutil.copytree(made, tmp_path / "copy")
    for time in range(TIMES):
        file, harm = tmp_path / "copy" / names[time % len(names)], HARM[time % len(HARM)]
        whole = file.read_bytes()
        file.write_bytes(harm(whole, rng))
        try:
            now = read(tmp_path / "copy")
        except InputError:
            refused += 1
        else:  # of lines, those may be missing that were cut off at the end
            kept = set(now) <= set(before) if kind in ("log", "results") else now == before
            assert kept, f"{harm.__name__} of {file.name} changed what is read"
        file.write_bytes(whole)
    assert read(tmp_path / "copy") == before
    assert refused >= TIMES // 2


def test_the_newest_older_checkpoint_that_is_whole_is_named_and_continues(made, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(made / "run", run)
    newest, older = run / "checkpoints" / "step_000000512", run / "checkpoints" / "step_000000256"
    content = (newest / "tensors.safetensors").read_bytes()
    (newest / "tensors.safetensors").write_bytes(flip(content, random.Random(0)))
    with pytest.raises(InputError, match=f"checksum differs; an older checkpoint is intact: pgcontrol resume {older}"):
        pgcontrol.resume(run, 1024)
    assert pgcontrol.resume(older).status == "finished"
    expected, _ = tensors.load(made / STEP)
    found, _ = tensors.load(newest)
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())
    assert len(list((run / "checkpoints").glob("*.aside"))) == 1


def test_a_damaged_manifest_is_kept_under_another_name(made, tmp_path):
    shutil.copytree(made / "run", tmp_path / "run")
    folder = RunFolder.open(tmp_path / "run")
    damaged = flip(folder.manifest_file.read_bytes(), random.Random(0))
    folder.manifest_file.write_bytes(damaged)
    with pytest.warns(UserWarning, match=r"manifest.json is damaged; it is kept as manifest.json.damaged"):
        folder.write_manifest(status="finished")
    assert (folder.path / "manifest.json.damaged").read_bytes() == damaged
    assert folder.manifest() == {"status": "finished"}
