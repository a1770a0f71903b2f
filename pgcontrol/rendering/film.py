"""Draws recordings as a clip. This runs in the render process, which has set MUJOCO_GL before importing mujoco."""
# mujoco is an extension module without types
# pyright: reportAttributeAccessIssue=false

import functools
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import mujoco
import numpy as np
from pgcontrol_envs import plugins
from pgcontrol_envs.gym_copies import Copies, came
from pgcontrol_envs.physics import set_fields
from pgcontrol_envs.task import Camera, Task
from pgcontrol_envs.tasks import find
from pgcontrol_envs.vector import UnknownEnv
from PIL import Image, ImageOps

from pgcontrol.machine.graphics import SAMPLES, SHADOW_SIZE, RenderError
from pgcontrol.parts import require_named
from pgcontrol.rendering.clip_format import ClipFormat, Timing
from pgcontrol.rendering.encoding import DRIVER, check, encode
from pgcontrol.rendering.layout import Caption, Layout
from pgcontrol.rendering.meters import Meters
from pgcontrol.rendering.overlay import Overlay, panel_width
from pgcontrol.rendering.projection import free_camera, looked_at
from pgcontrol.rendering.recording import Recording

SKY = (0.86, 0.89, 0.92)
TILES = (np.array([150, 162, 172], np.uint8), np.array([118, 131, 143], np.uint8))
LIGHT = np.array([-0.25, 0.5, -0.83])
PERIOD = 2.0  # metres after which the floor repeats: a light and a dark tile
SETTLING = 0.5  # seconds, time constant of the camera's height: slower than a gait, faster than a fall


class Stage:
    """A task's model with a uniform look; all recordings of the task share it, because a GL context is expensive.

    The look changes only what is visible: floors of travelling agents have no end, all floors and skies look the same,
    and distant objects fade into the sky, so that videos side by side differ only in the agents. In software, it also
    renders in about half the time of the models' own look.
    """

    def __init__(self, task: Task, size: tuple[int, int]) -> None:
        self.camera, (self.model, self._order) = task.camera, task.look()
        self._changes = self.model is task.model  # a model that is only for display has other fields
        self.data = mujoco.MjData(self.model)
        self._travels = self.camera.track is not None
        _dress(self.model, self.camera, size)
        self._floor = np.flatnonzero(self.model.geom_type == mujoco.mjtGeom.mjGEOM_PLANE)
        self._renderer = mujoco.Renderer(self.model, height=size[1], width=size[0])
        self._view = free_camera(self.camera, self.model)

    def pose(self, qpos: np.ndarray, own: Mapping[str, np.ndarray]) -> np.ndarray:
        """Set the posture qpos [nq] and the recording's `own` values of model fields.

        Returns:
            The point [3] at which the camera must look.

        Raises:
            RenderError: qpos or a field does not fit the model.
        """
        if qpos.shape != self._order.shape:
            raise RenderError(f"the recording has {qpos.size} positions, but the task has {self._order.size}")
        try:
            set_fields(self.model, own if self._changes else {})
        except ValueError as error:
            raise RenderError(f"the recording belongs to another model: {error}") from None
        self.data.qpos[:] = qpos[self._order]
        mujoco.mj_kinematics(self.model, self.data)
        mujoco.mj_comPos(self.model, self.data)
        mujoco.mj_camlight(self.model, self.data)
        return looked_at(self.camera, self.model, self.data)

    def shoot(self, lookat: np.ndarray) -> np.ndarray:
        """Render the current posture, [height, width, 3] uint8."""
        if self._travels:
            # the floor moves along by whole periods, so that it seems to stand still and never ends; an infinite floor
            # (size 0) would be slower in MuJoCo than everything else
            self.data.geom_xpos[self._floor, :2] = PERIOD * np.round(lookat[:2] / PERIOD)
        self._view.lookat[:] = lookat
        self._renderer.update_scene(self.data, self._view)
        scene = self._renderer.scene
        scene.flags[mujoco.mjtRndFlag.mjRND_FOG] = True
        scene.flags[mujoco.mjtRndFlag.mjRND_SKYBOX] = False
        if self._travels:
            for light in scene.lights[: scene.nlight]:
                light.pos[:] = lookat - 3.0 * np.array(light.dir)  # shadows have a limited range
        _add_backdrop(scene, self.model.stat.extent * self.model.vis.map.fogend)
        return self._renderer.render()


class RecordedScene:
    """Draws recorded states. The camera keeps the agent in the middle, and changes its height slowly."""

    def __init__(self, recording: Recording, stage: Stage) -> None:
        assert recording.qpos is not None
        self._qpos, self._own = recording.qpos, recording.own
        self._dt, self._stage = recording.control_dt, stage
        self._height, self._step = stage.pose(self._qpos[0], self._own)[2], 0

    def draw(self, step: int) -> np.ndarray:
        """The image after `step` steps, 0 ≤ step ≤ T, never smaller than before: [height, width, 3] uint8."""
        lookat = self._stage.pose(self._qpos[step], self._own)
        follow = 1.0 - math.exp(-(step - self._step) * self._dt / SETTLING)
        self._height += follow * (lookat[2] - self._height)
        self._step = step
        lookat[2] = self._height
        return self._stage.shoot(lookat)


class ReplayedScene:
    """Plays the actions of a `gym:ID` recording again, and uses the environment's own images."""

    def __init__(self, recording: Recording, size: tuple[int, int]) -> None:
        assert recording.actions is not None
        self._recording, self._actions, self._size = recording, recording.actions, size
        try:
            plugins.loaded()  # the environment may be registered by one of the user's plug-ins
            require_named(recording.env_id)
            self._env = Copies(recording.env_id, 1, render_mode="rgb_array")
            self._env.reset([0], [recording.seed])
        except ValueError as error:
            raise RenderError(f"{recording.env_id} cannot be rendered: {' '.join(str(error).split())}") from error
        self._step = 0

    def draw(self, step: int) -> np.ndarray:
        """See `RecordedScene.draw`.

        Raises:
            RenderError: the rewards differ from the recorded ones, or the environment returns no image.
        """
        while self._step < step:
            reward = self._env.step(self._actions[None, self._step], [0]).reward[0]
            expected = self._recording.rewards[self._step]
            if not np.isclose(reward, expected, rtol=1e-4, atol=1e-6):
                raise RenderError(
                    f"{self._recording.env_id} is not deterministic given its seed, so no video can be rendered: "
                    f"reward {reward:.6g} at step {self._step + 1}, but {expected:.6g} was recorded"
                )
            self._step += 1
        picture = self._env.render(0)
        whole = isinstance(picture, np.ndarray) and picture.dtype.kind in "ui"
        if not whole or picture.ndim != 3 or picture.shape[2] not in (3, 4):
            expected = "whole numbers [height, width, 3], for render_mode rgb_array"
            raise RenderError(f"{self._recording.env_id}: render() returned {came(picture)}; expected {expected}")
        image, sky = Image.fromarray(picture[..., :3].astype(np.uint8)), tuple(round(255 * c) for c in SKY)
        return np.asarray(ImageOps.pad(image, self._size, color=sky))


Scene = RecordedScene | ReplayedScene


def film(recordings: Sequence[Recording], path: Path, clip: ClipFormat) -> Timing:
    """Render recordings side by side to an .mp4 file, and check the file.

    Recordings with action distributions show them in a panel next to their scene.

    Raises:
        RenderError: rendering or the check failed.
    """
    panel = panel_width(clip.size[0]) if any(r.distributions is not None for r in recordings) else 0
    layout, timing = Layout(len(recordings), clip.size, panel), clip.timing(recordings)
    encode(path, _pages(recordings, scenes(recordings, clip.size), layout, timing), timing.fps, clip.crf)
    check(path, timing.frames, layout.scenes, [r.env_id if r.replayed else DRIVER for r in recordings])
    return timing


def _pages(
    recordings: Sequence[Recording], pictures: Sequence[Scene], layout: Layout, timing: Timing
) -> Iterator[np.ndarray]:
    titles = _titles(recordings)
    panel = layout.panels[0].width, layout.panels[0].height
    overlays = {i: Overlay(r.distributions, panel) for i, r in enumerate(recordings) if r.distributions is not None}
    meters = {i: Meters(r.meters, r.control_dt, layout.scenes[i][2:]) for i, r in enumerate(recordings) if r.meters}
    drawn, page = [-1] * len(recordings), layout.blank()
    for frame in range(timing.frames):
        time = frame / timing.fps
        for i, recording in enumerate(recordings):
            dt, steps = recording.exact_dt, len(recording)
            step = min(int(time / dt), steps)
            score = float(recording.rewards[:step].sum())
            caption = Caption(*titles[i], recording.step, score, float(step * dt), ended=time > steps * dt)
            layout.write(page, i, caption)
            if step != drawn[i]:
                layout.scenes[i].of(page)[:] = pictures[i].draw(step)
                if i in meters:
                    meters[i].draw(layout.scenes[i].of(page), step)
                if i in overlays:
                    layout.panels[i].of(page)[:] = overlays[i].draw(step)
                drawn[i] = step
        yield page


def _titles(recordings: Sequence[Recording]) -> list[tuple[str, tuple[str, ...]]]:
    """The head, and other details; the run's name comes first if heads and steps do not differ."""
    alike = len({(r.head, r.step) for r in recordings}) < len(recordings)
    titles = []
    for r in recordings:
        details = [r.run, r.algorithm, r.env_id] if alike else [r.algorithm, r.env_id, r.run]
        titles.append((r.head or r.env_id, tuple(d for d in details if d)))
    return titles


def scenes(recordings: Sequence[Recording], size: tuple[int, int]) -> list[Scene]:
    """A scene for each recording, `size` = (width, height) in pixels.

    Raises:
        RenderError: an environment does not exist here, or does not fit its recording.
    """

    @functools.cache
    def stage(env_id: str) -> Stage:
        try:
            return Stage(find(env_id)(), size)
        except UnknownEnv:
            raise RenderError(f"the recording is of {env_id}, which is not a task here") from None

    return [ReplayedScene(r, size) if r.replayed else RecordedScene(r, stage(r.env_id)) for r in recordings]


def _dress(model: mujoco.MjModel, camera: Camera, size: tuple[int, int]) -> None:
    visual, distance = model.vis, camera.distance
    visual.global_.offwidth, visual.global_.offheight = size
    visual.quality.shadowsize, visual.quality.offsamples = SHADOW_SIZE, SAMPLES
    visual.headlight.ambient[:], visual.headlight.specular[:] = 0.35, 0.1
    visual.headlight.diffuse[:] = 0.4 if model.nlight else 0.6
    model.light_diffuse[:], model.light_specular[:] = 0.4, 0.1
    # with a vertical light, as in the models, floors would cast shadows on themselves
    model.light_dir[model.light_type == mujoco.mjtLightType.mjLIGHT_DIRECTIONAL] = LIGHT
    visual.rgba.fog[:] = (*SKY, 1.0)
    extent = model.stat.extent  # the unit of the following values
    visual.map.fogstart, visual.map.fogend = 3.0 * distance / extent, 10.0 * distance / extent
    visual.map.zfar = 3.0 * visual.map.fogend
    visual.map.shadowclip = distance / extent  # only near the agent, for a higher resolution of its shadow
    for geom in np.flatnonzero(model.geom_type == mujoco.mjtGeom.mjGEOM_PLANE):
        model.geom_rgba[geom] = 1.0
        if camera.track is not None:
            model.geom_size[geom] = 12.0 * distance  # to where the fog is complete; the third is the grid's spacing
        if (material := model.geom_matid[geom]) >= 0:
            model.mat_texuniform[material], model.mat_texrepeat[material] = True, 1.0 / PERIOD
            model.mat_reflectance[material] = model.mat_specular[material] = 0.0
            _retile(model, model.mat_texid[material].max())
        else:
            model.geom_rgba[geom, :3] = 0.8


def _retile(model: mujoco.MjModel, texture: int) -> None:
    """Recolour the light and dark parts of a floor's texture."""
    if texture < 0 or model.tex_nchannel[texture] != 3:
        return
    begin, count = model.tex_adr[texture], model.tex_height[texture] * model.tex_width[texture] * 3
    pixels = model.tex_data[begin : begin + count].reshape(-1, 3)
    pixels[:] = np.where(pixels.mean(1, keepdims=True) > 100, *TILES)


def _add_backdrop(scene: mujoco.MjvScene, distance: float) -> None:
    """Add a wall behind everything, where the fog is complete: a sky without a horizon."""
    eye, wall = scene.camera[0], scene.geoms[scene.ngeom]
    forward, up = np.array(eye.forward, np.float64), np.array(eye.up, np.float64)
    frame = np.stack([np.cross(up, forward), up, forward], 1)
    size, place = np.array([20.0, 20.0, 0.01]) * distance, np.array(eye.pos) + 1.5 * distance * forward
    color = np.array([*SKY, 1.0], np.float32)
    mujoco.mjv_initGeom(wall, mujoco.mjtGeom.mjGEOM_BOX, size, place, frame.ravel(), color)
    wall.category = mujoco.mjtCatBit.mjCAT_DECOR
    scene.ngeom += 1
