"""What the suite's tasks share: dm_control's order of integration, its random streams, and how it starts episodes."""
# mujoco is an extension module without types
# pyright: reportAttributeAccessIssue=false

from abc import abstractmethod
from collections.abc import Callable, Sequence
from math import pi
from pathlib import Path

import mujoco
import numpy as np

from pgcontrol_envs.arrays import Array
from pgcontrol_envs.random_streams import LegacyStreams
from pgcontrol_envs.task import Physics, Streams, Task, Terms, load_model, load_spec

ASSETS = Path(__file__).parent / "assets"
# places in a row of 9, an attitude's 3 x 3 matrix: XZ is the share along x of the body's z axis
XX, XZ, ZX, ZZ = 0, 2, 6, 8


class SuiteTask(Task):
    """A task of the suite: 1,000 steps, a reward in [0, 1], and no end before the time limit."""

    stage = "vel"
    streams = LegacyStreams

    def make_model(self) -> mujoco.MjModel:
        """The model of `xml`, in the suite's folder."""
        return load_model(self.xml, ASSETS)

    def make_spec(self) -> mujoco.MjSpec:
        """The same, to be edited."""
        return load_spec(self.xml, ASSETS)

    def geom(self, name: str) -> int:
        """The model's number of a geom."""
        return self.model.geom(name).id

    def site(self, name: str) -> int:
        """The model's number of a site."""
        return self.model.site(name).id

    def sensors(self, *names: str) -> list[int]:
        """The columns of sensordata that sensors of these names fill."""
        found = [self.model.sensor(name) for name in names]
        return [column for sensor in found for column in range(sensor.adr[0], sensor.adr[0] + sensor.dim[0])]

    def positions(self, *joints: str) -> list[int]:
        """The columns of qpos of hinges and slides."""
        return [int(self.model.joint(name).qposadr[0]) for name in joints]

    def velocities(self, *joints: str) -> list[int]:
        """The columns of qvel of hinges and slides."""
        return [int(self.model.joint(name).dofadr[0]) for name in joints]

    def reset(self, physics: Physics, ids: Array, rng: Streams) -> None:
        """As dm_control resets: derived fields at the model's defaults, with which its solver starts; then start()."""
        physics.forward(ids)
        self.start(physics, ids, rng)

    @abstractmethod
    def start(self, physics: Physics, ids: Array, rng: Streams) -> None:
        """Put the envs ids [n], which are at the model's defaults, where episodes start."""

    @abstractmethod
    def score(self) -> Array:
        """The reward [N] in the present state."""

    def reward(self, action: Array, before: Array, terminated: Array) -> tuple[Array, Terms]:
        """The score, which is a product and has no terms."""
        score = self.score()
        return score, {"reward_task": score}


def random_joints(model: mujoco.MjModel, physics: Physics, ids: Array, rng: Streams) -> None:
    """Draw hinges and slides in their ranges, hinges without one in ±π, and the attitude of a free body that is first.

    Slides without a range, and the place of a free body, stay.
    """
    hinges, free = model.jnt_type == mujoco.mjtJoint.mjJNT_HINGE, model.jnt_type == mujoco.mjtJoint.mjJNT_FREE
    if free[0]:
        physics.qpos[ids, 3:7] = unit(rng.uniform(0, 1, 4))  # not evenly over attitudes, but as the suite does it
    limited = (model.jnt_limited == 1) & ~free
    low, high = np.where(limited[:, None], model.jnt_range, [-pi, pi]).T
    drawn = (limited | hinges).nonzero()[0]
    physics.qpos[ids[:, None], model.jnt_qposadr[drawn]] = rng.uniform(low[drawn], high[drawn], len(drawn))


def unit(vectors: Array) -> Array:
    """Vectors [n, a] of length one, to the bit as dm_control normalises them, one by one."""
    return np.array([vector / np.linalg.norm(vector) for vector in vectors])


def until_apart(
    physics: Physics, ids: Array, rng: Streams, draw: Callable[[Array, Streams], None], tries: int = 1000
) -> None:
    """Rejection sampling: draw(ids, rng), and again for the envs in which something touches something else.

    Raises RuntimeError if some are not free of contacts after so many tries.
    """
    contacts = physics.bind("ncon")
    for _ in range(tries):
        draw(ids, rng)
        physics.forward(ids)
        touching = np.flatnonzero(contacts[ids] > 0)
        if not len(touching):
            return
        ids, rng = ids[touching], rng.narrow(touching)
    raise RuntimeError(f"no start without contacts found in {tries} tries")


def columns(array: Array, chosen: Sequence[int]) -> Array:
    """Columns of an array [N, a]: a live view where they follow each other evenly."""
    steps = set(np.diff(chosen).tolist())
    if len(steps) > 1:
        raise ValueError(f"columns {list(chosen)} do not follow each other evenly; there is no view of them")
    return array[:, chosen[0] : chosen[-1] + 1 : steps.pop() if steps else 1]
