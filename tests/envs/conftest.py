import pgcontrol_envs
import pytest


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    """Gymnasium's own HalfCheetah writes a MUJOCO_LOG.TXT into the current folder."""
    monkeypatch.chdir(tmp_path)


def pytest_generate_tests(metafunc):
    """A law with an argument `task` holds for every task of the catalogue."""
    if "task" in metafunc.fixturenames:
        metafunc.parametrize("task", list(pgcontrol_envs.catalog()))
