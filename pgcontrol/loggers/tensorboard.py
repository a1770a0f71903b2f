"""TensorBoard event files in the run folder."""

from collections.abc import Mapping

from pgcontrol.loggers.base import LoggedRun, Logger


class TensorBoard(Logger):
    """Event files in RUN/tensorboard, written for every run."""

    name = "tensorboard"

    def __init__(self, run: LoggedRun):
        from torch.utils.tensorboard import SummaryWriter

        purge = run.start + 1 if run.start else None
        self._board = SummaryWriter(str(run.folder / "tensorboard"), purge_step=purge)

    def write(self, steps: int, row: Mapping[str, float]) -> None:
        """Log one scalar per metric."""
        for name, value in row.items():
            self._board.add_scalar(name, value, steps)

    def close(self, failed: bool) -> None:
        """Flush the files."""
        self._board.close()
