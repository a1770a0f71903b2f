"""MLflow. Its environment variables configure it: MLFLOW_TRACKING_URI, MLFLOW_EXPERIMENT_NAME, ..."""

# an optional dependency
# pyright: reportMissingImports=false

import logging
import os
import time
from collections.abc import Mapping

from pgcontrol.loggers.base import LoggedRun, Logger

# give up an unreachable server after seconds, not after MLflow's many minutes, because the training waits
PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "10"}


class MLflow(Logger):
    """A run on MLflow, in the experiment MLFLOW_EXPERIMENT_NAME (default: `pgcontrol`)."""

    name = "mlflow"
    needs = ("mlflow",)

    def __init__(self, run: LoggedRun):
        for variable, value in PATIENCE.items():
            os.environ.setdefault(variable, value)
        from mlflow import MlflowClient
        from mlflow.entities import Param

        logging.getLogger("mlflow").setLevel(logging.WARNING)  # it logs every table it creates
        self._client = MlflowClient()
        self.id = run.id
        if self.id is None:
            name = os.environ.get("MLFLOW_EXPERIMENT_NAME", "pgcontrol")
            found = self._client.get_experiment_by_name(name)
            experiment = found.experiment_id if found else self._client.create_experiment(name)
            self.id = str(self._client.create_run(experiment, run_name=run.folder.name).info.run_id)
            self._client.log_batch(self.id, params=[Param(key, str(value)) for key, value in run.settings.items()])
        else:
            self._client.update_run(self.id, status="RUNNING")

    def write(self, steps: int, row: Mapping[str, float]) -> None:
        """Log one point per metric."""
        from mlflow.entities import Metric

        now = int(1000 * time.time())
        metrics = [Metric(name, float(value), now, steps) for name, value in row.items()]
        self._client.log_batch(self.id, metrics=metrics)

    def close(self, failed: bool) -> None:
        """Mark the run as ended; it can be continued later."""
        self._client.set_terminated(self.id, "FAILED" if failed else "FINISHED")
