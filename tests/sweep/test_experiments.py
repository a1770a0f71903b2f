"""The sweeps of this repository."""

from pathlib import Path

import pytest
import yaml

from pgcontrol.sweep.sweep import read_sweep

FILES = sorted((Path(__file__).parents[2] / "experiments").glob("*.yaml"))
SWEEPS = [file for file in FILES if not file.name.endswith(".found.yaml")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The sweeps without settings from other searches, which may not have been made yet."""
    found = tmp_path_factory.mktemp("experiments")
    for path in SWEEPS:
        tree = yaml.safe_load(path.read_text())
        if isinstance(asked := tree.get("search"), str) or "of" in (asked or {}):
            del tree["search"]
        (found / path.name).write_text(yaml.safe_dump(tree, sort_keys=False))
    return found


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)
def test_every_sweep_can_be_read(path, folder):
    """With all its settings, unless it needs a plug-in."""
    assert read_sweep(folder / path.name, checked="--plugin" not in path.read_text()).cells


def test_there_are_sweeps():
    assert len(SWEEPS) > 20
