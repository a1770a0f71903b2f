"""What remedies did, from made-up trials with a known answer."""

import pytest

from experiments import natural_remedies
from experiments.natural import Natural, natural_runs
from experiments.natural_remedies import NEW_SEEDS, REACTION, REMEDIES, UNCHANGED, Trial, effects, reactions, trials
from experiments.natural_truth import ARMS, FRACTIONS, SEEDS, Judged
from pgcontrol.measures.curves import RETURN, STEPS

LOG = [{STEPS: 100 * i, RETURN: 10.0 * i} for i in range(101)]  # the return rises from 0 to 1,000
RUNS = {run.name: run for run in natural_runs()}
SEED = 201


def judged(run, gain: float) -> Judged:
    """A run that loses this by its spread."""
    branches = [
        {
            "schedule": schedule,
            "at": at,
            "arm": arm,
            "branch": branch,
            "mode": 500 + branch + gain * (arm == "widened"),
            "sampled": 500,
        }
        for schedule in ("rest", "fresh")
        for at in FRACTIONS
        for arm in ARMS
        for branch in range(SEEDS)
    ]
    about = {"run": run.name, "settings": run.settings, "seed": run.seed, "status": "finished"}
    return Judged(about, LOG, branches)


def trained(remedy: str, *scores: float | None) -> list[dict]:
    return [
        {"of": "made up", "remedy": remedy, "seed": seed, "mode": score}
        for seed, score in zip(NEW_SEEDS, scores, strict=False)
    ]


@pytest.mark.parametrize(
    ("scores", "word"),
    [
        ((700, 710, 720, 730), "saved"),
        ((300, 310, 320, 330), "harmed"),
        ((590, 591, 592, 593), "neither"),  # 90 more, of 1,000
        ((200, 1000, 300, 1000), "neither"),  # 127 more, by chance
        ((700, 710, 720, None), "neither"),  # one diverged, which counts as 300
    ],
)
def test_a_remedy_saves_or_harms(scores, word):
    rows = [*trained(UNCHANGED, 500, 501, 502, 503), *trained("floor", *scores), *trained("other", 300, 300, 300, 301)]
    found = effects(rows, {"made up": judged(next(iter(RUNS.values())), 0)})
    assert found["floor"]["made up"].word == word
    assert found["other"]["made up"].word == "harmed"
    assert UNCHANGED not in found


def test_a_remedy_with_missing_seeds_is_not_judged():
    rows = [*trained(UNCHANGED, 500, 501, 502, 503), *trained("floor", 700, 700, 700)]
    assert effects(rows, {"made up": judged(next(iter(RUNS.values())), 0)}) == {}
    assert effects(rows[1:], {"made up": judged(next(iter(RUNS.values())), 0)}) == {}
    own = {"of": "made up", "remedy": "floor", "seed": SEED, "mode": 700}  # the seed for which the run was chosen
    assert effects([*rows, own], {"made up": judged(next(iter(RUNS.values())), 0)}) == {}


def test_only_runs_that_lost_something_get_remedies_and_all_that_judge_get_a_reaction():
    odd = next(run for run in RUNS.values() if run.seed == SEED)
    even = next(run for run in RUNS.values() if run.seed == SEED - 1)
    assert trials({odd.name: judged(odd, 0)}) == [Trial(odd, REACTION, SEED)]
    assert {trial.seed for trial in trials({odd.name: judged(odd, 300)})} == {SEED, *NEW_SEEDS}
    assert trials({even.name: judged(even, 0)}) == []
    wanted = trials({even.name: judged(even, 300)})
    assert {trial.seed for trial in wanted} == {*NEW_SEEDS}
    assert {UNCHANGED, REACTION, "slow σ"} <= {trial.remedy for trial in wanted} < {*REMEDIES}
    assert "recommended Gaussian" not in {trial.remedy for trial in wanted}  # it is one
    assert len(wanted) == 4 * len({trial.remedy for trial in wanted})


@pytest.mark.parametrize("run", [run for run in RUNS.values() if run.seed == SEED], ids=lambda run: run.name)
def test_every_natural_run_has_several_remedies(run):
    possible = {remedy for remedy in REMEDIES if Trial(run, remedy, 900).possible()}
    assert {UNCHANGED, REACTION} < possible
    assert len(possible) >= 7  # bins have no entropy target


def test_reactions_are_compared_with_the_same_run_without_one():
    odd = next(run for run in RUNS.values() if run.seed == SEED)
    rows = [{"of": odd.name, "remedy": REACTION, "seed": SEED, "mode": 800.0, "without": 500.0, "acted": 2}]
    rows += [{"of": odd.name, "remedy": REACTION, "seed": SEED, "mode": 500.0, "without": 500.0, "acted": 0}]
    rows += [{"of": odd.name, "remedy": REACTION, "seed": SEED, "mode": None, "without": 500.0, "acted": 1}]
    lines = [*reactions(rows, {odd.name: judged(odd, 300)})]
    assert lines[0].startswith("`on_collapse: widen` on 3 runs that judge the rule, with the same seeds: 2 were")
    assert lines[-2:] == [
        f"| {odd.name} | yes | 2 times | 500 | 800 | +30 % |",
        f"| {odd.name} | yes | 1 time | 500 | diverged |  |",
    ]


@pytest.mark.slow
def test_trials_are_made_once_and_their_rows_say_what_became_of_them(tmp_path, monkeypatch):
    small = {"total_steps": 1024, "num_envs": 4, "rollout_steps": 64, "hidden": [8], "algorithm.minibatch": 64}
    run = Natural("InvertedPendulum-v5", SEED, small)
    monkeypatch.setattr(natural_remedies, "ROWS", tmp_path / "rows.jsonl")
    monkeypatch.setattr(natural_remedies, "judged", dict)
    monkeypatch.setattr(natural_remedies, "trials", lambda found: [Trial(run, REACTION, SEED), Trial(run, "bins", 900)])
    for part in (0, 1):
        natural_remedies.make((part, 2), tmp_path / "runs")
    reaction, bins = sorted(natural_remedies.rows(), key=lambda row: row["seed"])
    assert (reaction["remedy"], reaction["seed"], reaction["acted"], bins["remedy"]) == (REACTION, SEED, 0, "bins")
    assert reaction["without"] == reaction["mode"] > 0
    assert "without" not in bins
    before = [*(tmp_path / "runs").rglob("metrics.jsonl")]
    natural_remedies.make((0, 1), tmp_path / "runs")
    assert len(natural_remedies.rows()) == len(before) == 2
