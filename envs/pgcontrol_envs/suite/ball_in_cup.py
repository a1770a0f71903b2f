"""Ball in cup: a cup that moves in a plane, and a ball on a string below it (from the suite)."""

from pgcontrol_envs.arrays import Array, join
from pgcontrol_envs.suite.base import SuiteTask, until_apart
from pgcontrol_envs.task import Camera, Physics, Streams


class BallInCupCatch(SuiteTask):
    """Catch a ball on a string in a cup; sparse reward. Observes [N, 8]."""

    id = "dm:ball_in_cup-catch"
    xml = "ball_in_cup.xml"
    frame_skip = 10
    derived = ("site_xpos", "xpos", "ncon")
    camera = Camera(distance=1.2, elevation=-20.0, lookat=(0.0, 0.0, 0.3))

    def bind(self, physics: Physics) -> None:
        """Also keeps views of the positions of ball and target, and the distance at which the ball is caught."""
        super().bind(physics)
        target, ball = self.model.site("target"), self.model.geom("ball")
        self.target = physics.bind("site_xpos")[:, target.id, ::2]
        self.ball = physics.bind("xpos")[:, self.body("ball"), ::2]
        self.room = physics.array(target.size[::2] - ball.size[0])

    def start(self, physics: Physics, ids: Array, rng: Streams) -> None:
        """The ball in a box above the ground, without contacts."""
        x, z = self.positions("ball_x", "ball_z")

        def draw(ids: Array, rng: Streams) -> None:
            physics.qpos[ids, x] = rng.uniform(-0.2, 0.2, 1)[:, 0]
            physics.qpos[ids, z] = rng.uniform(0.2, 0.5, 1)[:, 0]

        until_apart(physics, ids, rng, draw)

    def observe(self) -> Array:
        """Positions, velocities [N, 8]."""
        return join(self.posture, self.velocity)

    def score(self) -> Array:
        """1 if the ball is in the cup, else 0."""
        return 1.0 * (abs(self.target - self.ball) < self.room).all(-1)
