import pytest

from pgcontrol.experiment.sweep import Sweep, read_sweep
from tests.experiment.worlds import SWEEP


@pytest.fixture
def sweep(tmp_path) -> Sweep:
    (tmp_path / "heads.yaml").write_text(SWEEP)
    return read_sweep(tmp_path / "heads.yaml")
