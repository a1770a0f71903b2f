"""The answer for a family of comparisons: words, picture and table say the same."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from pgcontrol.charts.effects import signed
from pgcontrol.measures.families import BETTER, EQUAL, OPEN, WORSE
from pgcontrol.reporting import settled, tables
from pgcontrol.reporting.page import write
from pgcontrol.reporting.queries import Queries
from pgcontrol.reporting.standings import standing
from pgcontrol.sweep.family import TOGETHER
from pgcontrol.sweep.sweep import read_sweep
from tests.sweep.worlds import row_of

YAML = """
question: Which <b>head</b>?
arms: {{gaussian: {{head: gaussian}}, bins: {{head: binned}}, beta: {{head: beta}}, mixture: {{head: mixture}}}}
baseline: gaussian
grid:
  - {{env: [Hopper-v5, Ant-v5], seed: {seeds}}}
{more}
"""
# arm -> the difference on Hopper and on Ant, in percent, and the spread of seeds
SCORES = {"gaussian": (0, 0, 1), "bins": (50, -50, 1), "beta": (0.3, 2, 1), "mixture": (20, 0, 60)}


def study(path, seeds=10, more="", absent=(), **scores) -> Queries:
    """A study whose answer is known."""
    (path / "heads.yaml").write_text(YAML.format(seeds=seeds, more=more))
    sweep, rows = read_sweep(path / "heads.yaml"), {}
    for cell in sweep.cells:
        env, arm, seed = cell.key
        *ahead, spread = (SCORES | scores)[arm]
        score = 1000 + 10 * (ahead[env == "Ant-v5"] + spread * np.linspace(-1, 1, seeds)[seed])
        if (env, arm) not in absent:
            rows[cell.key] = row_of(cell, **{"return": float(score)})
    return Queries(sweep, rows, path)


def words(queries) -> dict[tuple[str, str], str]:
    return {(found.env, found.arm): found.word for found in settled.contrasts(queries)}


def text(markup: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", markup)).replace("\u00a0", " ")


def test_the_first_sentence_is_the_answer_everywhere(tmp_path):
    queries = study(tmp_path)
    assert words(queries) == {
        ("Hopper-v5", "bins"): BETTER,
        ("Ant-v5", "bins"): WORSE,
        ("Hopper-v5", "beta"): EQUAL,
        ("Ant-v5", "beta"): EQUAL,
        ("Hopper-v5", "mixture"): OPEN,
        ("Ant-v5", "mixture"): OPEN,
    }
    lead, rest = settled.answer(queries)
    assert lead.replace("\u00a0", " ") == (
        "Settled better than gaussian: bins on Hopper-v5. Settled worse than gaussian: bins on Ant-v5. "
        "Settled equal to gaussian within 10 %: beta on Hopper-v5 and Ant-v5. Not settled: 2 of 6 comparisons."
    )
    needed = {(f.env, f.arm): settled.needs(queries, f) for f in settled.contrasts(queries)}
    assert f"{needed['Hopper-v5', 'mixture']:.0f} on Hopper-v5 and {needed['Ant-v5', 'mixture']:.0f} on Ant-v5" in rest
    tables.write(queries)
    page, markdown = text(write(queries).read_text()), (tmp_path / "heads.md").read_text().replace("\u00a0", " ")
    for written in (page.partition("heads.yaml")[2], markdown.partition("**")[2]):
        assert written.replace("2026-01-01.", "").strip(" *").startswith(lead.replace("\u00a0", " ")[:60])
    assert "| Hopper-v5 | ▲ +50 % (" in markdown
    assert "| ■ +2 % (" in markdown
    assert "not corrected" not in page


def test_the_picture_shows_every_comparison_once(tmp_path):
    queries = study(tmp_path, absent=[("Ant-v5", "beta")])
    drawn = settled.figure(queries)
    assert drawn is not None
    assert len(drawn.drawing.data["rows"]) == len(words(queries)) == 5
    marks = ElementTree.fromstring(settled.picture(queries)).iter("{http://www.w3.org/2000/svg}title")
    written = [mark.text for mark in marks if mark.text and " on " in mark.text]
    assert written == [f"{f.arm} on {f.env}: {f.difference}, {f.word}" for f in settled.contrasts(queries)]
    assert "1 comparison has no runs yet." in settled.answer(queries).rest
    assert [line[:2] for line in settled.table(queries)] == [*words(queries)]


def test_what_few_seeds_cannot_say_is_not_said(tmp_path):
    """Four against four: of C(8, 4) = 70 orders two are extreme, and there are six comparisons."""
    queries = study(tmp_path, seeds=4)
    lead, rest = settled.answer(queries)
    assert set(words(queries).values()) == {OPEN}
    assert lead == "Compared with gaussian, nothing is settled (6 comparisons)."
    assert "With 4 seeds no difference can be settled" in rest
    assert f"the corrected p-value is {6 * 2 / 70:.3f}. It takes at least 5 seeds per arm." in rest
    assert not any("(" in f.difference for f in settled.contrasts(queries))
    assert "no difference can be settled" not in settled.answer(study(tmp_path, seeds=5)).rest


def test_a_smaller_family_settles_what_a_larger_one_cannot(tmp_path):
    """Four seeds are enough for one comparison, and not for six."""
    assert words(study(tmp_path, seeds=4))["Hopper-v5", "bins"] == OPEN
    one = study(tmp_path, 4, "family: {arms: [bins], tasks: [Hopper-v5], margin: 0.2}")
    assert words(one) == {("Hopper-v5", "bins"): BETTER}
    assert "20\u00a0%" in settled.definitions(one)[EQUAL]


def test_pairs_are_of_the_same_seed(tmp_path):
    """Beta is 0.3 % ahead of the baseline at every seed, which only pairs show; one seed lacks its other half."""
    queries = study(tmp_path, 12, "family: {arms: [beta], tasks: [Hopper-v5], margin: 0.001, paired: true}")
    assert words(queries) == {("Hopper-v5", "beta"): BETTER}
    missing = {key: row for key, row in queries.rows.items() if key != ("Hopper-v5", "gaussian", 3)}
    (found,) = settled.contrasts(Queries(queries.sweep, missing, tmp_path))
    assert (*found.seeds, found.word) == (11, 11, BETTER)
    assert np.subtract(*found.compared.tasks[0]) == pytest.approx(np.full(11, 3))
    assert words(study(tmp_path, 12, "family: {arms: [beta], tasks: [Hopper-v5], margin: 0.001}")) == {
        ("Hopper-v5", "beta"): OPEN
    }


def test_all_tasks_together_settle_more_than_each(tmp_path):
    """Three seeds are too few for any task: of C(6, 3) = 20 orders two are extreme. On two tasks it is 2 of 400."""
    queries = study(tmp_path, 3, "family: {arms: [beta], together: true}", beta=(53, 70, 1))
    assert words(queries) == {(TOGETHER, "beta"): BETTER, ("Hopper-v5", "beta"): OPEN, ("Ant-v5", "beta"): OPEN}
    first = settled.contrasts(queries)[0]
    assert first.compared.different == pytest.approx(2 / 20**2)
    assert first.compared.effect.estimate == pytest.approx((0.53 + 0.7) / 2, abs=0.01)
    assert settled.answer(queries).lead.startswith("Settled better than gaussian: beta on all tasks together.")
    assert (
        "for 1 comparison on all tasks together, and separately for 2 comparisons on single"
        in (settled.definitions(queries)[EQUAL])
    )
    assert TOGETHER in settled.definitions(queries)
    assert "With 3 seeds no difference on a single task can be settled" in settled.answer(queries).rest
    assert settled.matrix(queries)[1][0] == TOGETHER
    missing = {key: row for key, row in queries.rows.items() if key[:2] != ("Ant-v5", "beta")}
    assert words(Queries(queries.sweep, missing)) == {("Hopper-v5", "beta"): OPEN}


def test_without_a_baseline_nothing_is_said(tmp_path):
    (tmp_path / "heads.yaml").write_text("arms: {a: {head: gaussian}}\ngrid: {env: Hopper-v5}")
    sweep = read_sweep(tmp_path / "heads.yaml")
    queries = Queries(sweep, {cell.key: row_of(cell) for cell in sweep.cells}, tmp_path)
    assert settled.answer(queries) == ("", "")
    tables.write(queries)
    assert (
        "settled" not in (tmp_path / "heads.md").read_text() + write(queries).read_text().partition("<body>")[2][:5000]
    )
    assert not (tmp_path / "heads.settled.svg").exists()


@pytest.mark.parametrize(
    ("share", "words"),
    [
        (0.123, "+12\u00a0%"),
        (-0.5, "−50\u00a0%"),
        (0.001, "0\u00a0%"),
        (10.0, "+1,000\u00a0%"),
        (540.14, "> +1,000\u00a0%"),
        (-11.0, "< −1,000\u00a0%"),
        (float("inf"), "+∞"),
        (-float("inf"), "−∞"),
    ],
)
def test_a_difference_as_text(share, words):
    assert signed(share) == words


@pytest.mark.parametrize("needed", [float("nan"), float("inf"), 7.0, 1000.0, 14e6])
def test_seeds_that_nobody_can_run_are_not_counted(tmp_path, monkeypatch, needed):
    monkeypatch.setattr(settled, "needs", lambda *_: needed)
    said = {7.0: "7", 1000.0: "1,000", 14e6: "more than 1,000"}.get(needed, "–")
    assert {line[-2] for line in settled.table(study(tmp_path))} == {said}


def test_a_run_that_diverged_counts_as_the_worst_whatever_it_made_before(tmp_path):
    queries = study(tmp_path)
    assert words(queries)["Hopper-v5", "bins"] == BETTER
    assert "diverged" not in str(settled.definitions(queries))
    lost = {key: row.changed(diverged=row.arm == "bins") for key, row in queries.rows.items()}
    after = Queries(queries.sweep, lost, tmp_path)
    assert words(after)["Hopper-v5", "bins"] == WORSE
    assert "runs that diverged count as an untrained policy, or as the worst run" in str(settled.definitions(after))


def test_half_diverged_is_neither_better_nor_equal(tmp_path):
    queries = study(tmp_path)
    assert words(queries)["Hopper-v5", "beta"] == EQUAL
    half = {key: row.changed(diverged=key.arm == "beta" and key.seed % 2 == 0) for key, row in queries.rows.items()}
    after = Queries(queries.sweep, half, tmp_path)
    assert words(after)["Hopper-v5", "beta"] == OPEN
    score = standing(after, "Hopper-v5", "beta").score.estimate
    assert after.first("Hopper-v5") < score < standing(queries, "Hopper-v5", "beta").score.estimate


def test_arms_can_be_compared_with_each_other(tmp_path):
    queries = study(tmp_path, more="family: {against: {beta: bins}}")
    assert words(queries)["Hopper-v5", "beta"] == WORSE
    lead, _ = settled.answer(queries)
    assert "Settled better than gaussian: bins on Hopper-v5." in lead
    assert "Settled better than bins: beta on Ant-v5." in lead
    assert "Settled worse than bins: beta on Hopper-v5." in lead
    first, *_ = settled.matrix(queries)
    assert first == ("task", "bins", "beta − bins", "mixture")
    assert settled.rivals(queries) == "gaussian or the arm after the minus sign"
    figure = settled.figure(queries)
    assert figure is not None
    assert "difference from gaussian or the arm after the minus sign" in str(figure.drawing)


def test_an_answer_before_the_last_run_says_so(tmp_path):
    assert settled.answer(study(tmp_path)).lead.startswith("Settled better")
    lead = settled.answer(study(tmp_path, absent=[("Ant-v5", "mixture")])).lead
    assert lead.startswith("Some runs are missing. Settled better")
