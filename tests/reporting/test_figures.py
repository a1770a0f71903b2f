"""The content of charts: which arms, on which axes."""

import html
import json
import re

import numpy as np

from pgcontrol.reporting import figures, maps
from pgcontrol.reporting.queries import Queries
from pgcontrol.sweep import results
from pgcontrol.training.behaviour import pack, unpack


def test_a_profile_compares_arms_that_ran_on_every_task(sweep):
    found = figures.profiles(Queries(sweep, results.read(sweep)))
    assert found is not None
    assert 'data-arm="bins"' in str(found.drawing)
    assert 'data-arm="mixture"' not in str(found.drawing)  # on Fork alone
    assert "mixture and beta" in found.caption


def changed(sweep, **row) -> Queries:
    """The same study, every row of which is changed."""
    return Queries(sweep, {key: old.changed(**row) for key, old in results.read(sweep).items()})


def test_what_a_yaml_asks_for_is_linear_unless_it_spans_two_decades(sweep):
    asked = type(sweep)(**vars(sweep) | {"plots": ["health/modes"]})

    def axis(values: list[float]) -> bool:
        rows = {
            key: row.changed(curves=row.line["curves"] | {"health/modes": values})
            for key, row in results.read(sweep).items()
        }
        (figure,) = [
            f for f in figures.health(Queries(asked, rows), "Fork-v0") if f.drawing.label.endswith("health/modes")
        ]
        return ">0.1<" in str(figure.drawing) and ">1<" in str(figure.drawing) and ">10<" in str(figure.drawing)

    assert axis([0.05 * 1.2**i for i in range(50)])
    assert not axis([1 + 0.02 * i for i in range(50)])


def test_where_spread_came_to_stay_narrow_is_marked_on_the_rule(sweep):
    drawing = str(next(figures.spread_of_joints(Queries(sweep, results.read(sweep)), "Fork-v0")).drawing)
    rule = re.search(r'class="rule"[^>]* y1="([\d.]+)"', drawing)
    marks = re.findall(r'class="mark" d="M[\d.]+ ([\d.]+)l', drawing)
    assert rule is not None
    assert marks == [rule[1]] * 5
    assert "narrow from step 240: x<" in drawing  # the name of the joint


def test_a_task_has_one_box_for_the_routes_of_all_arms(sweep):
    drawn = [str(figure.drawing) for figure in maps.routes(Queries(sweep, results.read(sweep)), "Fork-v0")]
    assert len(drawn) == 4
    assert len({box for drawing in drawn for box in re.findall('viewBox="([^"]+)"', drawing)}) == 1


def test_columns_of_a_map_stand_at_their_steps():
    places = maps.nearest(np.array([0, 100, 1000]))
    assert len(places) == maps.PIXELS
    assert (places == 0).sum() == 5  # as far as 50 of 1,000
    assert (places == 1).sum() == 50  # from there to 550
    assert (places == 2).sum() == 45


def test_a_map_of_one_moment_is_a_histogram_of_the_end(sweep):
    rows = results.read(sweep)
    kept = next(iter(rows.values())).line["maps"]
    columns = unpack(kept["columns"])[-1:]
    one = kept | {"steps": kept["steps"][-1:], "columns": pack(columns)}
    found = maps.maps(changed(sweep, maps=one), "Fork-v0")
    assert {m.moments for m in found} == {1}
    assert "at step" in found[0].says
    picture = str(next(iter(found[0].pictures.values())))
    assert 'class="mass"' in picture
    assert "<image" not in picture


def lacking(study: Queries, arm: str, metric: str, *seeds: int) -> Queries:
    """The same study, without a metric in these runs of an arm."""
    return cut(study, arm, lambda curves: {k: v for k, v in curves.items() if k != metric}, *seeds)


def cut(study: Queries, arm: str, change, *seeds: int) -> Queries:
    """The same study, with other curves in those runs of an arm, or in all of them."""
    rows = {
        key: row.changed(curves=change(row.line["curves"])) if key[1] == arm and (not seeds or key[2] in seeds) else row
        for key, row in study.rows.items()
    }
    return Queries(study.sweep, rows, study.where)


def drawn(figure: figures.Figure | None) -> dict[str, dict]:
    """What a chart draws, by arm."""
    assert figure is not None
    attribute = re.search("data-chart='([^']*)'", str(figure.drawing))
    assert attribute is not None
    chart = json.loads(html.unescape(attribute[1]))
    return {line["name"]: {"at": chart["at"]} | line for line in chart["lines"]}


def test_n_counts_the_runs_that_a_curve_is_drawn_from(sweep):
    known = Queries(sweep, results.read(sweep))
    for metric, of in (("train/kl", figures.health), ("rollout/ep_rew_mean", figures.learning)):
        study = lacking(lacking(known, "bins", metric, 1, 3), "mixture", metric, 1, 2, 3, 4)
        figure = next(iter(of(study, "Fork-v0")))
        assert "n = 5 seeds (3 of 5: bins; 1 of 5: mixture; 1: beta)" in figure.caption
        assert "no interval: mixture and beta" in figure.caption
        assert [arm for arm, line in drawn(figure).items() if "lo" not in line] == ["mixture", "beta"]
    together = figures.learning_together(lacking(known, "bins", "rollout/ep_rew_mean", 1, 3))
    assert together is not None
    assert "5 of 9 runs: bins" in together.caption  # 3 of 5 and 2 of 4


def test_n_of_a_metric_that_all_arms_lack_as_often(sweep):
    study = Queries(sweep, results.read(sweep))
    for arm in study.arms("HalfCheetah-v5"):
        study = lacking(study, arm, "train/kl", 1)
    captions = [figure.caption for figure in figures.health(study, "HalfCheetah-v5")]
    assert any("n = 2 of 3 seeds (3 of 4: bins)" in caption for caption in captions)


def test_what_a_run_did_not_live_to_learn_leaves_its_curve_as_it_was(sweep):
    """The share is of the task's budget, not of the steps that an arm's runs reached; the last value is held."""
    whole = Queries(sweep, results.read(sweep))
    early = cut(whole, "bins", lambda curves: {name: values[:15] for name, values in curves.items()})  # of 50 points
    before, after = (drawn(figures.learning_together(study)) for study in (whole, early))
    assert after["gaussian"] == before["gaussian"]
    at, one, two = (np.array(a, float) for a in (before["bins"]["at"], before["bins"]["y"], after["bins"]["y"]))
    assert at[0] == 0
    assert at[-1] == 1
    np.testing.assert_array_equal(two[at < 0.3], one[at < 0.3])
    assert len(set(two[at > 0.3])) == 1


def test_one_seed_is_no_certainty(sweep):
    """Where every stratum has one run there is nothing to resample."""
    study = Queries(sweep, {key: row for key, row in results.read(sweep).items() if key[2] == 0})
    together = [figures.improvement(study, *study.envs()), figures.learning_together(study), figures.profiles(study)]
    alone = [figures.scores(study, "Fork-v0"), figures.improvement(study, "Fork-v0")]
    alone += figures.learning(study, "Fork-v0")
    for words, found in (("n = 2 tasks × 1 seed", together), ("n = 1 seed", alone)):
        for figure in found:
            assert figure is not None
            assert words in figure.caption
            assert "no interval" in figure.caption
            assert 'class="band"' not in str(figure.drawing)
            assert 'class="span"' not in str(figure.drawing)


def test_an_arm_with_one_seed_has_no_interval_next_to_others(sweep):
    rows = {key: row for key, row in results.read(sweep).items() if key[1] != "bins" or key[2] == 1}
    study = Queries(sweep, rows)
    beats = figures.improvement(study, "HalfCheetah-v5")
    assert beats is not None
    assert 'class="span"' not in str(beats.drawing)  # what the baseline's three runs would make of it
    assert "(1 of 3 pairs)" in str(beats.drawing)
    for figure in (figures.learning_together(study), figures.profiles(study)):
        assert [arm for arm, line in drawn(figure).items() if "lo" not in line] == ["bins"]
        assert figure is not None
        assert "(2 tasks × 1 seed: bins)" in figure.caption
        assert "no interval: bins" in figure.caption
