"""The page of a search: its trials, its choice, and how certain it is."""

import re
import shutil
from dataclasses import replace

import pytest
import yaml

from pgcontrol.reporting import page, searched, tables
from pgcontrol.reporting.compare import publish
from pgcontrol.reporting.queries import Queries
from pgcontrol.sweep import searching, trials
from pgcontrol.sweep.sweep import Sweep, read_sweep
from tests.sweep.searches import RATE, SEARCH, Scripted, written
from tests.sweep.worlds import row_of

SETTINGS = {"algorithm.learning_rate": 1e-3}


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Sweep:
    """A search of six trials for each arm, some of which were stopped early."""
    folder = tmp_path_factory.mktemp("search")
    tree = yaml.safe_load(SEARCH)
    tree["search"]["trials"] = 6
    sweep = written(folder, yaml.safe_dump(tree, sort_keys=False))
    assert searching.search(sweep, Scripted(), folder / "search", print)
    return read_sweep(sweep.path)


@pytest.fixture
def sweep(made, tmp_path) -> Sweep:
    for file in made.path.parent.glob("s.*"):
        shutil.copy(file, tmp_path)
    return read_sweep(tmp_path / "s.yaml")


def words(sweep: Sweep, *scores: list[float]) -> str:
    """The text on trials with these scores, one per seed."""
    rows = [row for row in trials.read(trials.file_of(sweep.path)) if row.arm == "gaussian"]
    some = [
        replace(row, state="finished", scores={"task": each}, returns={"task": each})
        for row, each in zip(rows, scores, strict=False)
    ]
    trials.write(trials.file_of(sweep.path), some)
    (paragraph,) = searched.words(Queries(sweep, {}))
    return f"{paragraph.lead} {paragraph.rest}"


def test_the_page_shows_trials_choice_and_top(sweep):
    queries = Queries(sweep, {cell.key: row_of(cell) for cell in sweep.cells})
    text = page.write(queries).read_text()
    rows = trials.read(trials.file_of(sweep.path))
    for name in ("algorithm.learning_rate", "head.bins"):
        (drawn,) = re.findall(rf"<h3>The search: {name}</h3>(.*?)</figure>", text, re.DOTALL)
        there = [row for row in rows if name in row.settings]
        finished = sum(row.finished for row in there)
        arms = {row.arm for row in there}
        assert drawn.count('class="run"') == finished
        assert drawn.count('class="hollow"') == len(there) - finished
        assert drawn.count('class="ring"') == len(arms)  # around each choice
        assert "n = " in drawn
    for arm in ("gaussian", "bins"):
        assert f"<h3>The search: best of {arm}</h3>" in text
        best = trials.best(rows, arm).trials[0]
        assert f"<strong>{arm}: algorithm.learning_rate {best.settings['algorithm.learning_rate']:.3g}" in text
    assert 'href="#search"' in text
    assert "<dt>from the search</dt>" not in text  # rows made by hand
    tables.write(queries)
    assert "- **gaussian: algorithm.learning_rate" in sweep.path.with_suffix(".md").read_text()


def test_a_search_alone_has_a_page(sweep):
    written = publish(Queries(sweep, {}), "none", print)
    assert written is not None
    text = written.read_text()
    assert "The search: algorithm.learning_rate" in text
    assert 'data-arm="bins"><svg' in text  # in the legend
    assert not sweep.path.with_suffix(".md").exists()


def test_a_lead_of_one_seeds_noise_is_called_so(sweep):
    paragraph = words(sweep, [0.9, 0.8], [0.8, 0.89], [0.1, 0.2])
    why = "because seeds of the same settings have a standard deviation of 0.068."
    assert f"is 0.005 behind; this may be noise, {why}" in paragraph
    assert "The scores of the best 3 lie within 0.700." in paragraph


def test_a_lead_above_noise_is_not(sweep):
    paragraph = words(sweep, [0.9, 0.91], [0.5, 0.51])
    assert "is 0.400 behind; seeds of the same settings have a standard deviation of 0.007." in paragraph
    assert "noise" not in paragraph


def test_one_seed_tells_nothing_of_noise(sweep):
    assert "each trial has one seed, so it is unknown whether this is more than noise." in words(sweep, [0.9], [0.5])


def test_a_flat_top_is_called_so(sweep):
    paragraph = words(sweep, [0.8, 1.0], [0.79, 0.99], [0.98, 0.78])
    assert "The scores of the best 3 lie within 0.020, not more than the noise of one seed." in paragraph


def test_a_choice_at_the_end_of_its_range_is_reported(sweep):
    rows = [row for row in trials.read(trials.file_of(sweep.path)) if row.arm == "gaussian"][:1]
    edge = replace(rows[0], state="finished", scores={"task": [1.0]}, settings={"algorithm.learning_rate": 1e-2})
    trials.write(trials.file_of(sweep.path), [edge])
    (paragraph,) = searched.words(Queries(sweep, {}))
    assert (
        "algorithm.learning_rate lies at the end of its range (0.0001 to 0.01, log); a wider range may"
        in paragraph.rest
    )


def test_trials_of_another_search_are_not_shown(sweep):
    text = sweep.path.read_text()
    sweep.path.write_text(text.replace("budget: 512\n  tasks", "budget: 1024\n  tasks"))
    assert sweep.path.read_text() != text
    assert Queries(read_sweep(sweep.path), {}).trials == []


def test_with_settings_for_each_task_every_task_has_its_chart(tmp_path):
    tree = yaml.safe_load(SEARCH)
    tree["grid"]["env"] = tasks = ["InvertedPendulum-v5", "InvertedDoublePendulum-v5"]
    tree["search"] |= {"tasks": tasks, "per_task": True, "reference": dict.fromkeys(tasks, 1000)}
    tree["baseline"] = "gaussian"
    sweep = written(tmp_path, yaml.safe_dump(tree, sort_keys=False))
    assert searching.search(sweep, Scripted(), tmp_path / "search", print)
    queries = Queries(read_sweep(sweep.path), {})
    over, best = searched.figures(queries)
    titles = {f"The search: {setting} on {task}" for setting in (RATE, "head.bins") for task in tasks}
    assert {figure.drawing.label for figure in over} == titles
    assert [figure.arm for figure in best] == [f"{arm} on {task}" for arm in ("gaussian", "bins") for task in tasks]
    assert "4 trials for every arm on each task, each 512 steps on one of" in searched.lead(queries)
