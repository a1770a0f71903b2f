import pytest

from pgcontrol.sweep.sweep import Sweep, read_sweep
from tests.sweep.worlds import SWEEP


@pytest.fixture
def sweep(tmp_path) -> Sweep:
    (tmp_path / "heads.yaml").write_text(SWEEP)
    return read_sweep(tmp_path / "heads.yaml")
