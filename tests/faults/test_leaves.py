"""JSON whose values are of another type: one line, never a traceback.

The files are of a revision that wrote no checksums, so that the values are read. `make faults` tries every leaf, the
tests every eighth.
"""

import copy
import functools
import json
import os
import shutil
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import pgcontrol
from pgcontrol.data.dataset import Dataset
from pgcontrol.options import InputError
from pgcontrol.runs.folder import RunFolder
from pgcontrol.sweep import results
from pgcontrol.sweep.sweep import read_sweep
from pgcontrol.tokenizers import files as tokenizer_files
from pgcontrol.training import outcome
from pgcontrol.training.learner import Learner

EVERY = 1 if "PGCONTROL_FAULTS" in os.environ else 16
OLD = Path(__file__).parents[1] / "fixtures" / "2026_11"
OTHERS = (None, True, -1, 1.5, "x", [], {}, [[1]], {"a": {"b": 1}}, 10**400)


def leaves(tree: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths of all leaves of a JSON tree, and of each object and list itself."""
    if path:
        yield path
    for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ():
        yield from leaves(value, (*path, key))


def changed(tree: Any, path: tuple[Any, ...], value: Any) -> Any:
    tree = copy.deepcopy(tree)
    place = tree
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return tree


def policy(where: Path) -> None:
    pgcontrol.load(where)


def run(where: Path) -> None:
    folder = RunFolder.open(where)
    folder.config()
    folder.manifest()
    outcome.read(folder, 0)


@functools.cache
def learner(run: Path) -> Learner:
    return Learner(RunFolder.open(run).config(), compiled=False, fresh=False)


def going_on(where: Path) -> None:
    learner(where.parent.parent).load(where)


def rows(where: Path) -> None:
    results.reported(read_sweep(where / "sweep.yaml"))


FILES: dict[str, Callable[[Path], object]] = {
    "run/checkpoints/step_000008192/meta.json": policy,
    "tuned/checkpoints/step_000002048/meta.json": going_on,
    "run/manifest.json": run,
    "run/metrics.jsonl": run,
    "sweep/sweep.jsonl": rows,
    "clone/manifest.json": lambda where: RunFolder.open(where).settings(),
    "tokenizer/meta.json": tokenizer_files.load,
    "dataset/metadata.json": lambda where: [*Dataset(where).episodes(), Dataset(where).routes(), Dataset(where).env],
}


@pytest.mark.parametrize("name", FILES)
def test_another_type_is_one_line(name, tmp_path):
    root, _, _ = name.partition("/")
    shutil.copytree(OLD / root, tmp_path / root)
    file, read = tmp_path / name, FILES[name]
    where = tmp_path / root if "checkpoints" not in name else file.parent
    text, _, rest = file.read_text().partition("\n") if file.suffix == ".jsonl" else (file.read_text(), "", "")
    whole = json.loads(text)
    for number, path in enumerate(leaves(whole)):
        if number % EVERY:
            continue
        for value in OTHERS[number % 3 :: 3]:
            file.write_text(json.dumps(changed(whole, path, value)) + "\n" + rest)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    read(where)
                except Exception as error:
                    one_line = isinstance(error, InputError) and "\n" not in str(error)
                    assert one_line, f"{path} = {value!r}: {type(error).__name__}: {error}"  # noqa: PT017
