"""The base class of loggers: services and files that show the metrics of runs."""

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from pgcontrol.options import InputError


class LoggedRun(NamedTuple):
    """What a logger gets to know about a run.

    Attributes:
        folder: the run folder.
        settings: all settings, with dotted names.
        start: the environment step from which the run continues; 0 for a new run.
        id: the logger's own `id` from the run's first session; None for a new run.
    """

    folder: Path
    settings: dict[str, Any]
    start: int = 0
    id: str | None = None


class Logger:
    """Shows a run's metrics with the names in metrics.jsonl; the x axis is environment steps.

    Every method may raise: then the training warns once and continues without the logger.

    Attributes:
        needs: required packages, installed by `pip install 'pgcontrol[NAME]'`.
        id: the service's id of the run, so that a resumed run continues under the same id.
    """

    name: ClassVar[str]
    needs: ClassVar[tuple[str, ...]] = ()
    id: str | None = None

    @classmethod
    def require(cls) -> None:
        """Called before a run creates anything.

        Raises:
            InputError: it cannot work here; one line says what to do.
        """
        specs = {package: find_spec(package) for package in cls.needs}
        # a folder with that name in the current one has no origin
        if missing := [package for package, spec in specs.items() if spec is None or spec.origin is None]:
            raise InputError(f"logger {cls.name!r} needs {', '.join(missing)}: pip install 'pgcontrol[{cls.name}]'")

    def __init__(self, run: LoggedRun):
        """Open a new run, or continue one."""

    def write(self, steps: int, row: Mapping[str, float]) -> None:
        """Log one update's metrics at an environment step; numbers may be NaN or infinite."""
        raise NotImplementedError

    def close(self, failed: bool) -> None:
        """The run has ended or was stopped; `failed`: because of an error."""
