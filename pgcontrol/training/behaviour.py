"""The behaviour of a finished run: its action distributions over training, and the routes that it takes.

The data is small enough for a row of results, so that reports can be written without the run folders.
"""

import base64
import math
import zlib
from contextlib import closing, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pgcontrol_envs
import torch

from pgcontrol.measures.routes import route_entropy
from pgcontrol.play import evaluate
from pgcontrol.play.density import density, joint_names
from pgcontrol.play.episodes import Episodes
from pgcontrol.policy import Policy
from pgcontrol.runs import checkpoint
from pgcontrol.runs.load import load, load_with_meta, make_env

MOMENTS = 10  # checkpoints in a map, including the first and the last one
JOINTS = 8  # largest number of joints in a map; further joints are left out
EPISODES = 64  # episodes of a route map: the standard error of a route's share is at most 6 %
POINTS = 40  # points per path
LARGEST = 2**24  # largest size of a packed array, in bytes
SEED = 20_000  # seed of the states and episodes, the same for all runs

Packed = dict[str, Any]  # an array as JSON values; see `unpack`


@dataclass(frozen=True)
class ActionMaps:
    """Action distributions over training, always at the same states.

    Attributes:
        steps: environment steps of the checkpoints.
        states: description of each state.
        discrete: whether the choices are discrete.
        columns: histograms [moments, states, joints, columns].
    """

    steps: list[int]
    states: list[str]
    joints: list[str]
    discrete: bool
    columns: Packed

    def require(self) -> None:
        """Raises ValueError if the sizes of the parts do not fit each other."""
        shape = unpack(self.columns).shape
        if shape[:3] != (len(self.steps), len(self.states), len(self.joints)) or len(shape) != 4:
            raise ValueError(f"maps of shape {shape}")
        if sorted(set(self.steps)) != self.steps:
            raise ValueError("maps whose steps do not increase")


@dataclass(frozen=True)
class Routes:
    """Routes by which sampled episodes of the final policy succeed.

    Attributes:
        taken: route of each episode; -1: none.
        paths: positions [N, POINTS, 2] in cm; None if the task has no plane.
        outlines: shapes of the objects on the plane.
    """

    names: list[str]
    taken: list[int]
    entropy: float | None
    paths: Packed | None
    outlines: list[dict[str, Any]] | None

    def require(self) -> None:
        """Raises ValueError or KeyError if the sizes of the parts do not fit, or if a route has no name."""
        if not self.taken or not all(-1 <= route < len(self.names) for route in self.taken):
            raise ValueError("routes without a name")
        if self.paths is not None and unpack(self.paths).shape[::2] != (len(self.taken), 2):
            raise ValueError("paths of other episodes")
        for shape in self.outlines or []:
            places = [*shape["at"], *shape["half"]]
            if [type(place) in (int, float) and np.isfinite(float(place)) for place in places] != [True] * 4:
                raise ValueError("outlines with invalid numbers")
            if not all(isinstance(shape[name], bool) for name in ("round", "solid")):
                raise ValueError("outlines with invalid flags")


def look(folder: Path) -> dict[str, Any]:
    """The maps of a run folder, as JSON values; empty if it has no checkpoint."""
    folders = checkpoint.find(folder)
    if not folders:
        return {}
    policy, meta = load_with_meta(folders[-1])
    env_id = meta["policy"]["env"]
    return {"maps": _maps(policy, folders, env_id)} | _routes(policy, env_id)


def evenly(count: int, most: int) -> np.ndarray:
    """At most `most` of `count` indices, evenly spaced, including the first and the last one."""
    return np.unique(np.linspace(0, count - 1, most).round().astype(int))


def unpack(packed: Packed) -> np.ndarray:
    """The array of a `Packed`.

    Raises:
        KeyError, TypeError, ValueError: it is not a packed array, or its size is wrong.
    """
    kind, shape = np.dtype(packed["dtype"]), tuple(int(size) for size in packed["shape"])
    size = kind.itemsize * math.prod(shape)
    if kind.kind not in "iuf" or min(shape, default=0) < 1 or size > LARGEST:
        raise ValueError(f"an array of shape {shape} and type {kind}")
    try:
        data = zlib.decompressobj().decompress(base64.b64decode(packed["data"]), size + 1)
    except zlib.error as error:
        raise ValueError(str(error)) from None
    return np.frombuffer(data, kind).reshape(shape)


def pack(array: np.ndarray) -> Packed:
    """Convert an array to JSON values: compressed, in base64."""
    data = base64.b64encode(zlib.compress(array.tobytes(), 9)).decode()
    return {"shape": list(array.shape), "dtype": str(array.dtype), "data": data}


def _maps(policy: Policy, folders: list[Path], env_id: str) -> dict[str, Any]:
    """Histograms [moments, states, joints, columns] over a run's checkpoints, always at the same states."""
    states, joints = _probes(policy, env_id)
    moments = [folders[i] for i in evenly(len(folders), MOMENTS)]
    shown = [density(load(moment), torch.stack(list(states.values())), SEED) for moment in moments]
    columns = pack(np.stack([d.columns[:, :JOINTS] for d in shown]))
    steps = [checkpoint.steps_of(moment) for moment in moments]
    return asdict(ActionMaps(steps, list(states), list(joints[:JOINTS]), shown[-1].discrete, columns))


def _probes(policy: Policy, env_id: str) -> tuple[dict[str, torch.Tensor], tuple[str, ...]]:
    """Three states [O], by description, and the names of the joints.

    The states are one in which a route has to be chosen, if the task has such states, and others that the mode of the
    finished policy visits.
    """
    with closing(make_env(env_id, 1, SEED)) as env:
        trace = evaluate.episodes(env, evaluate.policy_agent(policy, True, SEED), SEED, record=True).trace
        names = joint_names(env)
    assert trace is not None
    length = len(trace.obs)
    states = {"where the route is chosen": place} if (place := _deciding(env_id)) is not None else {}
    visited = {"the start": 0, "a third into its episode": length // 3, "two thirds into its episode": 2 * length // 3}
    for place, i in [*visited.items()][: 3 - len(states)]:
        states[place] = torch.from_numpy(trace.obs[i])
    return states, names


def _deciding(env_id: str) -> torch.Tensor | None:
    """The observation at the first state of a demonstration in which the route is chosen, [O]."""
    with closing(make_env(env_id, 1, SEED)) as env, suppress(NotImplementedError):
        if env.task is None or len(env.task.routes) < 2:
            return None
        playing = Episodes(env, evaluate.demonstrator_agent(env, SEED, noise=0.0), env.reset(seed=SEED))
        while playing.going.any():
            if env.task.deciding()[0]:
                return playing.obs[0].clone()
            playing.step()
    return None


def _routes(policy: Policy, env_id: str) -> dict[str, Any]:
    """For a task with routes: the routes by which the sampled policy succeeds, and the paths if there is a plane."""
    if env_id.startswith("gym:") or len(pgcontrol_envs.find(env_id).routes) < 2:
        return {}
    with closing(make_env(env_id, EPISODES, SEED)) as env:
        task, places = env.task, list[np.ndarray]()
        assert task is not None

        def watch(*_: object) -> None:
            with suppress(NotImplementedError):  # a task without a plane
                places.append(np.array(task.position(), np.float32))

        env.reset(seed=SEED)  # the same start states as in the episodes
        watch()
        taken = evaluate.episodes(env, evaluate.policy_agent(policy, False, SEED), SEED, on_step=watch).route
    assert taken is not None
    entropy = route_entropy(taken, len(task.routes))
    known = round(entropy, 4) if np.isfinite(entropy) else None
    seen: dict[str, Any] = {"names": list(task.routes), "taken": taken.tolist(), "entropy": known}
    if places:  # [N, 2] in m after every step -> [N, POINTS, 2] in cm
        paths = np.round(100 * np.stack([places[i] for i in evenly(len(places), POINTS)], 1)).astype(np.int16)
        seen |= {"paths": pack(paths), "outlines": _outlines(task.model)}
    return {"routes": seen}


def _outlines(model: Any) -> list[dict[str, Any]]:
    """Outlines of the objects on the plane, seen from above, in cm: boxes and round geoms of the world body."""
    shapes = []
    for i in range(model.ngeom):
        kind, size = int(model.geom_type[i]), model.geom_size[i]
        if model.geom_bodyid[i] == 0 and kind in (2, 3, 4, 5, 6):  # mjtGeom: sphere, capsule, ellipsoid, cylinder; box
            half, height = (size[:2], size[2]) if kind == 6 else (size[[0, 0]], size[1])
            at, half = ([round(100 * float(v), 1) for v in pair] for pair in (model.geom_pos[i, :2], half))
            # thicker geoms are obstacles, thinner ones are marks on the floor
            shapes.append({"round": kind != 6, "at": at, "half": half, "solid": float(height) > 0.01})
    return shapes
