"""Draw docs/images/*.png: each task with routes, and the ways its demonstrator takes.  python docs/pictures.py"""

import os
from itertools import pairwise
from pathlib import Path

os.environ.setdefault("MUJOCO_GL", "egl")

import mujoco
import numpy as np
import pgcontrol_envs
import torch
from pgcontrol_envs.demonstrators import Demonstrator
from PIL import Image

from pgcontrol.rendering.film import Stage

SIZE = 640, 480
ROUND = np.eye(3).ravel()


class Traces(Stage):
    """A stage with lines drawn into the air: [(points [T, 3], rgba)]."""

    lines: list[tuple[np.ndarray, np.ndarray]] = []  # noqa: RUF012

    def shoot(self, lookat: np.ndarray) -> np.ndarray:
        """The picture with the lines."""
        update = self._renderer.update_scene

        def with_lines(*args):
            update(*args)
            for points, rgba in self.lines:
                for one, two in pairwise(points):
                    self.segment(one, two, rgba)

        self._renderer.update_scene = with_lines
        return super().shoot(lookat)

    def segment(self, one: np.ndarray, two: np.ndarray, rgba: np.ndarray) -> None:
        """One straight piece of a line."""
        scene = self._renderer.scene
        geom = scene.geoms[scene.ngeom]
        kind = mujoco.mjtGeom.mjGEOM_CAPSULE
        mujoco.mjv_initGeom(geom, kind, np.zeros(3), np.zeros(3), ROUND, rgba.astype(np.float32))
        mujoco.mjv_connector(geom, kind, 0.004 * self.camera.distance / 1.5, one, two)
        geom.category = mujoco.mjtCatBit.mjCAT_DECOR
        scene.ngeom += 1


def walk(env_id: str, point, num_envs: int, stop: int) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """Where point(task) [N, 3] went in an episode by each route, the routes, and qpos of env 0 at step `stop`."""
    env = pgcontrol_envs.make(env_id, num_envs, seed=3)
    env.reset()
    demonstrator = Demonstrator(env, seed=0)
    demonstrator.route[:] = np.arange(num_envs) % demonstrator.routes
    going = torch.ones(num_envs, dtype=torch.bool)
    ways, shown, step = [[p] for p in point(env.task)], env.qpos(0), 0
    while going.any():
        out = env.step(demonstrator.act(), going)
        step += 1
        if step == stop:
            shown = env.qpos(0)
        for i in going.nonzero().flatten().tolist():
            ways[i].append(point(env.task)[i])
        going &= ~(out.terminated | out.truncated)
    return [np.array(way) for way in ways], demonstrator.route.copy(), shown


def on_floor(task) -> np.ndarray:
    """The disc's place, just above the floor."""
    return np.concatenate((task.place, np.full_like(task.place[:, :1], 0.01)), -1)


def of_tip(task) -> np.ndarray:
    """The tip's place, just before the arm."""
    x, z = task.tip().T
    return np.stack((x, np.full_like(x, -0.03), z), -1)


def colour(k: int, of: int) -> np.ndarray:
    """The k-th of so many colours around the wheel."""
    hue = 6 * k / of
    rgb = [np.clip(abs((hue + shift) % 6 - 3) - 1, 0, 1) for shift in (0, 4, 2)]
    return np.array([*(0.15 + 0.75 * np.array(rgb)), 1.0])


def main() -> None:
    """All pictures."""
    folder = Path(__file__).parent / "images"
    folder.mkdir(exist_ok=True)
    plans = {
        "Bandit-v0": (lambda task: np.zeros((task.pointer.size, 3)), 1, 1),
        "Fork-v0": (on_floor, 2, 5),
        "MultiGoal-v0": (on_floor, 4, 0),
        "Avoiding-v0": (on_floor, 24, 0),
        "Needle-v0": (of_tip, 1, 100),
    }
    for env_id, (point, num_envs, stop) in plans.items():
        ways, routes, shown = walk(env_id, point, num_envs, stop)
        stage = Traces(pgcontrol_envs.catalog()[env_id](), SIZE)
        stage.lines = [
            (way, colour(r, max(num_envs, 3))) for way, r in zip(ways, routes, strict=True) if np.ptp(way) > 0
        ]
        picture = Image.fromarray(stage.shoot(stage.pose(shown))).quantize(96, dither=Image.Dither.NONE)
        picture.save(folder / f"{env_id}.png", optimize=True)
        print(env_id, (folder / f"{env_id}.png").stat().st_size)


if __name__ == "__main__":
    main()
