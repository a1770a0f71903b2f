"""One of each other kind of part, as in a user's plug-in."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pgcontrol.critics.mse import MSE
from pgcontrol.heads.gaussian import Gaussian
from pgcontrol.learning.advantages import Estimate, Estimator, Trajectories
from pgcontrol.learning.algorithms import Algorithm
from pgcontrol.learning.score import ScoreAndCritic
from pgcontrol.loggers.base import Logger
from pgcontrol.options import NoOptions, option
from pgcontrol.tokenizers.base import Additive
from pgcontrol.trunks.base import Trunk


class MyGaussian(Gaussian):
    """A Gaussian under another name."""

    name = "my-gaussian"


class MyCritic(MSE):
    """A critic under another name."""

    name = "my-critic"


class MyTrunk(Trunk):
    """ReLU between linear layers."""

    name = "my-trunk"
    Options = NoOptions

    def layers(self, inputs, hidden, options):
        layers: list[nn.Module] = []
        for before, size in zip([inputs, *hidden], hidden, strict=False):
            layers += [nn.Linear(before, size), nn.ReLU()]
        return layers


class MyLogger(Logger):
    """Counts rows in a file of the run folder."""

    name = "my-logger"

    def __init__(self, run):
        self.file, self.rows = run.folder / "rows.txt", 0

    def write(self, steps, row):
        self.rows += 1
        self.file.write_text(f"{self.rows} rows, {steps} steps")


class Corners(Additive):
    """Codes at random corners of the torques' box."""

    name = "corners"

    @dataclass(frozen=True)
    class Options:
        """The options of `corners`."""

        codes: int = option(32, "K: corners", least=2, most=512)
        reach: float = option(0.8, "how far out they are, in half-ranges", above=0, most=1)

    def _fit(self, chunks: Tensor) -> None:
        self.table[0] = self.options.reach * torch.randn_like(self.table[0]).sign()


class Centred(Estimator):
    """The one-step TD error less its mean."""

    def __call__(self, trajectories: Trajectories) -> Estimate:
        target = trajectories.reward + trajectories.discount * trajectories.next_value
        advantage = target - trajectories.value
        return Estimate(advantage - advantage.mean(), target)


CENTRED = Algorithm("centred", "one-step TD errors less their mean", Centred, ScoreAndCritic)
