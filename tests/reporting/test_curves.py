"""The picture of curves next to the tables."""

import re
from xml.etree import ElementTree

from pgcontrol.reporting import figures
from pgcontrol.reporting.queries import Queries
from pgcontrol.sweep import results

SVG = "{http://www.w3.org/2000/svg}"


def panels(study: Queries) -> dict[str, tuple[str, dict[str, str]]]:
    """Each chart of the file: its title, and the classes of each arm's curve."""
    found = {}
    for chart in ElementTree.fromstring(figures.plot(study)).iterfind(f"{SVG}svg"):
        (title,) = [str(t.text) for t in chart.iterfind(f"{SVG}text") if t.get("text-anchor") == "start"]
        arms = {str(g.get("data-arm")): str(g.get("class")) for g in chart.iterfind(f"{SVG}g[@data-arm]")}
        found[chart.attrib["aria-label"]] = (title, arms)
    return found


def without_kl(rows: dict, arm: str, *seeds: int) -> dict:
    """Rows without the KL in these runs of an arm."""
    return {
        key: row.changed(curves={k: v for k, v in row.line["curves"].items() if k != "train/kl"})
        if key[1] == arm and (not seeds or key[2] in seeds)
        else row
        for key, row in rows.items()
    }


def test_a_file_has_a_chart_for_each_metric_and_task(sweep):
    found = panels(Queries(sweep, results.read(sweep)))
    tasks, metrics = ("Fork-v0", "HalfCheetah-v5"), ("rollout/ep_rew_mean", "train/kl")
    assert list(found) == [f"{task}: {metric}" for metric in metrics for task in tasks]


def test_an_arm_keeps_its_colour_where_others_lack_the_metric(sweep):
    found = panels(Queries(sweep, without_kl(results.read(sweep), "gaussian")))
    colours: dict[str, set[str]] = {}
    for _, arms in found.values():
        for arm, colour in arms.items():
            colours.setdefault(arm, set()).add(colour)
    assert all(len(of_arm) == 1 for of_arm in colours.values())
    assert len(set.union(*colours.values())) == len(sweep.arms())
    assert "gaussian" not in found["Fork-v0: train/kl"][1]


def test_a_run_that_lacks_a_metric_is_left_out_of_its_panel_alone(sweep):
    found = panels(Queries(sweep, without_kl(results.read(sweep), "bins", 1, 3)))
    n = {label: re.findall(r"\d+", title[len(label) :]) for label, (title, _) in found.items()}
    assert n["HalfCheetah-v5: rollout/ep_rew_mean"] == ["3", "4"]
    assert n["HalfCheetah-v5: train/kl"] == ["2", "3"]
