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
        """Log one scalar per metric, all in one event: an event for each takes ten times as long."""
        from tensorboard.compat.proto.summary_pb2 import Summary  # pyright: ignore[reportAttributeAccessIssue]

        scalars = [Summary.Value(tag=name, simple_value=value) for name, value in row.items()]
        writer = self._board.file_writer
        assert writer is not None  # it is None only after close()
        writer.add_summary(Summary(value=scalars), steps)

    def close(self, failed: bool) -> None:
        """Flush the files."""
        self._board.close()
