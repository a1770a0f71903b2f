"""The text on the experiment with heads."""

import dataclasses

import pytest

from experiments.heads_paper import Part, text
from pgcontrol.reporting.queries import Queries
from pgcontrol.sweep.sweep import read_sweep
from tests.sweep.worlds import row_of

YAML = """
question: Which head?
design: {Heads: two of them}
arms: {gaussian: {head: gaussian}, binned: {head: binned}}
baseline: gaussian
grid: {env: [Hopper-v5, Ant-v5], seed: 8}
family: {together: true}
"""


def part(path, half: float, runs: int = 32) -> Part:
    """A sweep in which `binned` scores a tenth less on Hopper, and three of its runs are stuck at `half`."""
    (path / "heads_searched.yaml").write_text(YAML)
    sweep, rows = read_sweep(path / "heads_searched.yaml"), {}
    for cell in sweep.cells[:runs]:
        env, arm, seed = cell.key
        lower = (env, arm) == ("Hopper-v5", "binned")
        bad = lower and seed < 3
        score = (half if bad else 100.0 - 10 * lower) + 0.1 * seed
        rows[cell.key] = row_of(cell, **{"return": score, "error": 0.1, "verdict": "stuck" if bad else "healthy"})
    return Part("One setting", Queries(sweep, rows, path))


def test_its_numbers_are_those_of_the_rows(tmp_path):
    said = text([part(tmp_path, 50.0)], ["more.yaml"])
    assert "Settled worse than gaussian: binned on all tasks together and Hopper-v5." in said
    assert "| gaussian | 16 | none | 16 |  |  |" in said
    assert "| binned | 16 | 3 stuck | 13 |" in said
    assert "32 runs on 2 tasks, 0 million steps" in said
    assert "Not begun: more.yaml." in said
    assert "- **Heads.** two of them" in said
    assert "![Differences from gaussian with intervals that hold together](heads-paper.heads_searched.svg)" in said


def test_missing_runs_are_counted(tmp_path):
    assert "heads_searched.yaml lacks 8 of 32 runs." in text([part(tmp_path, 90.0, runs=24)])


def test_only_the_main_experiment_has_a_summary(tmp_path):
    main = part(tmp_path, 50.0)
    other = Part(
        "Critics", Queries(dataclasses.replace(main.queries.sweep, path=tmp_path / "critic.yaml"), {}, tmp_path)
    )
    assert "**Summary.** " in text([main])
    assert "Summary" not in text([other])


@pytest.mark.parametrize("absent", [(), ("a.yaml", "b.yaml")])
def test_before_any_run_it_has_question_and_design_only(absent):
    said = text([], absent)
    assert ("Not begun: a.yaml and b.yaml." in said) == bool(absent)
    assert "Summary" not in said
