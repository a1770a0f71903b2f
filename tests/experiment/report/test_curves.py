"""The picture beside the tables."""

import csv
import shutil

from matplotlib.axes import Axes
from matplotlib.colors import to_hex

from pgcontrol.experiment import results, tables
from pgcontrol.experiment.report import publish
from pgcontrol.experiment.study import Study


def test_an_arm_keeps_its_colour_where_others_lack_the_metric(sweep, tmp_path, monkeypatch):
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
            rows[key] = row | {"curves": {k: v for k, v in row["curves"].items() if k != "train/kl"}}
    tables.plot(Study(sweep, rows), tmp_path / "curves.png")
    assert (tmp_path / "curves.png").exists()
    assert all(len(found) == 1 for found in colours.values())
    assert len({colour for found in colours.values() for colour in found}) == len(sweep.arms())


def test_a_run_that_lacks_a_metric_is_left_out_of_its_panel_alone(sweep, tmp_path, monkeypatch):
    rows = dict(results.read(sweep))
    for seed in (1, 3):
        key = ("Fork-v0", "bins", seed)
        rows[key] = rows[key] | {"curves": {k: v for k, v in rows[key]["curves"].items() if k != "train/kl"}}
    labels, plot = [], Axes.plot
    monkeypatch.setattr(
        Axes, "plot", lambda axis, *a, label, **k: labels.append(label) or plot(axis, *a, label=label, **k)
    )
    tables.plot(Study(sweep, rows), tmp_path / "curves.png")
    assert labels.count("bins (n=5)") == 1  # the return of Fork
    assert labels.count("bins (n=3)") == 1  # the KL there


def test_the_tables_say_what_the_page_says(sweep, tmp_path):
    moved = type(sweep)(**vars(sweep) | {"path": tmp_path / "study.yaml"})
    shutil.copy(sweep.results, moved.results)
    publish(moved, results.read(sweep), tmp_path / "runs", "none", False, lambda _: None)
    text = (tmp_path / "study.md").read_text()
    assert "On Fork-v0, bins did best: 202" in text
    assert "On Fork-v0, diverged: mixture in 1 of 5 runs" in text
    assert "| Fork-v0 | bins | 202 (200 … 204) | 182 | 1 (25 of 25 pairs) | 5 |" in text
    # the baseline's middle run ends at 98.4; bins, twice as high, are at the goal while theirs is at 0.4 of its own
    assert "% of the way from the first return to the baseline's (gaussian) last" in text
    assert "| Fork-v0 | bins | 160 | 4.8 | 5 of 5 |" in text  # 202 · (1 − e^(−160/300)) = 83.5
    assert "| Fork-v0 | mixture | – | – | 0 of 5 |" in text
    with (tmp_path / "study.csv").open() as file:
        lines = {(row["task"], row["arm"], row["seed"]): row for row in csv.DictReader(file)}
    assert lines["Fork-v0", "mixture", "0"]["diverged"] == "True"
    assert lines["Fork-v0", "mixture", "0"]["verdict"] == "sharp"
    assert lines["Fork-v0", "bins", "1"]["return"] == "201"
