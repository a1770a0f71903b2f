"""The published scores: what experiments/scores.py writes into README.md, docs/tasks.md and the table of returns."""

import pytest

from experiments import scores
from pgcontrol.options import InputError
from pgcontrol.reporting.queries import Queries
from pgcontrol.runs import reached
from pgcontrol.sweep.sweep import read_sweep
from tests.sweep.worlds import row_of

YAML = """
question: What does it score?
budget: 1_000_000
arms: {ARM: {head: gaussian}}
grid: {env: [Hopper-v5, Reacher-v5], seed: 4}
references:
  Hopper-v5: {a mean: {return: 2609, seeds: 10}, a run: {return: 3618, seeds: 1}, another mean: {return: 900, seeds: 3}}
  Reacher-v5: {a mean: {return: -4.1, seeds: several}, a run: {return: -9, seeds: 1}}
"""
# seed 2 is the worst; the middle half are the other seeds' neighbours
HOPPER, REACHER = (3000.0, 3200.0, 1000.0, 3100.0), (-3.0, -4.0, -8.0, -5.0)


def sweep(folder, arm: str, runs: int = 8, envs=("Hopper-v5", "Reacher-v5")) -> Queries:
    """A sweep with scores of `HOPPER` and `REACHER`; runs took two minutes, and training ended a tenth lower."""
    path = folder / f"{arm.split()[0]}.yaml"
    path.write_text(YAML.replace("ARM", arm))
    made, rows = read_sweep(path), {}
    for cell in made.cells[:runs]:
        score = (HOPPER if cell.key.env == "Hopper-v5" else REACHER)[cell.key.seed]
        if cell.key.env in envs:
            values = {
                "return": score,
                "training": score - abs(score) / 10,
                "seconds": 120.0,
                "config": {"head": "beta", "total_steps": 1_000_000},
            }
            values |= {"revision": "0123456789", "date": f"2026-01-0{1 + cell.key.seed}"}
            rows[cell.key] = row_of(cell, **values)
    return Queries(made, rows, folder)


def test_one_line_per_task_with_what_its_rows_say(tmp_path):
    text = scores.readme(sweep(tmp_path, scores.RECIPE), None, None)
    assert "**One recipe, 2 tasks, 1M steps.**" in text
    assert "over 4 seeds" in text
    assert "(`experiments/benchmark.yaml`, 2026-01-01 to 2026-01-04, 0123456)" in text
    assert "| task | one recipe | worst seed | published |\n|---|---:|---:|---:|\n" in text
    assert "| Hopper-v5 | 3,050 (" in text
    assert ") | 1,000 | 2,609; one run 3,618 |" in text
    assert ") | -8 | -4.1 |" in text


def test_other_sweeps_add_their_columns_where_they_have_runs(tmp_path):
    best = sweep(tmp_path, scores.BEST, envs=("Reacher-v5",))
    shipped = sweep(tmp_path, scores.SHIPPED, envs=("Hopper-v5",))
    text = scores.readme(sweep(tmp_path, scores.RECIPE), best, shipped)
    lines = [line.split(" | ") for line in text.splitlines() if line.startswith("| ")]
    assert lines[0] == ["| task", "one recipe", "worst seed", "best settings", "published", "SB3's PPO |"]
    hopper, reacher = lines[1:]
    assert (hopper[3], hopper[5]) == ("", f"{hopper[1]} |")
    assert (reacher[3], reacher[5]) == (reacher[1], " |")


def test_the_documentation_has_random_actions_and_minutes_too(tmp_path):
    text = scores.tasks(sweep(tmp_path, scores.RECIPE), None)
    assert "| Hopper-v5 | 16 | 3,050 |  | 2,609; one run 3,618 | 2.0 |" in text


def test_the_table_of_returns_is_python_with_the_median_of_training(tmp_path):
    text = scores.reached(sweep(tmp_path, scores.RECIPE))
    table = eval(f"{{{text}}}", {"Reached": reached.Reached})
    assert table == {
        "Hopper-v5": reached.Reached(2740, 1_000_000, 4, "beta"),
        "Reacher-v5": reached.Reached(-4.95, 1_000_000, 4, "beta"),
    }


def test_only_what_is_between_the_marks_changes(tmp_path):
    recipe = sweep(tmp_path, scores.RECIPE)
    for path, text in scores.files(recipe).items():
        before, after = path.read_text(), text
        for mark in ("<!-- scores -->", "<!-- /scores -->"):
            assert after.count(mark) == before.count(mark) == 1
        assert after.split("<!-- scores -->")[0] == before.split("<!-- scores -->")[0]
        assert after.split("<!-- /scores -->")[1] == before.split("<!-- /scores -->")[1]
        assert scores.replaced(after, "x") == scores.replaced(before, "x")


@pytest.mark.parametrize("text", ["", "<!-- scores -->\n", "<!-- /scores -->\n<!-- scores -->\n"])
def test_a_file_without_marks_is_an_error(text):
    with pytest.raises(InputError, match="<!-- scores -->"):
        scores.replaced(text, "part")


def test_an_unfinished_benchmark_is_not_published(tmp_path):
    with pytest.raises(InputError, match=r"recipe.yaml lacks 1 of 8 runs"):
        scores.files(sweep(tmp_path, scores.RECIPE, runs=7))


def test_what_is_published_is_what_the_rows_say():
    """Until the benchmark is complete, the files have the scores of its predecessor."""
    recipe = scores.read("benchmark.yaml")
    if recipe is None or recipe.missing:
        assert "5 seeds" not in (scores.ROOT / "README.md").read_text().split("<!-- scores -->")[1].split("<!--")[0]
        assert {one.seeds for one in reached.TABLE.values()} == {5}
    else:
        for path, text in scores.files(recipe, scores.read("benchmark_best.yaml"), scores.read("peers.yaml")).items():
            assert path.read_text() == text, f"{path.name} is out of date: python experiments/scores.py"
