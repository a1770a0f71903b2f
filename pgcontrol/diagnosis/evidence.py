"""What a person can look at: curves with the onset in them, and the scene with the action distribution drawn on it."""

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
ARMS = {"widened": "c0", "alone": "c1"}  # and their colours
Branches = Mapping[str, Sequence[LogRows]]  # arm of `ARMS` -> the rows of each of its branches
SPAN = 5.0  # values that span more than this factor are shown on a log scale
# pixels: width of the histograms, room for the joints' names, and height that many joints share
STRIPS, LEFT, TALLEST = 320, 62, 460


class Mark(NamedTuple):
    """An action worth pointing at.

    Attributes:
        action: [A], in half-ranges.
        worth: mean return from there on; None: not tried.
    """

    name: str
    action: np.ndarray
    worth: float | None = None

    @property
    def label(self) -> str:
        """For a key."""
        return self.name if self.worth is None else f"{self.name}, return {self.worth:.2f}"


def marked(decision: Decision, state: int) -> list[Mark]:
    """The candidates at one state, with what they are worth there."""
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
    """Over training: spread of each joint, return, what a step of the params costs, KL; the last two against spread.

    And the spread against the return, with the place where half of it was spent.

    Args:
        rows: of metrics.jsonl.
        verdicts: those that have a step are marked at it.
        limits: what is narrow.
        title: names the run.
        joints: their names.
        branches: of the run, if there are any.

    Returns:
        A file of SVG.
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
    for name, told in costs:
        at, values = column(rows, name)
        row = [over_time(told, [Line(name, "base", at, values)], spans(values, SPAN))]
        if len(steps) and len(at):
            row.append(_against(f"{title}: {told}", np.interp(at, steps, spread.min(1)), values))
        charts.append(row)
    if chart := _spent(rows, title):
        charts.append([chart])
    words = [f"{verdict.word} from step {step:,} on" for verdict, step in dated]
    return sheet(title, charts, [Entry(said, look) for said, (_, look) in zip(words, uprights, strict=True)])


def _spread(
    steps: np.ndarray, spread: np.ndarray, joints: Sequence[str], limits: Limits, last: float
) -> tuple[str, list[Line], bool, list[Entry]]:
    """Each joint's curve, and dashed the limit of all, or of each where they differ; key of a few."""
    drawn = [Line(name, hue(j), steps, values) for j, (name, values) in enumerate(zip(joints, spread.T, strict=False))]
    narrow = limits.narrow(spread[0]) if len(spread) else np.array([limits.share])
    alike = bool(np.ptp(narrow) < 1e-9)
    told = "narrow below" + ("" if alike else ", each")
    looks = ["base d1"] if alike else [f"c{j % HUES} d1" for j in range(len(narrow))]
    ends = np.array([0.0, last])
    dashed = [Line(told, look, ends, np.full(2, limit)) for look, limit in zip(looks, narrow, strict=False)]
    few = drawn if len(drawn) <= HUES else [drawn[0], drawn[-1]]
    key = [Entry(line.name, line.colour) for line in few] + [Entry(told, "base d1")]
    log = spans(np.concatenate([spread.ravel(), narrow]), SPAN)
    return "spread of the actions in a state, half-ranges", [*drawn, *dashed], log, key


def _returns(rows: LogRows, branches: Branches) -> tuple[str, list[Line], bool, list[Entry]]:
    """Curves of the samples that train, and dots of what the mode was worth, which branches are compared by."""
    runs = [("the run", "base", rows)]
    runs += [(arm, look, of_run) for arm, look in ARMS.items() for of_run in branches.get(arm, ())]
    drawn = [Line(name, look, *column(of_run, RETURN)) for name, look, of_run in runs]
    worth = [Line(name, look, *column(of_run, WORTH), look="dots") for name, look, of_run in runs]
    dots = [line for line in worth if len(line.x)]
    key = [Entry("the run", "base")]
    for arm, of_arm in branches.items():
        key.append(Entry(f"{arm}, {len(of_arm)} branch{'es' if len(of_arm) > 1 else ''}", ARMS[arm]))
    title = "return in training" + ("; dots: of the mode, evaluated" if dots else "")
    return title, [*dots, *drawn], False, key if len(runs) > 1 else []


def _spent(rows: LogRows, title: str) -> Chart | None:
    """The mean spread over the return, from the start to the end; where half of it was spent. None: nothing to draw."""
    spent, (steps, spread), (at, returns) = spending(rows), spreads(rows), column(rows, RETURN)
    if spent is None:
        return None
    mean, reached = np.exp(np.log(np.maximum(spread, 1e-6)).mean(1)), np.interp(steps, at, smooth(returns))
    name = "mean spread against the return, half-ranges"
    mark = f"half of a {spent.fall:.1f}-fold fall is over at step {spent.step:,}, with {spent.gained:.0%} of the gain"
    axes = Axes("return in training", name, spans(mean, SPAN))
    upright = float(reached[np.argmin(np.abs(steps - spent.step))]), "onset d0"
    drawn = [Line("the run", "base", reached, mean)]
    return lines(f"{title}: {name}", drawn, axes, uprights=[upright], entries=[Entry(mark, "onset d0")])


def _against(label: str, least: np.ndarray, values: np.ndarray) -> Chart:
    """Values over the least spread at the same steps, log-log: a cloud, later points stronger."""
    drawn = [Line("a run of updates", "c0", least, values, look="cloud")]
    log, log_x = spans(values, 0.0), spans(least, 0.0)
    axes = Axes("least spread of a joint, half-ranges", "the same against the least spread", log, log_x=log_x)
    key = [Entry("the stronger, the later", "c0", "run")]
    return lines(f"{label}, against the least spread", drawn, axes, entries=key)


def scene(still: Still | None, draws: np.ndarray, marks: Sequence[Mark], title: str, joints: Sequence[str]) -> str:
    """A state's picture, and beside it what the policy might do there; pushes in a plane are drawn in the picture too.

    Args:
        still: None where it cannot be drawn.
        draws: [D, A] actions, in half-ranges.
        marks: actions to be marked.
        title: names the run and the state.
        joints: their names.

    Returns:
        A file of SVG.
    """
    charts, key = [_strips(title, draws, marks, joints)], _badges(marks)
    if still is not None:
        charts.insert(0, _picture(title, still, draws, marks))
        if still.push is not None:
            key.append(Entry(f"yellow: {len(draws):,} draws, within the bounds of the push (dotted)", "draws", "run"))
    return sheet(title, [charts], key)


def _badges(marks: Sequence[Mark]) -> list[Entry]:
    """How each mark looks: what is played and the mean always the same, the others by number."""
    looks = {PLAYED: ("P", "base"), MEAN: ("M", f"c{HUES - 1}")}
    others = [mark.name for mark in marks if mark.name not in looks]
    looks |= {name: (str(i + 1), f"c{i % (HUES - 1)}") for i, name in enumerate(others)}
    return [Entry(mark.label, looks[mark.name][1], "badge", looks[mark.name][0]) for mark in marks]


def _picture(label: str, still: Still, draws: np.ndarray, marks: Sequence[Mark]) -> Chart:
    """The scene; in it the draws as a cloud at the body they push, marks as arrows from it, and how far they reach."""
    height, width = still.picture.shape[:2]
    pushes = _pushes(still.push, draws, marks) if still.push else []
    return Chart(f"{label}: the scene", [image(still.picture, (0, 0, width, height)), *pushes], (width, height))


def _pushes(push: Push, draws: np.ndarray, marks: Sequence[Mark]) -> list[str]:
    corners = push.pixels(np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]))
    drawn = [f'<path class="bound" d="M{"L".join(f"{x:.1f} {y:.1f}" for x, y in corners)}Z"/>']
    places, counts = np.unique(draws.round(3), axis=0, return_counts=True)
    # of a head that has few values, many draws are one point: its area tells how many
    radii = np.sqrt(5 + 1150 * counts / len(draws))
    drawn += [dot("draw", x, y, radius) for (x, y), radius in zip(push.pixels(places), radii, strict=True)]
    # what is played comes last, and the mean is larger: one is often where the other is
    for mark, entry in sorted(zip(marks, _badges(marks), strict=True), key=lambda pair: pair[0].name == PLAYED):
        (x1, y1), (x2, y2) = push.origin, push.pixels(mark.action)
        arrow = "".join(stroke(look, x1, y1, x2, y2) for look in ("halo", "arrow"))
        drawn.append(f'<g class="{entry.colour}">{arrow}</g>')
        drawn.append(badge(x2, y2, entry, 12 if mark.name == MEAN else 8))
    return drawn


def _strips(label: str, draws: np.ndarray, marks: Sequence[Mark], names: Sequence[str]) -> Chart:
    """A histogram for each joint, the first on top; marks stand in it one above the other, so that none hides one."""
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
