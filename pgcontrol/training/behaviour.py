"""What a finished run looks like from inside: its action distributions over training, and the routes it takes.

Small enough to be kept in a row of results, so that a report can be written where the run folders are not.
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

MOMENTS = 10  # checkpoints of a map, the first and the last among them
JOINTS = 8  # joints of a map at most; the rest is left out
EPISODES = 64  # episodes of a route map: a route's share is known to within 6 % (one deviation)
POINTS = 40  # points of a path
LARGEST = 2**24  # bytes of a packed array
SEED = 20_000  # seed of the states and episodes, the same for all runs and no run's own

Packed = dict[str, Any]  # an array as JSON can hold it; see `unpack`


@dataclass(frozen=True)
class ActionMaps:
    """Action distributions over training, at the same states all through.

    Attributes:
        steps: environment steps of the checkpoints.
        states: what each state is.
        discrete: whether choices are counted rather than measured.
        columns: histograms [moments, states, joints, columns].
    """

    steps: list[int]
    states: list[str]
    joints: list[str]
    discrete: bool
    columns: Packed

    def require(self) -> None:
        """Its parts are of the same sizes; else raises ValueError."""
        shape = unpack(self.columns).shape
        if shape[:3] != (len(self.steps), len(self.states), len(self.joints)) or len(shape) != 4:
            raise ValueError(f"maps of shape {shape}")
        if sorted(set(self.steps)) != self.steps:
            raise ValueError("maps whose steps do not grow")


@dataclass(frozen=True)
class Routes:
    """By which routes the final policy's sampled episodes succeed.

    Attributes:
        taken: each episode's route; -1: none.
        paths: positions [N, POINTS, 2] in cm; None where the task has no plane.
        outlines: what stands on the plane.
    """

    names: list[str]
    taken: list[int]
    entropy: float | None
    paths: Packed | None
    outlines: list[dict[str, Any]] | None

    def require(self) -> None:
        """Its parts are of the same sizes, and its routes have names; else raises ValueError or KeyError."""
        if not self.taken or not all(-1 <= route < len(self.names) for route in self.taken):
            raise ValueError("routes that have no name")
        if self.paths is not None and unpack(self.paths).shape[::2] != (len(self.taken), 2):
            raise ValueError("paths of other episodes")
        for shape in self.outlines or []:
            places = [*shape["at"], *shape["half"]]
            if [type(place) in (int, float) and np.isfinite(float(place)) for place in places] != [True] * 4:
                raise ValueError("outlines that are no shapes")
            if not all(isinstance(shape[name], bool) for name in ("round", "solid")):
                raise ValueError("outlines that are no shapes")


def look(folder: Path) -> dict[str, Any]:
    """The maps of a run folder, as JSON can hold them; nothing where it has no checkpoint."""
    folders = checkpoint.find(folder)
    if not folders:
        return {}
    policy, meta = load_with_meta(folders[-1])
    env_id = meta["policy"]["env"]
    return {"maps": _maps(policy, folders, env_id)} | _routes(policy, env_id)


def evenly(count: int, most: int) -> np.ndarray:
    """At most so many of `count` places, evenly spread, the first and the last among them."""
    return np.unique(np.linspace(0, count - 1, most).round().astype(int))


def unpack(packed: Packed) -> np.ndarray:
    """What `pack` packed.

    Raises:
        KeyError, TypeError, ValueError: it is none, or of another size than it says.
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
    """An array as JSON can hold it: compressed, in base64."""
    data = base64.b64encode(zlib.compress(array.tobytes(), 9)).decode()
    return {"shape": list(array.shape), "dtype": str(array.dtype), "data": data}


def _maps(policy: Policy, folders: list[Path], env_id: str) -> dict[str, Any]:
    """Histograms [moments, states, joints, columns] at the same states all through a run's checkpoints."""
    states, joints = _probes(policy, env_id)
    moments = [folders[i] for i in evenly(len(folders), MOMENTS)]
    shown = [density(load(moment), torch.stack(list(states.values())), SEED) for moment in moments]
    columns = pack(np.stack([d.columns[:, :JOINTS] for d in shown]))
    steps = [checkpoint.steps_of(moment) for moment in moments]
    return asdict(ActionMaps(steps, list(states), list(joints[:JOINTS]), shown[-1].discrete, columns))


def _probes(policy: Policy, env_id: str) -> tuple[dict[str, torch.Tensor], tuple[str, ...]]:
    """Three states [O] to look at, by what they are, and the joints' names.

    The states are where a route has to be chosen, if the task knows such a place, and others that the finished policy
    visits by its mode.
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
    """Of a task with routes: by which of them the sampled policy succeeds, and the paths where there is a plane."""
    if env_id.startswith("gym:") or len(pgcontrol_envs.find(env_id).routes) < 2:
        return {}
    with closing(make_env(env_id, EPISODES, SEED)) as env:
        task, places = env.task, list[np.ndarray]()
        assert task is not None

        def watch(*_: object) -> None:
            with suppress(NotImplementedError):  # a task without a plane
                places.append(np.array(task.position(), np.float32))

        env.reset(seed=SEED)  # as the episodes begin
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
    """What stands on the plane, seen from above: the world's own boxes and round things, in cm."""
    shapes = []
    for i in range(model.ngeom):
        kind, size = int(model.geom_type[i]), model.geom_size[i]
        if model.geom_bodyid[i] == 0 and kind in (2, 3, 4, 5, 6):  # mjtGeom: sphere, capsule, ellipsoid, cylinder; box
            half, height = (size[:2], size[2]) if kind == 6 else (size[[0, 0]], size[1])
            at, half = ([round(100 * float(v), 1) for v in pair] for pair in (model.geom_pos[i, :2], half))
            # what is thicker is in the way, rather than a mark on the floor
            shapes.append({"round": kind != 6, "at": at, "half": half, "solid": float(height) > 0.01})
    return shapes
