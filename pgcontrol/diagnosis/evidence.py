"""The pictures of a diagnosis: curves with the onset, and the scene with the action distribution drawn on it."""

import itertools
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from pgcontrol.charts.chart import HUES, Chart, Entry, badge, dot, hue, sheet, stroke, text
from pgcontrol.charts.lines import Axes, Line, lines
from pgcontrol.charts.pictures import image, mass
from pgcontrol.charts.scale import Scale, number, spans
from pgcontrol.diagnosis.unimodality import MEAN, PLAYED, Decision
from pgcontrol.measures.collapse import spending
from pgcontrol.measures.curves import KL, RETURN, STEPS, LogRows, column, smooth, spreads
from pgcontrol.measures.verdicts import Limits, Verdict
from pgcontrol.rendering.projection import Push
from pgcontrol.rendering.still import Still

SENSITIVITY, WORTH = "health/sensitivity", "eval/mean_reward"
TIME = "environment steps"
ARMS = {"widened": "c0", "alone": "c1"}  # with their colours
Branches = Mapping[str, Sequence[LogRows]]  # arm of `ARMS` -> the rows of each of its branches
SPAN = 5.0  # values that span more than this factor are shown on a logarithmic scale
# pixels: width of the histograms, space for the joints' names, and total height if there are many joints
STRIPS, LEFT, TALLEST = 320, 62, 460


class Mark(NamedTuple):
    """A marked action.

    Attributes:
        action: [A], in half-ranges.
        worth: mean return after it; None: not tried.
    """

    name: str
    action: np.ndarray
    worth: float | None = None

    @property
    def label(self) -> str:
        """The text in the key."""
        return self.name if self.worth is None else f"{self.name}, return {self.worth:.2f}"


def marked(decision: Decision, state: int) -> list[Mark]:
    """The candidates in one state, with their returns."""
    value = decision.value
    return [Mark(name, action[state], float(value[name][state])) for name, action in decision.candidates.items()]


def curves(
    rows: LogRows,
    verdicts: Sequence[Verdict],
    limits: Limits,
    title: str,
    joints: Sequence[str],
    branches: Branches | None = None,
) -> str:
    """Curves over training: spread of each joint, return, sensitivity, KL; the last two also against the spread.

    Also the spread against the return, with the point at which half of it was lost.

    Args:
        rows: rows of metrics.jsonl.
        verdicts: those with a step are marked at it.
        limits: thresholds for "narrow".
        title: names the run.
        joints: names of the joints.
        branches: branches of the run, if there are any.

    Returns:
        The text of an SVG file.
    """
    steps, spread = spreads(rows)
    dated = [(verdict, verdict.step) for verdict in verdicts if verdict.step is not None]
    uprights = [(float(step), f"onset d{i % 4}") for i, (_, step) in enumerate(dated)]
    runs = [rows, *itertools.chain.from_iterable((branches or {}).values())]
    last = max(float(row[STEPS]) for of_run in runs for row in of_run)

    def over_time(name: str, drawn: Sequence[Line], log: bool, key: Sequence[Entry] = ()) -> Chart:
        axes = Axes(TIME, name, log, ends_x=(0.0, last))
        return lines(f"{title}: {name}", drawn, axes, uprights=uprights, entries=key)

    charts = [[over_time(*_spread(steps, spread, joints, limits, last)), over_time(*_returns(rows, branches or {}))]]
    costs = ((SENSITIVITY, "sensitivity: RMS score per joint"), (KL, "KL(before || after) of an update, nats"))
    for name, meaning in costs:
        at, values = column(rows, name)
        row = [over_time(meaning, [Line(name, "base", at, values)], spans(values, SPAN))]
        if len(steps) and len(at):
            row.append(_against(f"{title}: {meaning}", np.interp(at, steps, spread.min(1)), values))
        charts.append(row)
    if chart := _spent(rows, title):
        charts.append([chart])
    words = [f"{verdict.word} from step {step:,}" for verdict, step in dated]
    return sheet(title, charts, [Entry(said, look) for said, (_, look) in zip(words, uprights, strict=True)])


def _spread(
    steps: np.ndarray, spread: np.ndarray, joints: Sequence[str], limits: Limits, last: float
) -> tuple[str, list[Line], bool, list[Entry]]:
    """The curve of each joint, dashed the limit of all joints (or of each if they differ), and a key of a few."""
    drawn = [Line(name, hue(j), steps, values) for j, (name, values) in enumerate(zip(joints, spread.T, strict=False))]
    narrow = limits.narrow(spread[0]) if len(spread) else np.array([limits.share])
    alike = bool(np.ptp(narrow) < 1e-9)
    key_of_limit = "narrow below" + ("" if alike else ", each")
    looks = ["base d1"] if alike else [f"c{j % HUES} d1" for j in range(len(narrow))]
    ends = np.array([0.0, last])
    dashed = [Line(key_of_limit, look, ends, np.full(2, limit)) for look, limit in zip(looks, narrow, strict=False)]
    few = drawn if len(drawn) <= HUES else [drawn[0], drawn[-1]]
    key = [Entry(line.name, line.colour) for line in few] + [Entry(key_of_limit, "base d1")]
    log = spans(np.concatenate([spread.ravel(), narrow]), SPAN)
    return "spread of the actions in a state, half-ranges", [*drawn, *dashed], log, key


def _returns(rows: LogRows, branches: Branches) -> tuple[str, list[Line], bool, list[Entry]]:
    """Curves of the training return, and dots of the mode's evaluations, by which branches are compared."""
    runs = [("the run", "base", rows)]
    runs += [(arm, look, of_run) for arm, look in ARMS.items() for of_run in branches.get(arm, ())]
    drawn = [Line(name, look, *column(of_run, RETURN)) for name, look, of_run in runs]
    worth = [Line(name, look, *column(of_run, WORTH), look="dots") for name, look, of_run in runs]
    dots = [line for line in worth if len(line.x)]
    key = [Entry("the run", "base")]
    for arm, of_arm in branches.items():
        key.append(Entry(f"{arm}, {len(of_arm)} branch{'es' if len(of_arm) > 1 else ''}", ARMS[arm]))
    title = "return in training" + ("; dots: evaluations of the mode" if dots else "")
    return title, [*dots, *drawn], False, key if len(runs) > 1 else []


def _spent(rows: LogRows, title: str) -> Chart | None:
    """The mean spread over the return during training, and where half of it was lost. None: nothing to draw."""
    (steps, spread), (at, returns) = spreads(rows), column(rows, RETURN)
    spent = spending((steps, spread), (at, returns))
    if spent is None:
        return None
    mean, reached = np.exp(np.log(np.maximum(spread, 1e-6)).mean(1)), np.interp(steps, at, smooth(returns))
    name = "mean spread against the return, half-ranges"
    mark = f"half of a {spent.fall:.1f}-fold narrowing by step {spent.step:,}, after {spent.gained:.0%} of the gain"
    axes = Axes("return in training", name, spans(mean, SPAN))
    upright = float(reached[np.argmin(np.abs(steps - spent.step))]), "onset d0"
    drawn = [Line("the run", "base", reached, mean)]
    return lines(f"{title}: {name}", drawn, axes, uprights=[upright], entries=[Entry(mark, "onset d0")])


def _against(label: str, least: np.ndarray, values: np.ndarray) -> Chart:
    """Values over the smallest spread at the same steps, log-log: a cloud in which later points are stronger."""
    drawn = [Line("a run of updates", "c0", least, values, look="cloud")]
    log, log_x = spans(values, 0.0), spans(least, 0.0)
    axes = Axes("smallest joint spread, half-ranges", "the same against the smallest spread", log, log_x=log_x)
    key = [Entry("stronger points are later", "c0", "run")]
    return lines(f"{label}, against the smallest spread", drawn, axes, entries=key)


def scene(still: Still | None, draws: np.ndarray, marks: Sequence[Mark], title: str, joints: Sequence[str]) -> str:
    """A state's picture next to the policy's action distribution; pushes in a plane are also drawn in the picture.

    Args:
        still: None if it cannot be rendered.
        draws: [D, A] actions, in half-ranges.
        marks: actions to mark.
        title: names the run and the state.
        joints: names of the joints.

    Returns:
        The text of an SVG file.
    """
    charts, key = [_strips(title, draws, marks, joints)], _badges(marks)
    if still is not None:
        charts.insert(0, _picture(title, still, draws, marks))
        if still.push is not None:
            key.append(Entry(f"yellow: {len(draws):,} draws; dotted: the bounds of the push", "draws", "run"))
    return sheet(title, [charts], key)


def _badges(marks: Sequence[Mark]) -> list[Entry]:
    """The look of each mark: fixed for the played action and the mean, numbered for the others."""
    looks = {PLAYED: ("P", "base"), MEAN: ("M", f"c{HUES - 1}")}
    others = [mark.name for mark in marks if mark.name not in looks]
    looks |= {name: (str(i + 1), f"c{i % (HUES - 1)}") for i, name in enumerate(others)}
    return [Entry(mark.label, looks[mark.name][1], "badge", looks[mark.name][0]) for mark in marks]


def _picture(label: str, still: Still, draws: np.ndarray, marks: Sequence[Mark]) -> Chart:
    """The scene, with the draws as a cloud at the pushed body, marks as arrows from it, and the bounds."""
    height, width = still.picture.shape[:2]
    pushes = _pushes(still.push, draws, marks) if still.push else []
    return Chart(f"{label}: the scene", [image(still.picture, (0, 0, width, height)), *pushes], (width, height))


def _pushes(push: Push, draws: np.ndarray, marks: Sequence[Mark]) -> list[str]:
    corners = push.pixels(np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]))
    drawn = [f'<path class="bound" d="M{"L".join(f"{x:.1f} {y:.1f}" for x, y in corners)}Z"/>']
    places, counts = np.unique(draws.round(3), axis=0, return_counts=True)
    # a head with few values repeats them: the area of a point shows the number of draws
    radii = np.sqrt(5 + 1150 * counts / len(draws))
    drawn += [dot("draw", x, y, radius) for (x, y), radius in zip(push.pixels(places), radii, strict=True)]
    # the played action comes last, and the mean is larger, because they often coincide
    for mark, entry in sorted(zip(marks, _badges(marks), strict=True), key=lambda pair: pair[0].name == PLAYED):
        (x1, y1), (x2, y2) = push.origin, push.pixels(mark.action)
        arrow = "".join(stroke(look, x1, y1, x2, y2) for look in ("halo", "arrow"))
        drawn.append(f'<g class="{entry.colour}">{arrow}</g>')
        drawn.append(badge(x2, y2, entry, 12 if mark.name == MEAN else 8))
    return drawn


def _strips(label: str, draws: np.ndarray, marks: Sequence[Mark], names: Sequence[str]) -> Chart:
    """A histogram for each joint, the first on top; marks are at different heights, so that none hides another."""
    joints = draws.shape[1]
    step = max(TALLEST / joints, 30.0) if joints > 2 else 150.0
    x, bottom, tall = Scale(-1.025, 1.025, LEFT, STRIPS - 8), 8 + step * joints, 0.85 * step
    ticks = (-1.0, -0.5, 0.0, 0.5, 1.0)
    drawn = [stroke("grid", x(t), 8, x(t), bottom) for t in ticks]
    drawn += [text(x(t), bottom + 15, number(t), "middle") for t in ticks]
    title = f"action, half-ranges ({len(draws):,} draws)"
    drawn.append(text((x.start + x.end) / 2, bottom + 32, title, "middle", "title"))
    for joint, values in enumerate(draws.T):
        foot = 8 + step * (joint + 1)
        share, _ = np.histogram(values, 41, (x.low, x.high))
        drawn.append(text(LEFT - 8, foot - 0.4 * tall, names[joint], "end", "label"))
        drawn.append(f'<g opacity=".6">{mass(share / share.max(), x.start, x.end, foot, tall)}</g>')
        for place, (mark, entry) in enumerate(zip(marks, _badges(marks), strict=True), 1):
            at = x(mark.action[joint])
            drawn.append(f'<g class="{entry.colour}">{stroke("arrow", at, foot - tall, at, foot)}</g>')
            drawn.append(badge(at, foot - tall * place / (len(marks) + 1), entry, min(8, step / 6)))
    return Chart(f"{label}: {title}", drawn, (STRIPS, bottom + 40))
