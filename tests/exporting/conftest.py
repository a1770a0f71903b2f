import copy
import functools
from collections.abc import Iterator
from pathlib import Path

import pytest
from torch.onnx._internal.exporter._registration import ONNXRegistry

from tests.exporting.robots import made


@pytest.fixture(scope="session", autouse=True)
def _torchs_operations_are_read_once() -> Iterator[None]:
    """torch parses the source of all its operations in ONNX for each export, a third of the export's time.

    A process of a user exports once; here every export after the first gets a copy of the first one's table.
    """
    read = functools.cache(ONNXRegistry.from_torchlib)

    def table(*args, **kwargs) -> ONNXRegistry:
        registry = copy.copy(read(*args, **kwargs))
        registry.functions = {target: [*found] for target, found in registry.functions.items()}
        return registry

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ONNXRegistry, "from_torchlib", staticmethod(table))
        yield


@pytest.fixture(scope="session")
def go1(tmp_path_factory) -> Path:
    """The export of a policy that moves its legs, in the folder of its run."""
    return made("Go1-v0", tmp_path_factory.mktemp("go1"))
