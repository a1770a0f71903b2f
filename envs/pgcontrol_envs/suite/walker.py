"""Walker: a planar two-legged walker (Lillicrap et al. 2015; from the suite)."""

from math import inf

from pgcontrol_envs.arrays import Array, join
from pgcontrol_envs.suite.base import XX, XZ, ZZ, SuiteTask, random_joints
from pgcontrol_envs.suite.tolerance import tolerance
from pgcontrol_envs.task import Camera, Physics, Streams


class SuiteWalker(SuiteTask):
    """Stand upright, and move at `pace`.

    Attributes:
        pace: the speed for the full reward, m/s; 0: any speed.
    """

    xml = "walker.xml"
    frame_skip = 10
    derived = ("sensordata", "xmat", "xpos")
    pace = 0.0
    camera = Camera(track="torso", distance=4.0, elevation=-10.0)

    def bind(self, physics: Physics) -> None:
        """Keep views of all bodies' attitudes, the torso's height and uprightness, velocities, and the speed."""
        attitudes, torso = physics.bind("xmat"), self.body("torso")
        self.attitudes = attitudes[:, 1:, XX : XZ + 1 : XZ - XX]
        self.heights = physics.bind("xpos")[:, torso, 2:]
        self.height, self.upright = self.heights[:, 0], attitudes[:, torso, ZZ]
        self.velocity, self.speed = physics.qvel, physics.bind("sensordata")[:, self.sensors("torso_subtreelinvel")[0]]

    def start(self, physics: Physics, ids: Array, rng: Streams) -> None:
        """Random posture and angle; the body falls."""
        random_joints(self.model, physics, ids, rng)

    def observe(self) -> Array:
        """Cosine and sine of each body's tilt, height, velocities [N, 24]."""
        return join(self.attitudes.reshape(len(self.height), -1), self.heights, self.velocity)

    def score(self) -> Array:
        """High for standing upright at `pace`."""
        standing = tolerance(self.height, 1.2, inf, 0.6)
        standing = (3 * standing + (1 + self.upright) / 2) / 4
        if not self.pace:
            return standing
        return standing * (5 * tolerance(self.speed, self.pace, inf, self.pace / 2, "linear", 0.5) + 1) / 6


class WalkerStand(SuiteWalker):
    """Stand on two legs. Observes [N, 24]."""

    id = "dm:walker-stand"


class WalkerWalk(SuiteWalker):
    """Walk on two legs, at 1 m/s. Observes [N, 24]."""

    id = "dm:walker-walk"
    pace = 1.0


class WalkerRun(SuiteWalker):
    """Run on two legs, at 8 m/s. Observes [N, 24]."""

    id = "dm:walker-run"
    pace = 8.0
