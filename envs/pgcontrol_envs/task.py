"""What one task file must say, and the few things that task files share.

A task file finds all its types here: Array, Camera, Physics, Streams, Task, Terms.
"""
# mujoco is an extension module without types
# pyright: reportAttributeAccessIssue=false

import inspect
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import gymnasium.envs.mujoco
import mujoco
import numpy as np
import torch

from pgcontrol_envs.arrays import Array, join
from pgcontrol_envs.physics import Physics
from pgcontrol_envs.random_streams import Streams

Terms = dict[str, Array]

GYMNASIUM_ASSETS = Path(gymnasium.envs.mujoco.__file__).parent / "assets"
ASSETS = Path(__file__).parent / "assets"


class TaskError(ValueError):
    """A task breaks its contract; one line names the class and the method or the file."""


@dataclass(frozen=True)
class Camera:
    """From where a task is filmed. Distances in metres, angles in degrees, as in mjvCamera.

    Attributes:
        track: the body whose subtree the camera follows, its name or its number (1 is the first body below the world);
            None for a camera that stands still.
        lookat: the point in the middle of the picture of a camera that stands still.
    """

    track: str | int | None = None
    distance: float = 4.0
    elevation: float = -20.0
    azimuth: float = 90.0
    lookat: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def of(self, model: mujoco.MjModel) -> mujoco.MjvCamera:
        """This camera, for mujoco.Renderer.update_scene."""
        camera = mujoco.MjvCamera()
        camera.distance, camera.elevation, camera.azimuth = self.distance, self.elevation, self.azimuth
        camera.lookat[:] = self.lookat
        if self.track is not None:
            camera.type, camera.trackbodyid = mujoco.mjtCamera.mjCAMERA_TRACKING, model.body(self.track).id
        return camera


class Mirror(NamedTuple):
    """The symmetry of a body: number i of a mirrored vector is `sign[i]` times number `order[i]` of the vector.

    Attributes:
        obs: order and signs of an observation, [O] each.
        action: order and signs of an action, [A] each.
    """

    obs: tuple[tuple[int, ...], tuple[int, ...]]
    action: tuple[tuple[int, ...], tuple[int, ...]]


class Task(ABC):
    """One task: model, start states, observation, named reward terms, termination; batched over N envs.

    A task keeps views of the physics, whose contract is all it knows of the simulator, and no state of its own: what it
    must remember of an episode it writes into the physics' userdata, in remember(). It computes with the physics'
    arrays, which are numpy's: there is no physics of another kind. A task of yours may use all of numpy; those of this
    package keep to what pgcontrol_envs.arrays allows. Reward terms carry the names of Gymnasium v5's infos, where it
    has the task, and add up to the reward, but for what is `unnamed`.

    Attributes:
        xml: the model's file: in the folder of the task's own file, among our assets or Gymnasium's, or a path.
        frame_skip: physics substeps per env step.
        time_limit: env steps after which an episode is truncated.
        derived: the derived MjData fields the task reads.
        stage: up to which stage derived fields are computed after the last substep: none (they lag one substep, as
            after mj_step), pos, vel (dm_control's order of integration) or acc.
        unobserved: how many positions are not observed: the first ones, which say where a body is.
        exclude_current_positions_from_observation: False if those are observed as well.
        settings: which attributes can be set, by the names of Gymnasium's keyword arguments and of `--env.NAME`;
            besides the bases' own. See settings.py.
        least: the smallest values of settings that have one, by their names; besides the bases' own.
        reset_noise: how far positions and velocities are off the model's defaults at the start, at most; see reset().
        normal_velocities: whether the velocities at the start are normal draws with that deviation, not uniform ones.
        routes: names of the ways in which an episode can succeed; none for a task that has no notion of success.
        unnamed: a constant of the reward that no term names: Gymnasium v5 adds one.
        streams: what kind of random streams resets draw from.
        dt: seconds per env step.
        action_low: lower action bounds [A], float32.
        action_high: upper action bounds [A], float32.
    """

    id: ClassVar[str]
    xml: ClassVar[str]
    frame_skip: ClassVar[int]
    time_limit: ClassVar[int] = 1000
    derived: ClassVar[tuple[str, ...]] = ()
    stage: ClassVar[str] = "none"
    unobserved: ClassVar[int] = 0
    exclude_current_positions_from_observation: ClassVar[bool] = True
    settings: ClassVar[tuple[str, ...]] = ("xml_file", "frame_skip")
    least: ClassVar[Mapping[str, float]] = {"reset_noise_scale": 0.0}
    reset_noise: ClassVar[float] = 0.0
    normal_velocities: ClassVar[bool] = False
    routes: ClassVar[tuple[str, ...]] = ()
    unnamed: ClassVar[float] = 0.0
    streams: ClassVar[type[Streams]] = Streams
    camera: ClassVar[Camera] = Camera()

    def __init__(self) -> None:
        self.model = self.make_model()
        self.dt: float = self.model.opt.timestep * self.frame_skip
        self.action_low, self.action_high = torch.from_numpy(self.model.actuator_ctrlrange).float().unbind(-1)
        self._require_bounds()

    def make_model(self) -> mujoco.MjModel:
        """The model of all simulations; here that of `xml`. A task may build its own, with mujoco.MjSpec."""
        return load_model(self.xml, Path(inspect.getfile(type(self))).parent)

    def look(self) -> tuple[mujoco.MjModel, Array]:
        """The model that films show, and which number of `model`'s qpos is each of its own; here the model itself."""
        return self.model, np.arange(self.model.nq)

    def _require_bounds(self) -> None:
        """Every actuator has a range of controls: MuJoCo reads a missing one as [0, 0], so that nothing would move."""
        if not self.model.nu:
            raise TaskError(f"{type(self).__name__}: {self.source} has no actuators")
        free = np.flatnonzero((self.action_low >= self.action_high).numpy())
        if len(free):
            names = ", ".join(self.model.actuator(i).name or str(i) for i in free)
            raise TaskError(f"{type(self).__name__}: {self.source} gives no ctrlrange for the actuators {names}")

    @property
    def source(self) -> str:
        """Where the model comes from, for messages."""
        return getattr(self, "xml", "make_model()")

    def body(self, name: str | int) -> int:
        """The model's number of a body, given its name or its number."""
        return self.model.body(name).id

    def bind(self, physics: Physics) -> None:
        """Keep the views of physics that the other methods read: live, they need slicing only once.

        Here the positions but the first `unobserved`, and the velocities.
        """
        first = self.unobserved if self.exclude_current_positions_from_observation else 0
        self.posture, self.velocity = physics.qpos[:, first:], physics.qvel

    def reset(self, physics: Physics, ids: Array, rng: Streams) -> None:
        """Start the envs ids [n] from the model's defaults, where physics has just put them, with draws from rng.

        Here as Gymnasium starts most of its tasks: off by `reset_noise`, positions first.
        """
        noise, nq, nv = self.reset_noise, self.model.nq, self.model.nv
        drawn = rng.uniform(-noise, noise, nq if self.normal_velocities else nq + nv)
        physics.qpos[ids] += drawn[:, :nq]
        physics.qvel[ids] = noise * rng.normal(nv) if self.normal_velocities else drawn[:, nq:]

    def observe(self) -> Array:
        """The observations [N, O], float64, in memory of their own; here the positions but those, the velocities."""
        return join(self.posture, self.velocity)

    def privileged(self) -> Array | None:
        """What the critic sees in addition to the observation, and the policy does not: [N, P] float64, or None.

        True velocities, friction, contact forces, pushes: what a simulation knows and a robot cannot measure.
        """
        return None

    def mirror(self) -> Mirror | None:
        """How the body and its task are mirrored, left to right; None where they are not symmetric."""
        return None

    def interface(self) -> dict[str, Any] | None:
        """How to run a policy on the robot itself, in JSON values; see interface.py. None of a task that is no robot's.

        Parts of the observation, the action, commands, default pose, rates, and the model. An exported policy has it
        in its description, and `pgcontrol sim2sim` knows nothing else of the robot. Asked of a bound task.
        """
        return None

    def mjcf(self) -> str:
        """The model as MJCF that needs no other file: here that of `xml`, of one with meshes only what collides."""
        return standalone(load_spec(self.xml, Path(inspect.getfile(type(self))).parent))

    def before(self) -> Array | None:
        """What the reward must remember of the state before the step, [N, ...]; a live view is copied."""
        return None

    @abstractmethod
    def reward(self, action: Array, before: Array, terminated: Array) -> tuple[Array, Terms]:
        """The reward [N], float64, and its terms, after a step under action [N, A], in memory of their own.

        before is what before() said of the state the step began in, terminated what terminated() says of this one.
        """

    def terminated(self) -> Array | None:
        """Which envs are in a state that ends the episode, bool [N]; None if the task has no such states."""
        return None

    def remember(self) -> None:
        """Note in the physics' userdata what later states no longer show: called after every step, before all else.

        Envs that stood still are noted again, which must change nothing.
        """
        return None

    def metrics(self) -> Terms:
        """What to log of each step in addition to its reward, by name, [N]; averaged over steps, as `rollout/NAME`."""
        return {}

    def ending(self) -> Terms:
        """What to log of an episode at its end, by name, [N] each: averaged over episodes, as `rollout/NAME`."""
        return {}

    def meters(self) -> Terms:
        """What films show of a state, by name and unit ("forwards m/s"): what is wanted, and what is, [N, 2]."""
        return {}

    # what a task with routes says, besides: of the present state, so ask before the env is reset

    def route(self) -> Array:
        """By which of `routes` the episode has succeeded, int64 [N]; -1 where it has not, or not yet.

        Raises NotImplementedError for a task without routes; so do the methods below.
        """
        raise NotImplementedError(f"{self.id} has no routes")

    def position(self) -> Array:
        """Where the agent is on the plane that its routes cross, seen from above, [N, 2] in m.

        NotImplementedError too from a task whose routes are no ways across a plane.
        """
        raise NotImplementedError(f"{self.id} has no plane to be seen from above")

    def demonstrate(self, route: Array, noise: Array) -> Array:
        """What a scripted demonstrator does here, [N, A] float64 within the bounds, to succeed by route [N] (int).

        A feedback controller: it reads nothing but the present state. noise [N, A], standard normal draws, varies what
        it does by as much as the task forgives; zeros leave the controller bare.
        """
        raise NotImplementedError(f"{self.id} has no demonstrator")

    def deciding(self) -> Array:
        """Which envs are where the route is chosen, so that the next action has to choose, bool [N].

        NotImplementedError too from a task that knows no such place.
        """
        raise NotImplementedError(f"{self.id} knows no place where the route is chosen")

    def blocked(self, action: Array) -> Array:
        """Which of the actions [N, A] choose no route where one has to be chosen, bool [N].

        The mean of two good actions is a blocked one: what a unimodal head fitted to two routes puts its mass on.
        """
        raise NotImplementedError(f"{self.id} knows no place where the route is chosen")


def load_model(xml: str, beside: Path = ASSETS) -> mujoco.MjModel:
    """The model compiled from a file.

    Args:
        xml: an absolute path, or one relative to the first of these folders that has such a file.
        beside: the first folder; after it come our assets and Gymnasium's.

    Raises:
        TaskError: no such file, or MuJoCo cannot compile it.
    """
    return _load(mujoco.MjModel.from_xml_path, xml, beside)


def load_spec(xml: str, beside: Path = ASSETS) -> mujoco.MjSpec:
    """What load_model compiles, to be edited before."""
    return _load(mujoco.MjSpec.from_file, xml, beside)


def standalone(spec: mujoco.MjSpec) -> str:
    """MJCF that needs no other file: meshes are left out where they are only seen."""
    if spec.meshes:
        spec.discard_visual()
    spec.compile()
    return spec.to_xml()


def _load(read: Callable[[str], Any], xml: str, beside: Path) -> Any:
    folders = (beside, ASSETS, GYMNASIUM_ASSETS)
    path = next((folder / xml for folder in folders if (folder / xml).is_file()), None)
    if path is None:
        raise TaskError(f"model {xml!r}: no such file in {', '.join(map(str, dict.fromkeys(folders)))}")
    try:
        with python_warnings():
            return read(str(path))
    except ValueError as error:
        raise TaskError(f"model {path}: {' '.join(str(error).split())}") from None


@contextmanager
def python_warnings() -> Iterator[None]:
    """Make MuJoCo's warnings about a model Python's, rather than lines on stderr and in a MUJOCO_LOG.TXT.

    That half_cheetah.xml uses the deprecated settotalmass is kept quiet: it is the reference as it stands, and nothing
    that a user could mend.
    """
    messages: list[str] = []  # issued afterwards: MuJoCo does not survive a filter that turns them into exceptions
    previous = mujoco.get_mju_user_warning()
    mujoco.set_mju_user_warning(messages.append)
    try:
        yield
    finally:
        mujoco.set_mju_user_warning(previous)
    for message in messages:
        if "'settotalmass' is deprecated" not in message:
            warnings.warn(f"MuJoCo: {message.strip()}", stacklevel=4)
