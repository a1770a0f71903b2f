"""What a person can look at: curves with the onset in them, and the scene with the action distribution drawn on it."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib import colormaps, patheffects
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, FuncFormatter, LogLocator, MaxNLocator, NullLocator

from pgcontrol.diagnosis.unimodality import MEAN, PLAYED, Decision
from pgcontrol.measures.verdicts import KL, RETURN, Limits, Rows, Verdict, column, spreads
from pgcontrol.video.projection import Push
from pgcontrol.video.still import Still

SENSITIVITY, WORTH = "health/sensitivity", "eval/mean_reward"
HUES = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442")
"""That no common colour blindness mixes up (Okabe & Ito 2008)."""
INK, FAINT, BLAME, CLOUD = "#222222", "#999999", "#882255", "#FFF3A0"
ARMS = {"widened": HUES[0], "alone": HUES[1]}
WIDTH, DPI = 9.0, 150
"""Inches and pixels to the inch: letters are for a page on which the picture is 900 pixels wide."""
SMALL: dict[str, Any] = {"fontsize": 8, "framealpha": 0.85, "edgecolor": "none"}
SPAN = 5.0
"""Values that span more than this factor are shown on a log scale."""


class Mark(NamedTuple):
    """An action worth pointing at."""

    name: str
    action: np.ndarray
    """[A], in half-ranges."""
    worth: float | None = None
    """Mean return from there on; None: not tried."""

    @property
    def label(self) -> str:
        """For a legend."""
        return self.name if self.worth is None else f"{self.name}, return {self.worth:.2f}"


def marked(decision: Decision, state: int) -> list[Mark]:
    """The candidates at one state, with what they are worth there."""
    return [
        Mark(name, action[state], float(decision.value[name][state])) for name, action in decision.candidates.items()
    ]


def curves(
    rows: Rows,
    verdicts: Sequence[Verdict],
    limits: Limits,
    title: str,
    branches: Mapping[str, Sequence[Rows]] | None = None,
) -> Figure:
    """Over training: spread of each joint, return, what a step of the params costs, KL; the last two against spread.

    Args:
        rows: of metrics.jsonl.
        verdicts: those that have a step are marked at it.
        limits: what is narrow.
        title: names the run.
        branches: arm of `ARMS` -> the rows of each of its branches.
    """
    figure = Figure(figsize=(WIDTH, 9.0), dpi=DPI, layout="constrained")
    axes = figure.subplots(3, 2, gridspec_kw={"wspace": 0.04, "hspace": 0.06})
    steps, spread = spreads(rows)
    _spread(axes[0, 0], steps, spread, limits)
    _returns(axes[0, 1], rows, branches or {})
    bars = []
    for row, name, power, words in (
        (axes[1], SENSITIVITY, 1, "sensitivity: RMS score per joint"),
        (axes[2], KL, 2, "KL(before || after) of an update, nats"),
    ):
        at, values = column(rows, name)
        row[0].plot(at, values, linewidth=1, color=INK)
        row[0].set_title(words)
        _scale(row[0], "y", values)
        row[1].set_title("the same against the least spread")
        row[1].set_xlabel("least spread of a joint, half-ranges")
        if len(steps) and len(at):
            points = _against(row[1], at, np.interp(at, steps, spread.min(1)), values, power)
            bars.append((row[1], points))
    if bars:
        bar = figure.colorbar(bars[-1][1], ax=[axis for axis, _ in bars], format=EngFormatter(sep=""), aspect=40)
        bar.set_label("environment steps", fontsize=8)
        bar.ax.tick_params(labelsize=8)
    over_time = (axes[0, 0], axes[0, 1], axes[1, 0], axes[2, 0])
    last = max(axis.get_xlim()[1] for axis in over_time)
    for axis in over_time:
        axis.set(xlabel="environment steps", xlim=(0, last))
        axis.xaxis.set_major_formatter(EngFormatter(sep=""))
        axis.xaxis.set_major_locator(MaxNLocator(5))
    for axis in axes.flat:
        axis.spines[["top", "right"]].set_visible(False)
        axis.title.set_fontsize(9)
        axis.tick_params(labelsize=8)
        axis.xaxis.label.set_fontsize(8)
    lines = _onsets(over_time, verdicts)
    # words above all panels: beside its line, one would lie on a curve or on the next word
    told = {"title": title, "title_fontsize": 11, "fontsize": 9, "frameon": False}
    figure.legend(handles=lines, loc="outside upper center", ncols=2, **told)
    return figure


def scene(still: Still | None, draws: np.ndarray, marks: Sequence[Mark], title: str) -> Figure:
    """A state's picture, and beside it what the policy might do there; pushes in a plane are drawn in the picture too.

    Args:
        still: None where it cannot be drawn.
        draws: [D, A] actions, in half-ranges.
        marks: actions to be marked.
        title: names the run and the state.
    """
    styles = _styles(marks)
    handles = [Line2D([], [], **look, linestyle="", label=mark.label) for mark, look in styles]
    if still is not None and still.push is not None:
        handles += [
            Line2D([], [], marker="o", linestyle="", color=CLOUD, markeredgecolor=INK, label=f"{len(draws):,} draws"),
            Line2D([], [], color=INK, linestyle=":", label="bounds of the push"),
        ]
    height = 5.1 + 0.2 * -(-len(handles) // 3)
    figure = Figure(figsize=(WIDTH if still is not None else 0.6 * WIDTH, height), dpi=DPI, layout="constrained")
    figure.suptitle(title, fontsize=10)
    if still is None:
        strips = figure.subplots()
    else:
        backdrop, strips = figure.subplots(1, 2, width_ratios=(2.3, 1))
        backdrop.imshow(still.picture)
        backdrop.axis("off")
        if still.push is not None:
            _pushes(backdrop, still.push, draws, styles)
    _strips(strips, draws, styles)
    figure.legend(handles=handles, loc="outside lower center", ncols=3 if still is not None else 2, **SMALL)
    return figure


def _spread(axis: Any, steps: np.ndarray, spread: np.ndarray, limits: Limits) -> None:
    joints = spread.shape[1]
    narrow = limits.narrow(spread[0]) if len(spread) else np.array([limits.share])
    few = joints <= len(HUES)
    hues = HUES if few else colormaps["viridis"](np.linspace(0, 0.95, joints))
    for joint, line in enumerate(spread.T):
        axis.plot(steps, line, linewidth=1.2, color=hues[joint], label=f"joint {joint}")
    handles = axis.lines[:] if few else [axis.lines[0], axis.lines[-1]]
    alike = np.ptp(narrow) < 1e-9
    for limit, hue in ((narrow[0], INK),) if alike else zip(narrow, hues, strict=False):
        axis.axhline(limit, color=hue, linestyle="--", linewidth=0.9, alpha=0.8 if alike else 0.5)
    dashed = Line2D(
        [], [], color=INK, linestyle="--", linewidth=0.9, label="narrow below" + ("" if alike else ", each")
    )
    axis.legend(handles=[*handles, dashed], **SMALL, ncols=2)
    axis.set_title("spread of the actions in a state, half-ranges")
    _scale(axis, "y", spread, narrow)


def _returns(axis: Any, rows: Rows, branches: Mapping[str, Sequence[Rows]]) -> None:
    """Curves of the samples that train, and dots of what the mode was worth, which branches are compared by."""
    drawn = [(rows, INK, "the run", 1.2)]
    for arm, hue in ARMS.items():
        of_arm = branches.get(arm, ())
        told = f"{arm}, {len(of_arm)} branch{'es' if len(of_arm) > 1 else ''}"
        drawn += [(branch, hue, "" if i else told, 0.9) for i, branch in enumerate(of_arm)]
    seen, dotted = [], False
    for of_run, hue, told, width in drawn:
        steps, values = column(of_run, RETURN)
        axis.plot(steps, values, linewidth=width, color=hue, label=told or None)
        evaluated, worth = column(of_run, WORTH)
        if len(worth):
            axis.plot(evaluated, worth, "o", markersize=5, color=hue, markeredgecolor="white", clip_on=False)
            dotted = True
        seen += [values, worth]
    if len(drawn) > 1:
        axis.legend(**SMALL)
    axis.set_title("return in training" + ("; dots: of the mode, evaluated" if dotted else ""))
    _scale(axis, "y", *seen, log=False)


def _against(axis: Any, at: np.ndarray, least: np.ndarray, values: np.ndarray, power: int) -> Any:
    """Values over the least spread at the same steps, log-log; returns the points, coloured by step.

    The dotted line through the middle of the points has a Gaussian's slope, whose score goes with 1/σ, and KL, of steps
    as large as each other, with its square (see health.sensitivity).
    """
    points = axis.scatter(least, values, c=at, s=10, cmap="viridis")
    middle = np.median(values * least**power)
    ends = np.array([least[least > 0].min(initial=np.inf), least.max()])
    if middle > 0 and ends[0] < ends[1]:
        word = "a Gaussian's: 1/spread" if power == 1 else "a Gaussian's, by equal steps: 1/spread²"
        axis.plot(ends, middle / ends**power, ":", color=FAINT, linewidth=1.2, label=word)
        axis.legend(**SMALL)
    _scale(axis, "x", least, log=True)
    _scale(axis, "y", values, log=True)
    return points


def _scale(axis: Any, which: str, *values: np.ndarray, log: bool | None = None) -> None:
    """Limits, scale and plain ticks of an axis: matplotlib's own read 5.005×10¹ or +1e-5 where a curve is flat.

    With `log` None the scale is logarithmic where values span more than `SPAN`; never where some are negative.
    """
    found = np.concatenate([v.ravel() for v in values])
    found = found[np.isfinite(found)]
    positive = found[found > 0]
    if not len(found):
        return
    ruler = axis.xaxis if which == "x" else axis.yaxis
    low, high = found.min(), found.max()
    logs = len(positive) > 0 and low >= 0 and log is not False
    wide = logs and high > SPAN * positive.min()
    if logs and (wide or log):
        low = positive.min()
        room = max((high / low) ** 0.06, 1.05)
        axis.set(**{f"{which}scale": "log", f"{which}lim": (low / room, high * room)})
    else:
        room = max(0.06 * (high - low), 0.05 * abs(high + low) / 2) or 1.0
        axis.set(**{f"{which}lim": (low - room, high + room)})
    ruler.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high < 30 * low else (1.0,)) if wide else MaxNLocator(5))
    ruler.set_minor_locator(NullLocator())
    ruler.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _onsets(panels: Sequence[Any], verdicts: Sequence[Verdict]) -> list[Line2D]:
    """A line across each panel at each verdict's step, and one of each kind for the legend."""
    found = [(verdict, verdict.step) for verdict in verdicts if verdict.step is not None]
    lines = []
    for (verdict, step), dash in zip(found, itertools.cycle(("-", "--", "-.", ":")), strict=False):
        style: dict[str, Any] = {"color": BLAME, "linestyle": dash, "linewidth": 1.2}
        for axis in panels:
            axis.axvline(step, **style)
        lines.append(Line2D([], [], label=f"{verdict.word} from step {step:,} on", **style))
    return lines


def _styles(marks: Sequence[Mark]) -> list[tuple[Mark, dict[str, Any]]]:
    """With each mark how it looks: what is played and the mean always the same, later ones smaller and on top."""
    own = {PLAYED: ("*", INK), MEAN: ("X", "#8c564b")}
    others = [mark.name for mark in marks if mark.name not in own]
    hues, shapes = itertools.cycle(HUES[1:-1]), itertools.cycle("osD^v<>p")
    own |= {name: (next(shapes), next(hues)) for name in others}
    sizes = np.linspace(11, 7, len(marks))
    found = []
    for place, (mark, size) in enumerate(zip(marks, sizes, strict=True)):
        shape, hue = own[mark.name]
        played = mark.name == PLAYED
        order = 4 + (len(marks) if played else place)
        if mark.name in (PLAYED, MEAN):  # one is often where the other is: the cross shows behind the star
            size = 11 if played else 14
        look = {"marker": shape, "color": hue, "markersize": size, "zorder": order}
        found.append((mark, look | {"markeredgecolor": "white"}))
    return found


def _pushes(axis: Any, push: Push, draws: np.ndarray, styles: Sequence[tuple[Mark, dict[str, Any]]]) -> None:
    """The draws as a cloud at the body they push, marks as arrows from it, and how far they can reach."""
    corners = push.pixels(np.array([(-1, -1), (1, -1), (1, 1), (-1, 1), (-1, -1)]))
    edge = [patheffects.withStroke(linewidth=3, foreground="white")]
    axis.plot(*corners.T, color=INK, linestyle=":", linewidth=1.4, path_effects=edge)
    places, counts = np.unique(draws.round(3), axis=0, return_counts=True)
    # of a head that has few values, many draws are one point: its area tells how many
    axis.scatter(
        *push.pixels(places).T, s=3 + 700 * counts / len(draws), color=CLOUD, alpha=0.6, linewidth=0, zorder=2.5
    )
    for mark, look in styles:
        shaft = np.stack((push.origin, push.pixels(mark.action))).T
        axis.plot(*shaft, color=look["color"], linewidth=1.6, path_effects=edge, zorder=3)
        axis.plot(*shaft[:, 1:], **look)
    axis.set(xlim=(0, push.view.size[0]), ylim=(push.view.size[1], 0))


def _strips(axis: Any, draws: np.ndarray, styles: Sequence[tuple[Mark, dict[str, Any]]]) -> None:
    """A histogram for each joint, the first on top; marks stand in it one above the other, so that none hides one."""
    joints = draws.shape[1]
    for joint, values in enumerate(draws.T):
        share, edges = np.histogram(values, 41, (-1.025, 1.025))
        base = joints - 1 - joint
        axis.bar(
            edges[:-1], 0.85 * share / share.max(), edges[1] - edges[0], base, align="edge", color=HUES[0], alpha=0.6
        )
        axis.axhline(base, color=FAINT, linewidth=0.6)
    base = np.arange(joints)[::-1]
    for place, (mark, look) in enumerate(styles, 1):
        axis.vlines(mark.action, base, base + 0.85, color=look["color"], linewidth=1.2)
        axis.plot(mark.action, base + 0.85 * place / (len(styles) + 1), linestyle="", **look)
    axis.set(xlim=(-1.1, 1.1), ylim=(-0.05, joints), xticks=(-1, -0.5, 0, 0.5, 1))
    axis.set_yticks(base + 0.4, [f"joint {joint}" for joint in range(joints)])
    axis.tick_params(axis="y", length=0)
    axis.tick_params(labelsize=8)
    axis.spines[["top", "right", "left"]].set_visible(False)
    axis.set_xlabel(f"action, half-ranges ({len(draws):,} draws)", fontsize=8.5)
