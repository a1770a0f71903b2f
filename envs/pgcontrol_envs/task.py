"""The base class of tasks, and the code that task files share.

A task file can import all its types from here: Array, Camera, Mirror, Physics, Reflection, Streams, Task, Terms.
"""
# mujoco is an extension module without types
# pyright: reportAttributeAccessIssue=false

import inspect
import re
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
from pgcontrol_envs.reflection import Image, Reflection, joined

Terms = dict[str, Array]

GYMNASIUM_ASSETS = Path(gymnasium.envs.mujoco.__file__).parent / "assets"
ASSETS = Path(__file__).parent / "assets"


class TaskError(ValueError):
    """A task breaks its contract. The message is one line that names the class and the method or the file."""


@dataclass(frozen=True)
class Camera:
    """The camera of a task's pictures and videos. Distances in metres, angles in degrees, as in mjvCamera.

    Attributes:
        track: the body whose subtree the camera follows: its name or its index (1 is the first body below the world);
            None: the camera does not move.
        lookat: the centre of the image of a camera that does not move.
    """

    track: str | int | None = None
    distance: float = 4.0
    elevation: float = -20.0
    azimuth: float = 90.0
    lookat: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def of(self, model: mujoco.MjModel) -> mujoco.MjvCamera:
        """This camera as an MjvCamera, for mujoco.Renderer.update_scene."""
        camera = mujoco.MjvCamera()
        camera.distance, camera.elevation, camera.azimuth = self.distance, self.elevation, self.azimuth
        camera.lookat[:] = self.lookat
        if self.track is not None:
            camera.type, camera.trackbodyid = mujoco.mjtCamera.mjCAMERA_TRACKING, model.body(self.track).id
        return camera


class Mirror(NamedTuple):
    """The symmetry of a body: entry i of a mirrored vector is `sign[i]` times entry `order[i]` of the vector.

    Attributes:
        obs: order and signs of an observation, [O] each.
        action: order and signs of an action, [A] each.
    """

    obs: tuple[tuple[int, ...], tuple[int, ...]]
    action: tuple[tuple[int, ...], tuple[int, ...]]


class Task(ABC):
    """A task: model, start states, observation, named reward terms, termination; batched over N envs.

    A task keeps views of the physics, which are its only access to the simulator, and no state of its own: what it must
    remember about an episode, it writes into the physics' userdata in remember(). It computes with the physics' arrays:
    NumPy arrays, or torch tensors with MuJoCo Warp. Your own tasks may use all of NumPy, but then they run on the CPU's
    physics only; the tasks of this package use what pgcontrol_envs.arrays allows, except in reset(). Reward terms have
    the names of Gymnasium v5's infos if Gymnasium has the task. Their sum is the reward minus `unnamed`.

    Attributes:
        xml: the model's file: in the folder of the task's own file, in our assets or Gymnasium's, or an absolute path.
        frame_skip: physics substeps per env step.
        time_limit: env steps after which an episode is truncated.
        derived: the derived MjData fields that the task reads.
        stage: derived fields are computed up to this stage after the last substep: none (they lag one substep, as
            after mj_step), pos, vel (dm_control's order of integration) or acc.
        unobserved: number of positions that are not observed: the first ones, which say where a body is.
        exclude_current_positions_from_observation: False: observe those positions as well.
        settings: attributes that can be set, by the names of Gymnasium's keyword arguments and of `--env.NAME`, in
            addition to those of the base classes. See settings.py.
        least: smallest allowed values of settings, by name, in addition to those of the base classes.
        most: largest allowed values, likewise.
        reset_noise: largest deviation of the start positions and velocities from the model's defaults; see reset().
        normal_velocities: draw the start velocities from a normal distribution with this standard deviation, not from
            a uniform one.
        routes: names of the ways in which an episode can succeed; empty if the task has no notion of success.
        unnamed: a constant part of the reward without a term: Gymnasium v5 adds one.
        streams: the kind of random streams for resets.
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
    most: ClassVar[Mapping[str, float]] = {"frame_skip": 10_000}
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
        """The model of all simulations; by default from `xml`. A task may build its own, with mujoco.MjSpec."""
        return load_model(self.xml, Path(inspect.getfile(type(self))).parent)

    def look(self) -> tuple[mujoco.MjModel, Array]:
        """The model to show in videos, and for each entry of its qpos the index in `model`'s qpos; default: `model`."""
        return self.model, np.arange(self.model.nq)

    def _require_bounds(self) -> None:
        """Every actuator must have a control range: MuJoCo reads a missing one as [0, 0], and nothing would move."""
        if not self.model.nu:
            raise TaskError(f"{type(self).__name__}: {self.source} has no actuators")
        free = np.flatnonzero((self.action_low >= self.action_high).numpy())
        if len(free):
            names = ", ".join(self._actuator(i) for i in free.tolist())
            what = f'has no ctrlrange for the actuators {names}; add one, such as ctrlrange="-1 1"'
            raise TaskError(f"{type(self).__name__}: {self.source} {what}")

    def _actuator(self, i: int) -> str:
        """The name of an actuator for messages, or else its joint's."""
        kinds, driven = self.model.actuator_trntype, self.model.actuator_trnid[i, 0]
        joint = self.model.joint(driven).name if kinds[i] == mujoco.mjtTrn.mjTRN_JOINT else ""
        return self.model.actuator(i).name or (f"of {joint}" if joint else str(i))

    @property
    def source(self) -> str:
        """The origin of the model, for messages."""
        return getattr(self, "xml", "make_model()")

    def body(self, name: str | int) -> int:
        """The index of a body, given its name or index."""
        return self.model.body(name).id

    def bind(self, physics: Physics) -> None:
        """Keep the views of the physics that the other methods read. They are live, so slicing once is enough.

        By default: positions after the first `unobserved`, and velocities.
        """
        self.posture, self.velocity = physics.qpos[:, _first_observed(self) :], physics.qvel

    def reset(self, physics: Physics, ids: Array, rng: Streams) -> None:
        """Write start states for envs ids [n], with random numbers from rng. Physics has reset them to the defaults.

        By default as in most Gymnasium tasks: add noise of size `reset_noise`, positions first.
        """
        noise, nq, nv = self.reset_noise, self.model.nq, self.model.nv
        drawn = rng.uniform(-noise, noise, nq if self.normal_velocities else nq + nv)
        physics.qpos[ids] += drawn[:, :nq]
        physics.qvel[ids] = noise * rng.normal(nv) if self.normal_velocities else drawn[:, nq:]

    def observe(self) -> Array:
        """The observations [N, O], float64, not a view; by default the positions and velocities of bind()."""
        return join(self.posture, self.velocity)

    def privileged(self) -> Array | None:
        """What the critic observes in addition to the policy's observation: [N, P] float64, or None.

        For example true velocities, friction, contact forces, pushes: a simulation knows them, a robot cannot measure
        them.
        """
        return None

    def reflection(self) -> Reflection | None:
        """The reflection that leaves the body and the task as they are; None if there is none."""
        return None

    def mirror(self) -> Mirror | None:
        """The left-right symmetry of the body and the task; None if they are not symmetric.

        By default, for a task that has a reflection and observes the positions and velocities of bind(), theirs.
        """
        found = self.reflection()
        return None if found is None else Mirror(joined(self.state_image(found)), found.controls)

    def state_image(self, found: Reflection) -> list[Image]:
        """The images of the positions and velocities of bind()."""
        return [found.positions.after(_first_observed(self)), found.velocities]

    def interface(self) -> dict[str, Any] | None:
        """How to run a policy on the real robot, in JSON values; see interface.py. None if the task is not a robot.

        Contains the parts of the observation, the action, commands, default pose, rates, and the model. An exported
        policy includes it, and `pgcontrol sim2sim` uses nothing else. Only called after bind().
        """
        return None

    def mjcf(self) -> str:
        """The model as MJCF that needs no other file; by default from `xml`, without meshes that are only visual."""
        return standalone(load_spec(self.xml, Path(inspect.getfile(type(self))).parent))

    def before(self) -> Array | None:
        """What the reward needs from the state before the step, [N, ...]; a live view is copied."""
        return None

    @abstractmethod
    def reward(self, action: Array, before: Array, terminated: Array) -> tuple[Array, Terms]:
        """The reward [N], float64, and its terms, after a step with action [N, A]. Not views.

        `before` is the result of before() at the start of the step; `terminated` is terminated() in the new state.
        """

    def terminated(self) -> Array | None:
        """Which envs are in a state that ends the episode, bool [N]; None if there are no such states."""
        return None

    def remember(self) -> None:
        """Store in the physics' userdata what later states do not show. Called after every step, before other methods.

        It is also called for envs that did not step; for these it must change nothing.
        """
        return None

    def metrics(self) -> Terms:
        """Further values to log for each step, by name, [N]; the mean over steps is logged as `rollout/NAME`."""
        return {}

    def ending(self) -> Terms:
        """Values to log at the end of an episode, by name, [N]; the mean over episodes is logged as `rollout/NAME`."""
        return {}

    def meters(self) -> Terms:
        """Meters to show in videos, by name and unit ("forwards m/s"): the target and the actual value, [N, 2]."""
        return {}

    # methods of tasks with routes. They describe the current state, so call them before the env is reset

    def route(self) -> Array:
        """The index in `routes` by which the episode has succeeded, int64 [N]; -1 if it has not succeeded (yet).

        Raises NotImplementedError for a task without routes; so do the methods below.
        """
        raise NotImplementedError(f"{self.id} has no routes")

    def position(self) -> Array:
        """The agent's position, seen from above, on the plane that its routes cross, [N, 2], m.

        Also raises NotImplementedError if the routes are not paths across a plane.
        """
        raise NotImplementedError(f"{self.id} has no plane that can be seen from above")

    def demonstrate(self, route: Array, noise: Array) -> Array:
        """The action of a scripted demonstrator for route [N] (int): [N, A] float64 within the bounds.

        A feedback controller: it reads only the current state. noise [N, A], standard normal draws, varies the action
        by as much as the task tolerates; with zeros there is no variation.
        """
        raise NotImplementedError(f"{self.id} has no demonstrator")

    def deciding(self) -> Array:
        """Which envs are where the route is chosen, so that the next action must choose, bool [N].

        Also raises NotImplementedError if the task knows no such place.
        """
        raise NotImplementedError(f"{self.id} does not define where the route is chosen")

    def blocked(self, action: Array) -> Array:
        """Which of the actions [N, A] choose no route in a state where one must be chosen, bool [N].

        The mean of two good actions is blocked. A unimodal head fitted to two routes puts its probability there.
        """
        raise NotImplementedError(f"{self.id} does not define where the route is chosen")


def _first_observed(task: Task) -> int:
    """The index of the first observed position."""
    return task.unobserved if task.exclude_current_positions_from_observation else 0


def load_model(xml: str, beside: Path = ASSETS) -> mujoco.MjModel:
    """Compile a model file.

    Args:
        xml: an absolute path, or a path relative to the first of these folders that contains it.
        beside: the first folder; the others are our assets and Gymnasium's.

    Raises:
        TaskError: there is no such file, or MuJoCo cannot compile it.
    """
    return _load(mujoco.MjModel.from_xml_path, xml, beside)


def load_spec(xml: str, beside: Path = ASSETS) -> mujoco.MjSpec:
    """Like load_model, but returns the MjSpec, which can be edited before it is compiled."""
    return _load(mujoco.MjSpec.from_file, xml, beside)


def standalone(spec: mujoco.MjSpec) -> str:
    """The model as MJCF that needs no other file: without meshes that are only visual, and without pictures.

    Meshes that can collide are written into the text.

    Raises:
        TaskError: it needs another kind of file, such as a height field; one line names it.
    """
    for texture in [texture for texture in spec.textures if texture.file or any(texture.cubefiles)]:
        for material in spec.materials:
            material.textures = ["" if name == texture.name else name for name in material.textures]
        spec.delete(texture)
    if spec.meshes:
        spec.discard_visual()
    model = spec.compile()
    for mesh in [mesh for mesh in spec.meshes if mesh.file]:
        _inline(mesh, model)
    spec.compile()
    text = spec.to_xml()
    if files := re.findall(r' file\w*="([^"]+)"', text):
        raise TaskError(f"the model needs the file {files[0]}, so it cannot be exported as one text")
    return text


def _inline(mesh: Any, model: mujoco.MjModel) -> None:
    """Replace a mesh's file by its vertices; the compiled model has them in the axes of the mesh's inertia."""
    at = model.mesh(mesh.name).id
    vertices, faces = (
        getattr(model, f"mesh_{part}")[start : start + number]
        for part, start, number in (
            ("vert", model.mesh_vertadr[at], model.mesh_vertnum[at]),
            ("face", model.mesh_faceadr[at], model.mesh_facenum[at]),
        )
    )
    turned = np.empty(9)
    mujoco.mju_quat2Mat(turned, model.mesh_quat[at])
    mesh.uservert = (vertices @ turned.reshape(3, 3).T + model.mesh_pos[at]).ravel().tolist()
    mesh.userface = faces.ravel().tolist()
    mesh.content_type = ""
    mesh.file, mesh.scale, mesh.refpos, mesh.refquat = "", [1, 1, 1], [0, 0, 0], [1, 0, 0, 0]


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
    """Turn MuJoCo's warnings about a model into Python warnings, instead of lines on stderr and in MUJOCO_LOG.TXT.

    The warning that half_cheetah.xml uses the deprecated settotalmass is dropped: the file is Gymnasium's, and users
    cannot change it.
    """
    messages: list[str] = []  # issued later: MuJoCo crashes if a warning filter raises an exception here
    previous = mujoco.get_mju_user_warning()
    mujoco.set_mju_user_warning(messages.append)
    try:
        yield
    finally:
        mujoco.set_mju_user_warning(previous)
    for message in messages:
        if "'settotalmass' is deprecated" not in message:
            warnings.warn(f"MuJoCo: {message.strip()}", stacklevel=4)
