"""The Logger contract: a place that shows the metrics of runs."""

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from pgcontrol.options import InputError


class LoggedRun(NamedTuple):
    """What a logger knows about a run when it opens.

    Attributes:
        folder: the run folder.
        settings: every setting, dotted.
        start: the environment step that the run goes on from; 0 for a new one.
        id: the logger's own `id` when the run began; None for a new one.
    """

    folder: Path
    settings: dict[str, Any]
    start: int = 0
    id: str | None = None


class Logger:
    """Shows a run's metrics, under the names that metrics.jsonl has; the x axis is environment steps.

    It may raise whenever it is called: the training warns once and goes on without it.

    Attributes:
        needs: packages, which `pip install 'pgcontrol[NAME]'` brings.
        id: what the run is called there, so that a resumed run goes on under it.
    """

    name: ClassVar[str]
    needs: ClassVar[tuple[str, ...]] = ()
    id: str | None = None

    @classmethod
    def require(cls) -> None:
        """Called before a run makes anything.

        Raises:
            InputError: it cannot work here; one line that says what would help.
        """
        specs = {package: find_spec(package) for package in cls.needs}
        # a folder of that name in the current one has no origin
        if missing := [package for package, spec in specs.items() if spec is None or spec.origin is None]:
            raise InputError(f"logger {cls.name!r} needs {', '.join(missing)}: pip install 'pgcontrol[{cls.name}]'")

    def __init__(self, run: LoggedRun):
        """Open a run, or go on with it."""

    def write(self, steps: int, row: Mapping[str, float]) -> None:
        """One update's metrics, at an environment step; numbers may be NaN or infinite."""
        raise NotImplementedError

    def close(self, failed: bool) -> None:
        """The run has ended or was stopped, or `failed` by an error."""
