"""Files of others: pipes in their place, sizes that are not true, archives without an end; and what we leave.

Opening one is a line, at once and without the memory that it asks for.
"""

import io
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import zipfile
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch

import pgcontrol
from pgcontrol.data import actions
from pgcontrol.data.dataset import Dataset
from pgcontrol.exporting.export import export
from pgcontrol.machine import files, memory
from pgcontrol.machine import tensors as tensor_files
from pgcontrol.options import InputError
from pgcontrol.rendering.recording import Recording
from pgcontrol.runs.folder import RunFolder
from pgcontrol.runs.log import read_rows
from pgcontrol.sweep import results
from pgcontrol.sweep.sweep import read_sweep
from pgcontrol.tokenizers import files as tokenizer_files
from tests.faults.test_leaves import OLD

STEP = "run/checkpoints/step_000008192"
READERS = {
    f"{STEP}/meta.json": lambda root: pgcontrol.load(root / STEP),
    f"{STEP}/tensors.safetensors": lambda root: pgcontrol.load(root / STEP),
    "run/config.yaml": lambda root: RunFolder.open(root / "run").settings(),
    "run/metrics.jsonl": lambda root: read_rows(root / "run" / "metrics.jsonl"),
    "tokenizer/meta.json": lambda root: tokenizer_files.load(root / "tokenizer"),
    "tokenizer/tensors.safetensors": lambda root: tokenizer_files.load(root / "tokenizer"),
    "dataset/metadata.json": lambda root: Dataset(root / "dataset"),
    "dataset/main_data.hdf5": lambda root: [*Dataset(root / "dataset").episodes()],
    "sweep/sweep.jsonl": lambda root: results.reported(read_sweep(root / "sweep" / "sweep.yaml")),
    "sweep/sweep.yaml": lambda root: read_sweep(root / "sweep" / "sweep.yaml"),
}


@contextmanager
def at_once(seconds=20):
    """A process that waits for a pipe is woken and fails."""

    def late(*_):
        raise TimeoutError("it waits")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("name", READERS)
def test_a_pipe_is_refused(name, tmp_path):
    root, _, _ = name.partition("/")
    shutil.copytree(OLD / root, tmp_path / root)
    READERS[name](tmp_path)  # as it is, it is read
    (tmp_path / name).unlink()
    os.mkfifo(tmp_path / name)
    with at_once(), pytest.raises(InputError) as refused:
        READERS[name](tmp_path)
    assert "\n" not in str(refused.value)
    assert any(words in str(refused.value) for words in ("a pipe or a device, not a file", "is not a file"))


def test_a_pipe_in_place_of_a_manifest_is_no_manifest(tmp_path):
    shutil.copytree(OLD / "run", tmp_path / "run")
    (tmp_path / "run" / "manifest.json").unlink()
    os.mkfifo(tmp_path / "run" / "manifest.json")
    with at_once():
        assert RunFolder.open(tmp_path / "run").manifest() == {}


def test_pipes_in_place_of_recordings_and_actions(tmp_path):
    os.mkfifo(tmp_path / "a.npz")
    with at_once(), pytest.raises(InputError, match="pipe or a device"):
        actions.of(tmp_path / "a.npz", 10)
    with at_once(), pytest.raises(ValueError, match="pipe or a device"):
        Recording.load(tmp_path / "a.npz")


@contextmanager
def little_memory(more=2**30):
    """The limit of address space is one gigabyte above its present use."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + more, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def lying(shape: str) -> bytes:
    """A .npy file of 8 numbers with another shape in its header."""
    np.save(content := io.BytesIO(), np.zeros(8))
    return content.getvalue().replace(b"(8,), }" + b" " * (len(shape) - 4), f"{shape}, }}".encode())


@pytest.mark.parametrize("shape", ["(1000000000000,)", "(10, 1000000000000)", "(9,)"])
def test_arrays_of_another_size_than_they_say(shape, tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("actions.npy", lying(shape))
    with (
        little_memory(),
        pytest.raises(InputError, match=r"a\.npz: not an \.npz file of arrays: .* bytes, but contains 64"),
    ):
        actions.of_file(tmp_path / "a.npz")
    with little_memory(), pytest.raises(ValueError, match="but contains 64"):
        Recording.load(tmp_path / "a.npz")


def test_an_archive_that_unpacks_to_more_than_fits(tmp_path, monkeypatch):
    np.savez_compressed(tmp_path / "a.npz", actions=np.zeros((10**6, 2)))
    assert (tmp_path / "a.npz").stat().st_size < 50_000
    monkeypatch.setattr(memory, "available", lambda: 10e6)
    with pytest.raises(InputError, match="GB, more than the free memory"):
        actions.of_file(tmp_path / "a.npz")
    monkeypatch.setattr(memory, "available", lambda: 1e9)
    assert actions.of_file(tmp_path / "a.npz").unit.shape == (10**6, 1, 2)


def test_an_episode_of_more_than_is_stored(tmp_path):
    import h5py

    shutil.copytree(OLD / "dataset", tmp_path / "dataset")
    with h5py.File(tmp_path / "dataset" / "main_data.hdf5", "r+") as file:
        file["episode_0/rewards"].resize((10**11,))  # pyright: ignore[reportAttributeAccessIssue]
    data = Dataset(tmp_path / "dataset")
    with little_memory(), pytest.raises(InputError, match=r"rewards of episode 0 has shape .*, of which .* are stored"):
        list(data.episodes())


@pytest.mark.parametrize("hidden", [[60_000, 60_000], [9] * 10_000, [10**12]])
def test_a_checkpoint_of_more_weights_than_it_holds(hidden, tmp_path):
    shutil.copytree(OLD / STEP, tmp_path / "step_1")
    meta = json.loads((tmp_path / "step_1" / "meta.json").read_text())
    meta["policy"] |= {"hidden": hidden}
    (tmp_path / "step_1" / "meta.json").write_text(json.dumps(meta))
    with little_memory(), pytest.raises(InputError, match="but all tensors together have"):
        pgcontrol.load(tmp_path / "step_1")


@pytest.mark.parametrize("said", [{"horizon": 10**9}, {"joints": 10**9}, {"horizon": -1}, {"codes": 10**9}])
def test_a_tokenizer_of_a_size_that_none_has(said, tmp_path):
    shutil.copytree(OLD / "tokenizer", tmp_path / "tokenizer")
    meta = json.loads((tmp_path / "tokenizer" / "meta.json").read_text())
    meta["tokenizer"] |= said
    (tmp_path / "tokenizer" / "meta.json").write_text(json.dumps(meta))
    (name,) = said
    with little_memory(), pytest.raises(InputError, match=f"{name} = "):
        tokenizer_files.load(tmp_path / "tokenizer")


def test_tensors_that_say_another_shape(tmp_path):
    """The library compares sizes with the file; this test notices if it no longer does."""
    tensor_files.save(tmp_path / "one", {"a": torch.zeros(4)}, {})
    meta = json.loads((tmp_path / "one" / "meta.json").read_text())
    for name in ("checksums", "checksum"):
        meta.pop(name, None)
    (tmp_path / "one" / "meta.json").write_text(json.dumps(meta | {"schema": tensor_files.UNSEALED}))
    file = tmp_path / "one" / "tensors.safetensors"
    content = file.read_bytes()
    assert b'"shape":[4]' in content
    file.write_bytes(content.replace(b'"shape":[4]', b'"shape":[9]'))
    with pytest.raises(InputError, match="damaged"):
        tensor_files.load(tmp_path / "one")


def made(where: Path, umask: int) -> None:
    """A run, its export, a dataset, a clone, a tokenizer, results and a report, under a umask."""
    small = {"env": "Reacher-v5", "num_envs": 4, "rollout_steps": 64, "total_steps": 512, "threads": 1}
    small |= {
        "hidden": (8,),
        "algorithm.minibatch": 128,
        "checkpoint_every": 256,
        "eval_every": 512,
        "eval_episodes": 1,
    }
    before = os.umask(umask)
    try:
        where.mkdir()
        pgcontrol.train(small | {"run_dir": str(where / "run")})
        export(where / "run", where / "out" / "policy.onnx")
        pgcontrol.record(str(where / "run"), where / "dataset", episodes=3)
        pgcontrol.tokenize(where / "dataset", where / "tokenizer", codes=4)
        shutil.copyfile(OLD / "sweep" / "sweep.yaml", where / "sweep.yaml")
        (where / "sweep.jsonl").write_bytes((OLD / "sweep" / "sweep.jsonl").read_bytes())
        pgcontrol.report(where / "sweep.yaml")
    finally:
        os.umask(before)


@pytest.mark.slow
@pytest.mark.parametrize("umask", [0o022, 0o027])
def test_files_have_the_modes_that_the_umask_says(umask, tmp_path):
    made(tmp_path / "all", umask)
    everything = [*(tmp_path / "all").rglob("*")]
    kinds = {file.suffix for file in everything if file.is_file()}
    assert {".json", ".jsonl", ".yaml", ".safetensors", ".onnx", ".hdf5", ".html", ".npz"} - kinds <= {".npz"}
    assert kinds & {".npz", ".mp4"}
    wrong = {
        str(file.relative_to(tmp_path)): oct(file.stat().st_mode & 0o777)
        for file in everything
        if file.stat().st_mode & 0o777 != (0o777 if file.is_dir() else 0o666) & ~umask
    }
    assert wrong == {}


GONE = 99_999_999  # no process
LEFT = (
    f".step_000000009.npz.{GONE}",
    f".step_000000512.{GONE}.part.mp4",
    f".manifest.json.{GONE}",
    f".config.yaml.{GONE}",
)


def left_in(run: Path) -> list[str]:
    """Files that no finished run has: drafts of files, folders and clips, and recordings."""
    return [
        str(file.relative_to(run))
        for file in run.rglob("*")
        if file.name.startswith(".") or file.suffix in (".npz", ".part") or ".part." in file.name
    ]


@pytest.mark.slow
def test_what_a_killed_run_leaves_goes_with_its_resume(tmp_path):
    """Drafts of every kind by a process that has ended."""
    command = [sys.executable, "-m", "pgcontrol"]
    run = tmp_path / "run"
    first = pgcontrol.train(
        {"env": "Reacher-v5", "num_envs": 4, "rollout_steps": 64, "total_steps": 1024, "hidden": (8,), "threads": 1}
        | {"algorithm.minibatch": 128, "eval_every": 512, "eval_episodes": 1, "checkpoint_every": 256}
        | {"run_dir": str(run), "video_seconds": 0.2},
        on_update=lambda row: row["time/total_timesteps"] >= 768,
    )
    assert first.status == "stopped"
    for name in LEFT[:2]:
        (run / "videos" / name).write_bytes(b"x")
    for name in LEFT[2:]:
        (run / name).write_bytes(b"x")
    for name in (".step_000000512.99999999", ".step_000000512.old"):
        (run / "checkpoints" / name).mkdir()
        (run / "checkpoints" / name / "tensors.safetensors").write_bytes(b"x")
    assert len(left_in(run)) >= len(LEFT) + 2
    subprocess.run([*command, "resume", str(run), "--quiet"], check=True, timeout=200)
    if left_in(run):  # clips that came too late
        subprocess.run([*command, "video", str(run), "--pending"], check=True, timeout=200)
    assert left_in(run) == []
    assert files.read_json(run / "manifest.json")["status"] == "finished"
