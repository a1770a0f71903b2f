# mujoco is an extension module without types
# pyright: reportAttributeAccessIssue=false

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import mujoco
import pgcontrol_envs
import pytest
from pgcontrol_envs import task as of_tasks

from pgcontrol.bench import dm_control

INSTALLED = Path(pgcontrol_envs.__file__).parent

# tasks of the dm_control suite that every test run asks: with contacts, with model fields of their own, many joints
SUITE = {"dm:cheetah-run", "dm:finger-spin", "dm:fish-swim", "dm:humanoid-run", "dm:manipulator-bring_ball"}
FEW = {"HalfCheetah-v5", "Hopper-v5", "Reacher-v5"}  # tasks of tests with `v5_slow` that are not slow


@pytest.fixture(scope="session", autouse=True)
def _models_are_compiled_once():
    """The catalogue's model files, which no test changes: the first environment compiles them, others get copies."""
    load, compiled = of_tasks._load, {}

    def once(read: Callable[[str], Any], xml: str, beside: Path) -> Any:
        if read != mujoco.MjModel.from_xml_path or Path(xml).is_absolute() or not beside.is_relative_to(INSTALLED):
            return load(read, xml, beside)
        if (xml, beside) not in compiled:
            compiled[xml, beside] = load(read, xml, beside)
        return copy.copy(compiled[xml, beside])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(of_tasks, "_load", once)
        yield


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    """Gymnasium's own HalfCheetah writes a MUJOCO_LOG.TXT into the current folder."""
    monkeypatch.chdir(tmp_path)


def pytest_generate_tests(metafunc):
    """A law with an argument `task` holds for every task of the catalogue.

    One with `v5` holds for those that copy Gymnasium's, one with `modal` for those with routes. One with `v5_slow`
    takes long, so that it is `v5` with only a few tasks outside `make test-all`. Of the dm_control suite `SUITE` is
    asked; the others are left to `make suite`. One with `suite` holds for tasks of dm_control's benchmark only.
    """
    tasks = pgcontrol_envs.catalog()
    laws = {
        "task": list(tasks),
        "v5": [name for name in tasks if name in gymnasium.registry],
        "v5_slow": [name for name in tasks if name in gymnasium.registry],
        "suite": dm_control.benchmarking(),
        "modal": [name for name, task in tasks.items() if task.routes],
    }
    for argument, names in laws.items():
        if argument in metafunc.fixturenames:
            further = {name for name in names if name.startswith("dm:")} - SUITE
            marks = dict.fromkeys(further, pytest.mark.suite)
            if argument == "v5_slow":
                marks |= dict.fromkeys(set(names) - FEW, pytest.mark.slow)
            metafunc.parametrize(argument, [pytest.param(name, marks=marks.get(name, ())) for name in names])
