"""Cart-pole: a pole on a cart that slides along a rail (Barto, Sutton, Anderson 1983; from the suite)."""

from math import pi

from pgcontrol_envs.arrays import Array, join
from pgcontrol_envs.suite.base import XZ, ZZ, SuiteTask
from pgcontrol_envs.suite.tolerance import small, tolerance
from pgcontrol_envs.task import Camera, Physics, Streams


class SuiteCartpole(SuiteTask):
    """Keep the pole up and the cart in the middle."""

    xml = "cartpole.xml"
    frame_skip = 1
    derived = ("xmat",)
    camera = Camera(distance=4.0, elevation=-5.0, lookat=(0.0, 0.0, 1.0))

    def bind(self, physics: Physics) -> None:
        """Keep views of the cart's position, the pole's cosine and sine, velocities and control."""
        pole = physics.bind("xmat")[:, self.body("pole_1")]
        self.place, self.upright = physics.qpos[:, 0], pole[:, ZZ]
        self.velocity, self.control = physics.qvel, physics.ctrl
        self.seen = physics.qpos[:, :1], pole[:, ZZ : ZZ + 1], pole[:, XZ : XZ + 1], self.velocity

    def start(self, physics: Physics, ids: Array, rng: Streams) -> None:
        """The cart near the middle, the pole almost upright."""
        physics.qpos[ids, 0] = rng.uniform(-0.1, 0.1, 1)[:, 0]
        physics.qpos[ids, 1] = rng.uniform(-0.034, 0.034, 1)[:, 0]
        physics.qvel[ids] = 0.01 * rng.normal(2)

    def observe(self) -> Array:
        """Position, cosine and sine of the pole, velocities [N, 5]."""
        return join(*self.seen)

    def score(self) -> Array:
        """High if the pole is up and slow, the cart in the middle and the controls small."""
        centred = (1 + tolerance(self.place, margin=2)) / 2
        slow = (1 + tolerance(self.velocity[:, 1], margin=5)) / 2
        return (self.upright + 1) / 2 * small(self.control) * slow * centred


class SparseCartpole(SuiteCartpole):
    """1 if the pole is up and the cart in the middle, else 0."""

    def score(self) -> Array:
        """1 within 0.25 m and 5.7 degrees, else 0."""
        return tolerance(self.place, -0.25, 0.25) * tolerance(self.upright, 0.995, 1)


class HangingCartpole(SuiteCartpole):
    """Starts with the pole hanging down."""

    def start(self, physics: Physics, ids: Array, rng: Streams) -> None:
        """The cart in the middle, the pole down."""
        drawn = 0.01 * rng.normal(4)
        physics.qpos[ids, 0], physics.qpos[ids, 1], physics.qvel[ids] = drawn[:, 0], pi + drawn[:, 1], drawn[:, 2:]


class CartpoleBalance(SuiteCartpole):
    """Keep a pole on a cart upright. Observes [N, 5]."""

    id = "dm:cartpole-balance"


class CartpoleBalanceSparse(SparseCartpole):
    """Keep a pole on a cart upright; sparse reward. Observes [N, 5]."""

    id = "dm:cartpole-balance_sparse"


class CartpoleSwingup(HangingCartpole):
    """Swing a pole on a cart up and keep it there. Observes [N, 5]."""

    id = "dm:cartpole-swingup"


class CartpoleSwingupSparse(HangingCartpole, SparseCartpole):
    """Swing a pole on a cart up and keep it there; sparse reward. Observes [N, 5]."""

    id = "dm:cartpole-swingup_sparse"
