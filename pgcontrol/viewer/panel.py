"""The viewer's panel next to the scene: each joint's action distribution in this state, and the chosen action."""

from dataclasses import dataclass

import numpy as np
from mujoco.studio import messages, plugin
from mujoco.studio.dear_imgui import dear_imgui as imgui
from mujoco.studio.implot import implot
from pgcontrol_envs.task import Camera

from pgcontrol.play.density import COLUMNS, histograms, smooth

WIDTH, PLOT_HEIGHT = 280.0, 48.0


@dataclass(frozen=True, eq=False)
class Moment(messages.Snapshot):
    """One choice, as a message from the simulation to the viewer.

    Attributes:
        source: which policy plays; empty for an agent without a policy.
        low: [A], lower bounds of the joints.
        high: [A], upper bounds of the joints.
        action: [A], the chosen action; the first one of a chunk.
        draws: [count, A] samples of the agent's actions in this state; no rows for an agent that does not sample.
        discrete: whether the agent chooses among values, such as bins.
    """

    title: str
    source: str
    line: str
    joints: tuple[str, ...]
    low: np.ndarray
    high: np.ndarray
    action: np.ndarray
    draws: np.ndarray
    discrete: bool


def histogram(draws: np.ndarray, low: float, high: float, discrete: bool) -> tuple[np.ndarray, np.ndarray]:
    """Draws [count] of one joint -> places [COLUMNS] and heights [COLUMNS] of at most 1.

    Discrete values (bins, tokens) are columns. A continuous distribution is smoothed to remove sampling noise, except
    at the bounds, where clipping makes a column of its own.
    """
    unit = (2 * draws - low - high) / (high - low)
    heights = histograms(unit[:, None, None])[0, 0] / len(draws)
    if not discrete:
        heights = smooth(heights, 3)
    return np.linspace(low, high, COLUMNS), heights / heights.max()


class Panel(plugin.ViewerPlugin):
    """The panel, and the task's own camera."""

    def __init__(self, camera: Camera | None):
        self._camera, self._screen = camera, (0.0, 0.0)
        self._moment: Moment | None = None
        self._open = True

    @messages.handler(priority=0)
    def on_post_model(self, event: messages.PostModelEvent) -> None:
        """Use the task's camera; this runs after Studio has set its own."""
        if self._camera is None or event.model.nu == 0:
            return
        ours, camera = self._camera.of(event.model), self.viewer.camera
        for name in ("type", "trackbodyid", "distance", "azimuth", "elevation"):
            setattr(camera, name, getattr(ours, name))
        camera.lookat[:] = ours.lookat

    @messages.handler
    def on_moment(self, moment: Moment) -> None:
        """Keep the newest message."""
        self._moment = moment

    @messages.handler
    def on_build_gui(self, _: messages.BuildGuiEvent) -> None:
        """Draw the panel at the right edge; it can be dragged away."""
        if imgui.BeginMainMenuBar():
            if imgui.BeginMenu("View"):
                self._open ^= imgui.MenuItem("Policy", "", self._open)
                imgui.EndMenu()
            imgui.EndMainMenuBar()
        if (moment := self._moment) is None or not self._open:
            return
        joints = len(moment.joints)
        screen = (imgui.GetIO().DisplaySize.x, imgui.GetIO().DisplaySize.y)
        # a browser reports its size only after the first frames
        when = imgui.Cond.FirstUseEver if screen == self._screen else imgui.Cond.Always
        self._screen = screen
        height = min(screen[1] - 90, 96 + joints * (PLOT_HEIGHT + 24))
        imgui.SetNextWindowPos(imgui.Vec2(screen[0] - WIDTH - 12, 36), int(when))
        imgui.SetNextWindowSize(imgui.Vec2(WIDTH, height), int(when))
        shown, self._open = imgui.Begin("Policy", self._open)
        if shown:
            for words in (moment.title, moment.source, moment.line):
                if words:
                    imgui.TextUnformatted(words)
            for joint in range(joints):
                self._joint(moment, joint)
        imgui.End()

    def _joint(self, moment: Moment, joint: int) -> None:
        low, high = float(moment.low[joint]), float(moment.high[joint])
        action, draws = float(moment.action[joint]), moment.draws[:, joint]
        words = f"{moment.joints[joint]}  {action:+.2f}"
        if len(draws):  # Studio's font has no σ
            words += f"  std {float(draws.std()) / (0.5 * (high - low)):.2f}"
        imgui.TextUnformatted(words)
        flags = implot.Flags.CanvasOnly.value | implot.Flags.NoInputs.value
        if not implot.BeginPlot(f"##joint{joint}", imgui.Vec2(-1, PLOT_HEIGHT), flags):
            return
        plain = implot.AxisFlags.NoDecorations.value
        implot.SetupAxes("", "", plain, plain)
        edge = 0.02 * (high - low)  # so that columns on a bound are fully visible
        implot.SetupAxesLimits(low - edge, high + edge, 0.0, 1.08, int(implot.Cond.Always.value))
        if len(draws):
            places, heights = histogram(draws, low, high, moment.discrete)
            if moment.discrete:
                implot.PlotBars("distribution", places.tolist(), heights.tolist(), (high - low) / COLUMNS)
            else:
                implot.PlotShaded("distribution", places.tolist(), heights.tolist())
        implot.PlotLine("chosen", [action, action], [0.0, 1.08])
        implot.EndPlot()
