"""The common part of the suite's tasks: dm_control's order of integration, random streams and start of episodes."""
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
# indices of entries in a flattened 3 x 3 rotation matrix: XZ is the x component of the body's z axis
XX, XZ, ZX, ZZ = 0, 2, 6, 8


class SuiteTask(Task):
    """A task of the suite: 1,000 steps, a reward in [0, 1], and no termination."""

    stage = "vel"
    streams = LegacyStreams

    def make_model(self) -> mujoco.MjModel:
        """The model of `xml`, in the suite's folder."""
        return load_model(self.xml, ASSETS)

    def make_spec(self) -> mujoco.MjSpec:
        """The same model as an MjSpec that can be edited."""
        return load_spec(self.xml, ASSETS)

    def geom(self, name: str) -> int:
        """The index of a geom."""
        return self.model.geom(name).id

    def site(self, name: str) -> int:
        """The index of a site."""
        return self.model.site(name).id

    def sensors(self, *names: str) -> list[int]:
        """The columns of sensordata that belong to these sensors."""
        found = [self.model.sensor(name) for name in names]
        return [column for sensor in found for column in range(sensor.adr[0], sensor.adr[0] + sensor.dim[0])]

    def positions(self, *joints: str) -> list[int]:
        """The columns of qpos of hinges and slides."""
        return [int(self.model.joint(name).qposadr[0]) for name in joints]

    def velocities(self, *joints: str) -> list[int]:
        """The columns of qvel of hinges and slides."""
        return [int(self.model.joint(name).dofadr[0]) for name in joints]

    def reset(self, physics: Physics, ids: Array, rng: Streams) -> None:
        """Reset as dm_control does: the solver starts from derived fields at the model's defaults; then start()."""
        physics.forward(ids)
        self.start(physics, ids, rng)

    @abstractmethod
    def start(self, physics: Physics, ids: Array, rng: Streams) -> None:
        """Write start states for the envs ids [n], which are at the model's defaults."""

    @abstractmethod
    def score(self) -> Array:
        """The reward [N] in the current state."""

    def reward(self, action: Array, before: Array, terminated: Array) -> tuple[Array, Terms]:
        """The score as a single term: it is a product, so it cannot be split."""
        score = self.score()
        return score, {"reward_task": 1.0 * score}  # a copy, also on a device


def random_joints(model: mujoco.MjModel, physics: Physics, ids: Array, rng: Streams) -> None:
    """Draw random positions: hinges and slides in their ranges, hinges without a range in ±π, a free root's attitude.

    Slides without a range and the position of a free body do not change.
    """
    hinges, free = model.jnt_type == mujoco.mjtJoint.mjJNT_HINGE, model.jnt_type == mujoco.mjtJoint.mjJNT_FREE
    if free[0]:
        physics.qpos[ids, 3:7] = unit(rng.uniform(0, 1, 4))  # not uniform over attitudes, but as in the suite
    limited = (model.jnt_limited == 1) & ~free
    low, high = np.where(limited[:, None], model.jnt_range, [-pi, pi]).T
    drawn = (limited | hinges).nonzero()[0]
    physics.qpos[ids[:, None], model.jnt_qposadr[drawn]] = rng.uniform(low[drawn], high[drawn], len(drawn))


def unit(vectors: Array) -> Array:
    """Vectors [n, a] of length one, bit-identical to dm_control, which normalises them one by one."""
    return np.array([vector / np.linalg.norm(vector) for vector in vectors])


def until_apart(
    physics: Physics, ids: Array, rng: Streams, draw: Callable[[Array, Streams], None], tries: int = 1000
) -> None:
    """Rejection sampling: call draw(ids, rng), and again for the envs that have contacts.

    Raises RuntimeError if some envs still have contacts after `tries` calls.
    """
    contacts = physics.bind("ncon")
    for _ in range(tries):
        draw(ids, rng)
        physics.forward(ids)
        touching = np.flatnonzero(contacts[ids] > 0)
        if not len(touching):
            return
        ids, rng = ids[touching], rng.narrow(touching)
    raise RuntimeError(f"found no start state without contacts in {tries} tries")


def columns(array: Array, chosen: Sequence[int]) -> Array:
    """A live view of columns of an array [N, a]; the columns must be evenly spaced."""
    steps = set(np.diff(chosen).tolist())
    if len(steps) > 1:
        raise ValueError(f"columns {list(chosen)} are not evenly spaced; there is no view of them")
    return array[:, chosen[0] : chosen[-1] + 1 : steps.pop() if steps else 1]
