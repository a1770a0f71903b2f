from pathlib import Path

import pytest

from tests.exporting.robots import made


@pytest.fixture(scope="session")
def go1(tmp_path_factory) -> Path:
    """The export of a policy that moves its legs, in the folder of its run."""
    return made("Go1-v0", tmp_path_factory.mktemp("go1"))
