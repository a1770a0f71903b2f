"""Complete diagnoses: averaging of clones, branches of a planted collapse, and the files in the run folder."""

import io
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pgcontrol_envs.tasks.fork import Fork

import pgcontrol
from pgcontrol.cli import main
from pgcontrol.diagnosis import counterfactual, diagnose, unimodality
from pgcontrol.diagnosis.counterfactual import BranchPoint, Counterfactual, nearest
from pgcontrol.diagnosis.others import reach_of
from pgcontrol.machine.terminal import Terminal
from pgcontrol.measures.collapse import Gain, onset
from pgcontrol.measures.curves import spreads
from pgcontrol.measures.verdicts import Limits
from pgcontrol.options import InputError
from pgcontrol.play.episodes import Episodes
from pgcontrol.play.evaluate import policy_agent
from pgcontrol.rendering.still import Still
from pgcontrol.runs import checkpoint
from pgcontrol.runs.folder import RunFolder
from pgcontrol.runs.load import load, load_with_meta, make_env
from pgcontrol.runs.log import read_rows
from pgcontrol.sweep.executor import Local
from pgcontrol.training.resume import resume
from tests.diagnosis.planted import clone, forced, left_alone, plant
from tests.training.test_train import small

TINY = {"total_steps": 4096, "checkpoint_every": 512, "algorithm.epochs": 1, "rollout_steps": 16}
PLANS = {
    "left alone": left_alone,
    "collapsed": forced(0.005, end=1.0),
    "narrow": forced(0.2, begin=0.05, end=1.0),
}


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch):
    monkeypatch.setattr(diagnose, "still", lambda *_: Still(np.zeros((48, 64, 3), np.uint8)))


@pytest.fixture(scope="module")
def originals(tmp_path_factory) -> Path:
    """A folder for runs that are trained once; tests get copies."""
    return tmp_path_factory.mktemp("originals")


@pytest.fixture
def planted(originals, tmp_path) -> Callable[[str], Path]:
    """A tiny run that followed one of `PLANS`, as a copy of the test's own."""

    def planted(plan: str) -> Path:
        if not (trained := originals / plan).exists():
            plant(trained, TINY, PLANS[plan])
        return shutil.copytree(trained, tmp_path / "run")

    return planted


@pytest.mark.parametrize(
    ("head", "word"), [("gaussian", "averaging"), pytest.param("autoregressive", "healthy", marks=pytest.mark.slow)]
)
def test_a_clone_of_two_ways_averages_if_it_cannot_do_otherwise(head, word):
    policy = clone("Fork-v0", head)
    decision = unimodality.decide(policy, "Fork-v0", seed=0)
    assert unimodality.averaging(decision).word == word
    assert decision.blocked is not None
    assert (decision.blocked > 0.4) == (head == "gaussian")
    both = decision.value["left"].mean(), decision.value["right"].mean()
    assert min(both) > decision.value["mean of draws"].mean() + 2


def test_demonstrators_take_all_routes_and_a_single_one_is_a_loss():
    theirs = unimodality.routes_taken(make_env("Fork-v0", 40, 0), None, seed=0)
    assert theirs.success == 1
    assert theirs.entropy > 0.99
    one = unimodality.Occupancy(1.0, 0.0, 0.0, 0.1, {"left": 1.0, "right": 0.0})
    assert unimodality.mode_loss(one, theirs, "demonstrations").word == "mode loss"
    assert unimodality.mode_loss(theirs, theirs, "demonstrations").word == "healthy"
    assert unimodality.mode_loss(one, theirs, "the demonstrator", "fewer routes").word == "fewer routes"
    assert unimodality.mode_loss(one._replace(success=0.0), theirs, "demonstrations").word == "not judged"
    assert unimodality.success(one, theirs, "demonstrations").word == "healthy"
    assert unimodality.success(one._replace(success=0.4), theirs, "demonstrations").word == "fails"


@pytest.mark.slow
def test_branches_begin_where_the_run_was_widened_or_not(tmp_path):
    run = RunFolder.open(plant(tmp_path / "run", TINY, forced(0.005, end=1.0)))
    onset = BranchPoint(1024)
    assert checkpoint.steps_of(nearest(checkpoint.find(run.path), onset.step)) == 1024
    assert counterfactual.finished(run, onset) is None
    said = io.StringIO()
    found = counterfactual.counterfactual(run, onset, 2, Local(2), Terminal(file=said, soft_wrap=True))
    assert re.match(r"4 branches of 3,072 steps from step 1,024, 4 to run, about \d+ s\n", said.getvalue())
    assert (found.start, found.steps) == (1024, 4096 - 1024)
    assert set(found.scores) == {"widened", "alone"}
    assert all(np.isfinite(s).all() for s in found.scores.values())
    width = {}
    for arm, folders in found.folders.items():
        begun, meta = load_with_meta(checkpoint.find(folders[0])[0])
        assert meta["steps"] == 1024
        width[arm] = float(begun.head.describe(begun.params(begun.normaliser(np_obs())))["std"])
        assert checkpoint.steps_of(checkpoint.latest(folders[0])) == 4096
    assert width["alone"] < 0.02
    assert width["widened"] == pytest.approx(found.width, rel=0.01)
    before = (run.path / "branches").stat().st_mtime_ns
    again = counterfactual.counterfactual(run, onset, 2, Local(2), Terminal(quiet=True))
    assert again == found  # nothing ran again
    assert (run.path / "branches").stat().st_mtime_ns == before
    assert counterfactual.finished(run, onset) == found  # nor is the proof forgotten
    other = BranchPoint(2048)
    assert counterfactual.finished(run, other) is None  # nor taken for that of another onset
    where = counterfactual.branching_of(run, onset).where
    assert counterfactual.branching_of(run, other).where != where
    assert counterfactual.branching_of(run, BranchPoint(1024, 512)).where != where


def test_a_branch_that_diverged_counts_as_the_worst(tmp_path):
    branches = {"widened": [("diverged", 900.0), ("finished", 300.0)], "alone": [("finished", 200.0)] * 2}
    folders = {arm: [] for arm in branches}
    for arm, made in branches.items():
        for i, (status, score) in enumerate(made):
            folders[arm].append(tmp_path / f"{arm}-{i}")
            folders[arm][i].mkdir()
            RunFolder(folders[arm][i]).write_manifest(status=status)
            line = {"time/total_timesteps": 10, "rollout/ep_rew_mean": score}
            (folders[arm][i] / "metrics.jsonl").write_text(json.dumps(line) + "\n")
    assert counterfactual.scores_of(folders) == {"widened": [200.0, 300.0], "alone": [200.0, 200.0]}
    (folders["widened"][0] / "metrics.jsonl").write_text("")  # it diverged before it had a return
    assert counterfactual.scores_of(folders)["widened"] == [200.0, 300.0]


def np_obs():
    import torch

    return torch.zeros(2, 4, dtype=torch.float64)


def test_diagnose_leaves_its_evidence(planted, capsys, monkeypatch):
    path = planted("collapsed")
    scores = {"widened": [9.0, 8.0], "alone": [1.0, np.nan]}
    proof = Counterfactual(512, 512, 0.37, scores, {}, Gain(90.0, 1.0, (1.0, 1.0, 1.0), 2, 100.0))
    monkeypatch.setattr(diagnose, "counterfactual", lambda *_: proof)
    with pytest.raises(SystemExit) as ended:
        main(["diagnose", str(path), "--branches", "2"])
    assert ended.value.code == 0
    assert "collapsed (from step" in capsys.readouterr().out
    written = json.loads((path / "diagnosis.json").read_text())
    assert written["verdict"].startswith("collapsed")
    assert written["verdicts"][0]["joints"] == ["slide"]
    assert written["counterfactuals"][0]["gain"]["gain"] == 90
    assert written["counterfactuals"][0]["scores"]["alone"] == [1, None]  # JSON has no word for it
    assert len(written["state"]["obs"]) == 4
    assert written["modes"][0]["low"] <= written["modes"][0]["mass"] <= written["modes"][0]["high"]
    assert "![curves]" in (path / "diagnosis.md").read_text()
    assert all((path / name).stat().st_size > 1000 for name in (diagnose.CURVES, diagnose.SCENE))
    manifest = RunFolder(path).manifest()
    assert "collapsed" in manifest["verdict"]
    assert "collapsed (from step" in manifest["diagnosis"]
    resume(path, 4608, quiet=True)
    assert not list(path.glob("diagnosis*"))  # it spoke of another state
    assert "collapsed" not in RunFolder(path).manifest()["verdict"]


@pytest.mark.slow
@pytest.mark.parametrize(("env", "there"), [("Needle-v0", False), ("Fork-v0", True)])
def test_route_entropy_is_of_several_routes(env, there, tmp_path):
    run = RunFolder.open(plant(tmp_path / "run", TINY | {"env": env}, left_alone))
    rows = [row for row in read_rows(run.metrics_file) if "rollout/success" in row]
    assert rows
    assert all(("health/route_entropy" in row) == there for row in rows)


def test_a_chunk_is_played_to_its_end_as_an_evaluation_plays_it(tmp_path):
    """The picture shows a state in which an episode of the policy's mode makes a choice."""
    chunks = {"head": "token", "head.tokenizer": "bins", "head.codes": 5, "head.horizon": 3}
    run = pgcontrol.train(small(env="Hopper-v5", run_dir=str(tmp_path / "run"), total_steps=512, **chunks))
    diagnose.diagnose(run.path)
    env, asked = make_env("Hopper-v5", 1, seed=RunFolder(run.path).settings()["seed"]), []
    mode = policy_agent(load(run.path), True, seed=0)
    list(Episodes(env, lambda obs: (asked.append(obs), mode(obs))[1], env.reset()))
    seen = json.loads((run.path / "diagnosis.json").read_text())["state"]["obs"]
    assert seen in [obs[0].tolist() for obs in asked[1:]]


def test_the_end_of_a_training_says_its_verdict(planted):
    path = planted("left alone")
    assert RunFolder(path).manifest()["verdict"] in ("healthy", "no gain")
    assert (
        "smallest joint spread" in RunFolder(path).manifest()["diagnosis"]
        or "return" in RunFolder(path).manifest()["diagnosis"]
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [([], "diagnose needs RUN"), (["nowhere"], "does not exist"), (["nowhere", "--shar", "1"], "did you mean 'share'")],
)
def test_bad_input_is_one_line(words, message, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["diagnose", *words])
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


def test_a_request_that_cannot_be_answered_is_one_line(planted, capsys):
    path = str(planted("left alone"))
    for words, message in ((["--branches", "1"], "too few for an interval"), (["--against", path], "has no routes")):
        with pytest.raises(SystemExit) as ended:
            main(["diagnose", path, *words])
        assert ended.value.code == 2
        assert message in capsys.readouterr().err


def test_a_policy_that_turns_early_is_judged_at_the_start(monkeypatch):
    policy = clone("Fork-v0", "gaussian")
    monkeypatch.setattr(Fork, "deciding", lambda task: np.zeros(len(task.y), bool))
    decision = unimodality.decide(policy, "Fork-v0", seed=0, states=3, repeats=2)
    assert decision.where == unimodality.AT_START
    assert len(decision.obs) == 3


@pytest.mark.parametrize(
    ("gains", "asked", "places", "word"),
    [
        ([0, 0, 0], {}, [BranchPoint(512, 1024), BranchPoint(1024, 1024), BranchPoint(2048, 1024)], "healthy"),
        ([0, 90, 0], {}, [BranchPoint(512, 1024), BranchPoint(1024, 1024)], "collapsed"),  # decided: no further place
        ([90], {"at": 3000, "branch_steps": 512}, [BranchPoint(3000, 512)], "collapsed"),
    ],
)
def test_branches_judge_a_run_without_an_onset(gains, asked, places, word, planted, monkeypatch):
    """At the checkpoints closest to three places, each a quarter of the budget long, until one decides.

    Or at the requested place.
    """
    tried = []

    def branched(run, place, seeds, executor, console, of):
        tried.append(place)
        gain = Gain(gains[len(tried) - 1], 1.0, (1.0, 1.0, 1.0), seeds, 100.0, step=place.step)
        assert of == (3 if len(gains) > 1 else 1)
        return Counterfactual(place.step, place.length, 0.37, {}, {}, gain)

    path = planted("narrow")
    monkeypatch.setattr(diagnose, "counterfactual", branched)
    found = diagnose.diagnose(path, branches=2, **asked)
    assert tried == places
    assert found.verdicts[0].word == word
    assert found.verdicts[0].branched
    assert len(json.loads((path / "diagnosis.json").read_text())["counterfactuals"]) == len(places)


def test_a_policy_that_is_still_wide_has_no_branches(planted):
    """Both arms would be the same policy, and clear a suspicion without evidence."""
    path = planted("left alone")
    with pytest.raises(
        InputError, match=r"--branches 2: nothing to widen to 0\.\d+ half-ranges: at step 512 it is 0\."
    ):
        diagnose.diagnose(path, branches=2)
    with pytest.raises(InputError, match=r"at step 1,024 it is 0\.\d+; --at STEP names a place"):
        diagnose.diagnose(path, branches=2, at=1100)


def branched(run, place):
    """Make two finished pairs of branches from a place, of which the widened ones end higher."""
    branching = counterfactual.branching_of(run, place)
    for cell in branching.cells(2):
        folder = branching.where / cell.name
        folder.mkdir(parents=True)
        RunFolder(folder).write_manifest(status="finished")
        score = 50.0 * (cell.key.arm == "widened") + 0.1 * cell.key.seed
        line = {"time/total_timesteps": 10, "rollout/ep_rew_mean": score}
        (folder / "metrics.jsonl").write_text(json.dumps(line) + "\n")


def test_a_later_diagnosis_knows_the_branches_of_every_place(planted):
    path = planted("narrow")
    run = RunFolder.open(path)
    (path / "branches" / "other").mkdir(parents=True)
    branched(run, BranchPoint(1024, 512))
    found = diagnose.diagnose(path)
    assert found.verdicts[0].word == "collapsed"
    assert [(proof.start, proof.steps) for proof in found.proofs] == [(1024, 512)]
    alone = found.proofs[0].gain.half
    branched(run, BranchPoint(2048, 512))
    found = diagnose.diagnose(path)
    assert [proof.start for proof in found.proofs] == [1024, 2048]
    assert found.proofs[0].gain.half > alone  # corrected for two places, not for those that were never tried


def test_branches_of_the_onset_count_once(planted):
    path = planted("collapsed")
    run = RunFolder.open(path)
    steps, spread = spreads(read_rows(run.metrics_file))
    found = onset(steps, spread, 4096, Limits())
    assert found is not None
    branched(run, BranchPoint(found.step))
    first, again = diagnose.diagnose(path), diagnose.diagnose(path)
    assert len(first.proofs) == len(again.proofs) == 1
    assert first.proofs[0].gain == again.proofs[0].gain


def test_branches_from_a_place_that_was_still_wide_clear_nothing(planted):
    path = planted("left alone")
    branched(RunFolder.open(path), BranchPoint(512, 1024))
    found = diagnose.diagnose(path)
    assert found.proofs == []
    assert not found.verdicts[0].branched


def test_after_a_sudden_collapse_branches_begin_behind_it(tmp_path, monkeypatch):
    """At the last checkpoint before the onset the policy is still wide."""
    seen = []

    def stop(run, place, seeds, executor, console, of):
        seen.append(counterfactual.branching_of(run, place))
        raise InputError("stop")

    monkeypatch.setattr(diagnose, "counterfactual", stop)
    path = plant(tmp_path / "run", TINY | {"checkpoint_every": 1024}, forced(0.005, begin=0.35, end=1.0))
    with pytest.raises(InputError, match="stop"):
        diagnose.diagnose(path, branches=2)
    steps, spread = spreads(read_rows(RunFolder(path).metrics_file))
    found = onset(steps, spread, 4096, Limits())
    assert found is not None
    assert seen[0].narrow
    assert seen[0].start >= found.step


def test_branches_cannot_begin_behind_the_budget(planted):
    path = planted("left alone")
    with pytest.raises(InputError, match=r"--at 5000: must be at most 4,096, the budget of "):
        diagnose.diagnose(path, branches=2, at=5000)


@pytest.mark.slow
def test_a_run_is_compared_with_its_siblings(tmp_path):
    """Two seeds that learn, and one that is held back: it is stuck, and the line has the number."""
    settings = {"total_steps": 16_384, "algorithm.epochs": 4, "rollout_steps": 32, "checkpoint_every": 8192}
    for seed in (1, 2):
        plant(tmp_path / str(seed), settings | {"seed": seed}, left_alone)
    still = plant(tmp_path / "still", settings | {"seed": 3, "algorithm.learning_rate": 1e-9}, left_alone)
    assert reach_of(RunFolder(still), read_rows(RunFolder(still).metrics_file)) is None  # of other settings
    (still / "config.yaml").write_text((tmp_path / "1" / "config.yaml").read_text().replace("seed: 1", "seed: 3"))
    RunFolder(still).write_manifest(config=None)
    found = diagnose.diagnose(still)
    assert "stuck" in found.verdict
    assert "the median of 2 runs with other seeds" in found.summary


def test_no_checkpoint_no_branches():
    with pytest.raises(InputError, match="no checkpoint from which branches could begin"):
        nearest([], 100)
