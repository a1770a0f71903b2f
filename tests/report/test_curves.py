"""The picture beside the tables."""

from matplotlib.axes import Axes
from matplotlib.colors import to_hex

from pgcontrol.report import tables
from pgcontrol.report.queries import Study
from pgcontrol.sweep import results
from pgcontrol.sweep.row import Row
from pgcontrol.sweep.sweep import Key


def test_an_arm_keeps_its_colour_where_others_lack_the_metric(sweep, monkeypatch):
    colours: dict[str, set[str]] = {}
    plot = Axes.plot

    def spy(axis, *args, label, **more):
        lines = plot(axis, *args, label=label, **more)
        colours.setdefault(label.split(" (n=")[0], set()).add(to_hex(lines[0].get_color()))
        return lines

    monkeypatch.setattr(Axes, "plot", spy)
    rows = dict(results.read(sweep))
    for key, row in rows.items():
        if key[1] == "gaussian":
            rows[key] = without(row, "train/kl")
    assert tables.plot(Study(sweep, rows)).startswith(b"\x89PNG")
    assert all(len(found) == 1 for found in colours.values())
    assert len({colour for found in colours.values() for colour in found}) == len(sweep.arms())


def test_a_run_that_lacks_a_metric_is_left_out_of_its_panel_alone(sweep, monkeypatch):
    rows = dict(results.read(sweep))
    for seed in (1, 3):
        key = Key("Fork-v0", "bins", seed)
        rows[key] = without(rows[key], "train/kl")
    labels, plot = [], Axes.plot
    monkeypatch.setattr(
        Axes, "plot", lambda axis, *a, label, **k: labels.append(label) or plot(axis, *a, label=label, **k)
    )
    tables.plot(Study(sweep, rows))
    assert labels.count("bins (n=5)") == 1  # the return of Fork
    assert labels.count("bins (n=3)") == 1  # the KL there


def without(row: Row, metric: str) -> Row:
    return row.changed(curves={name: curve for name, curve in row.line["curves"].items() if name != metric})
