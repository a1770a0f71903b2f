"""`pgcontrol diagnose`: writes all verdicts on a finished run, with their evidence, into its folder."""

import dataclasses
import itertools
import json
import shlex
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pgcontrol_envs import VecEnv

from pgcontrol.arguments import DiagnoseOptions
from pgcontrol.diagnosis import evidence, unimodality, weak_mode
from pgcontrol.diagnosis.counterfactual import (
    ARMS,
    LEAST,
    BranchPoint,
    Counterfactual,
    branching_of,
    closest,
    counterfactual,
    earlier,
    finished,
)
from pgcontrol.diagnosis.others import reach_of
from pgcontrol.diagnosis.unimodality import Decision
from pgcontrol.machine import files
from pgcontrol.machine.cores import usable_cpus
from pgcontrol.machine.graphics import RenderError
from pgcontrol.machine.templates import template
from pgcontrol.machine.terminal import Terminal
from pgcontrol.measures import modes, spread
from pgcontrol.measures.collapse import collapse, onset
from pgcontrol.measures.curves import LogRows, spreads
from pgcontrol.measures.judge import Known, judge
from pgcontrol.measures.statistics import mean_interval
from pgcontrol.measures.verdicts import (
    COLLAPSED,
    FEWER_ROUTES,
    NOT_JUDGED,
    WEAK_MODE,
    Limits,
    Verdict,
    record,
    summary,
    words,
)
from pgcontrol.options import InputError, read_options, takes
from pgcontrol.play.density import joint_names
from pgcontrol.play.episodes import Episodes
from pgcontrol.play.evaluate import policy_agent
from pgcontrol.policy import Policy
from pgcontrol.rendering.still import still
from pgcontrol.runs import checkpoint
from pgcontrol.runs.folder import RunFolder
from pgcontrol.runs.load import load, make_env
from pgcontrol.runs.log import finite, read_rows
from pgcontrol.sweep.executor import Executor, Local
from pgcontrol.text import count

# places of branches in a run without an onset, as fractions of its budget, and the length of these branches
PLACES, LENGTH = (0.1, 0.25, 0.5), 0.25
CURVES, SCENE = "diagnosis.svg", "diagnosis-scene.svg"


@dataclass(frozen=True)
class Diagnosis:
    """The verdicts on a run, with their evidence.

    Attributes:
        path: the run folder, which contains diagnosis.json, diagnosis.md and their pictures.
        verdicts: a word for each question, with the reason.
        proofs: results of branches, for each place where some begin.
        facts: what the policy does at a decision: routes, modes, the state; as in diagnosis.json.
    """

    path: Path
    verdicts: list[Verdict]
    proofs: list[Counterfactual]
    facts: dict[str, Any]

    @property
    def verdict(self) -> str:
        """Only the words."""
        return words(self.verdicts)

    @property
    def summary(self) -> str:
        """One line: what is wrong and why, or that all is well."""
        return summary(self.verdicts)


@takes(DiagnoseOptions, further="")
def diagnose(options: DiagnoseOptions, limits: dict[str, Any]) -> Diagnosis:
    """Judge a run, and write diagnosis.json, diagnosis.md and their pictures into its folder.

    Further arguments are limits of the verdicts, such as `share=0.1`; see `pgcontrol.measures.verdicts.Limits`.

    Raises:
        InputError: there is no run, it has no log, there are too few branches, or the reference has another task.
    """
    others = [field.name for field in dataclasses.fields(DiagnoseOptions)]
    chosen = Limits(**read_options(Limits, limits, others=others))
    run, console = RunFolder.open(options.run), Terminal(quiet=options.quiet, highlight=False, soft_wrap=True)
    executor = Local(options.jobs or usable_cpus())
    _require(run, options)
    proofs, verdicts = [], [Verdict("spread", NOT_JUDGED, "the spread of a clone is that of its data")]
    if not run.cloned:
        proofs, verdicts = _training(run, console, executor, options, chosen)
    seen, facts, no_picture = _behaviour(run, options.against) if checkpoint.find(run.path) else ([], {}, None)
    if any(v.word == WEAK_MODE for v in verdicts):
        why, ways = _mode(run)
        seen, facts = [*seen, why], facts | ways
    replaced = {v.about for v in seen}  # playing the policy shows more than the log
    verdicts = [v for v in verdicts if v.about not in replaced] + seen
    branched = [proof._asdict() | {"gain": proof.gain._asdict()} for proof in proofs]
    numbers = {"verdict": words(verdicts), "verdicts": [v._asdict() for v in verdicts], "counterfactuals": branched}
    content = json.dumps(finite(numbers | facts), indent=1, default=str, allow_nan=False)
    text = _markdown(run, no_picture, verdicts=verdicts, proofs=proofs, facts=facts)
    files.replace({run.path / "diagnosis.json": content, run.path / "diagnosis.md": text})
    run.write_manifest(**record(verdicts))
    return Diagnosis(run.path, verdicts, proofs, facts)


def _markdown(run: RunFolder, no_picture: str | None, **found: Any) -> str:
    """The text of diagnosis.md: the verdicts, and the numbers behind them."""
    settings = run.settings()
    again = f"clone {shlex.quote(settings['dataset'])}" if run.cloned else f"train {settings['env']}"
    filters = {"words": words, "summary": summary, "hundredths": "{:.2f}".format, "shares": _shares}
    page = template("pgcontrol.diagnosis", "diagnosis.md.jinja", quote=shlex.quote, **filters)
    return page.render(run=run, again=again, curves=CURVES, scene=SCENE, no_picture=no_picture, **found).rstrip() + "\n"


def _shares(shares: dict[str, float]) -> str:
    """The routes with the largest fractions, as text."""
    most = sorted(shares.items(), key=lambda share: -share[1])
    named = [f"{name} {share:.0%}" for name, share in most[:6] if share > 0]
    return ", ".join(named) + (f" and {len(most) - 6} more" if len(most) > 6 and most[6][1] > 0 else "")


def _require(run: RunFolder, options: DiagnoseOptions) -> None:
    branches, at, against = options.branches, options.at, options.against
    if branches and run.cloned:
        raise InputError(f"--branches {branches}: {run.path} is a clone; there is no training to branch from")
    if 0 < branches < LEAST:
        raise InputError(f"--branches {branches}: too few for an interval; must be {LEAST} or more, 5 is usual")
    if at is not None and not run.cloned and at > (budget := run.config().total_steps):
        raise InputError(f"--at {at}: must be at most {budget:,}, the budget of {run.path}")
    if against is not None:
        env, theirs = run.settings()["env"], RunFolder.open(against).settings().get("env")
        if theirs != env:
            raise InputError(f"--against {against}: its task is {theirs}, not {env}")
        with closing(make_env(env, 1, 0)) as made:
            if made.task is None or not made.task.routes:
                raise InputError(f"--against {against}: {env} has no routes to compare")


def _training(
    run: RunFolder, console: Terminal, executor: Executor, options: DiagnoseOptions, limits: Limits
) -> tuple[list[Counterfactual], list[Verdict]]:
    """Verdicts from the log and from branches; also draws the curves."""
    rows = read_rows(run.metrics_file) if run.metrics_file.exists() else []
    if not rows:
        why = "the run stopped before its first update, or the file is damaged"
        raise InputError(f"{run.metrics_file} has no rows to judge: {why}")
    config, status = run.config(), str(run.manifest().get("status"))
    asked = _places(rows, run, options, limits) if options.branches else []
    before = _before(run, asked)
    places = len(asked) + len(before)  # the interval of each is corrected for all of them
    proofs = [found for place in before if (found := finished(run, place, places))]
    for place in asked:
        proofs.append(counterfactual(run, place, options.branches, executor, console, places))
        if collapse(rows, config.total_steps, limits, [proofs[-1].gain]).word == COLLAPSED:
            break
    with closing(make_env(config.env, 1, config.seed)) as env:
        joints = joint_names(env)
    known = Known(joints, [proof.gain for proof in proofs], reach_of(run, rows))
    verdicts = judge(rows, config.total_steps, status, limits, known)
    grown = {
        arm: [read_rows(folder / "metrics.jsonl") for proof in proofs for folder in proof.folders.get(arm, ())]
        for arm in (ARMS if proofs else ())
    }
    title = f"{run.path.name}: {config.env}, {config.head.name}"
    files.replace({run.path / CURVES: evidence.curves(rows, verdicts, limits, title, joints, grown)})
    return proofs, verdicts


def _places(rows: LogRows, run: RunFolder, options: DiagnoseOptions, limits: Limits) -> list[BranchPoint]:
    """Where branches begin: at `--at`, or at the onset, or else at several places in turn until one decides.

    Raises:
        InputError: the log does not contain the spread, or the policy is as wide as at the start.
    """
    steps, spread = spreads(rows)
    if not len(steps):
        none = "its log has no health/* measures; the runs of a peer have none, and cannot be resumed"
        raise InputError(f"--branches {options.branches}: {options.run}: {none}")
    checkpoints = checkpoint.find(run.path)
    budget, length = run.config().total_steps, options.branch_steps
    if options.at is not None:
        places = [BranchPoint(options.at, length)]
    elif found := onset(steps, spread, budget, limits):
        # the last checkpoint before the onset, or if the spread fell after it, the first one with a narrow policy
        later = [step for step in map(checkpoint.steps_of, checkpoints) if step > found.step]
        possible = [BranchPoint(step, length) for step in (found.step, *later)]
        places = [next((place for place in possible if branching_of(run, place).narrow), possible[0])]
    else:
        found = (closest(checkpoints, int(share * budget)) for share in PLACES)
        begins = dict.fromkeys(map(checkpoint.steps_of, found))
        places = [BranchPoint(step, length or int(LENGTH * budget)) for step in begins]
    branchings = {place: branching_of(run, place) for place in places}
    if not any(branching.narrow for branching in branchings.values()):
        where = " and ".join(f"at step {one.start:,} it is {one.had:.2g}" for one in branchings.values())
        what = f"nothing to widen to {branchings[places[0]].width:.2g} half-ranges: {where}; --at STEP names a place"
        raise InputError(f"--branches {options.branches}: {what}")
    return [place for place, branching in branchings.items() if branching.narrow]


def _before(run: RunFolder, asked: list[BranchPoint]) -> list[BranchPoint]:
    """The other places from which there are finished branches that began with a narrow policy."""
    folders = {branching_of(run, place).where for place in asked}
    others = [place for place in earlier(run) if finished(run, place)]
    return [place for place in others if (one := branching_of(run, place)).narrow and one.where not in folders]


def _behaviour(run: RunFolder, against: Path | None) -> tuple[list[Verdict], dict[str, Any], str | None]:
    """Play the policy, and draw the distribution of its actions at a decision.

    Returns:
        Verdicts, facts, and the reason if there is no picture of the scene.
    """
    settings, policy = run.settings(), load(run.path)
    env_id, seed = settings["env"], settings["seed"]
    env = make_env(env_id, 1, seed)
    verdicts, facts = list[Verdict](), dict[str, Any]()
    if env.task is not None and env.task.routes:
        verdicts, facts, decision = _routes(run, policy, against)
        where, obs, qpos, draws = decision.where, decision.obs[0], decision.qpos[0], decision.draws[:, 0]
        marks = evidence.marked(decision, 0)
    else:
        where = "in the middle of an episode"
        state, qpos = _midway(policy, env, seed)
        drawn = policy.draws(state, unimodality.DRAWS, torch.Generator().manual_seed(seed))[:, 0]
        obs, draws = state[0], spread.unit(drawn, policy.head.low, policy.head.high).double().numpy()
        marks = [evidence.Mark(unimodality.MEAN, draws.mean(0))]
    width = modes.width_for(policy.head.resolution)
    found = modes.modes(draws, width)
    each = zip(*(numbers.tolist() for numbers in found), strict=True)
    facts |= {
        "state": {"where": where, "obs": obs.tolist(), "qpos": None if qpos is None else qpos.tolist()},
        "modes": [dict(zip(found._fields, mode, strict=True)) for mode in each],
        "mean_to_mode": modes.distance(draws.mean(0), found),
        "density_at_mean": modes.relief(draws, draws.mean(0), width),
    }
    picture, missing = None, None
    try:
        picture = still(env_id, qpos, env.control_dt) if qpos is not None else None
    except RenderError as error:
        missing = str(error)
    does = f"the policy's actions {where}: {count(len(found), 'mode')}"
    title = f"{run.path.name}: {env_id}, {policy.head.name}\n{does}"
    files.replace({run.path / SCENE: evidence.scene(picture, draws, marks, title, joint_names(env))})
    env.close()
    return verdicts, facts, missing


def _mode(run: RunFolder) -> tuple[Verdict, dict[str, Any]]:
    """Why samples beat the mode: play the policy in other ways."""
    settings = run.settings()
    playing = weak_mode.play(load(run.path), settings["env"], settings["seed"])
    intervals = {name: mean_interval(returns) for name, returns in playing.returns.items()}
    played = {name: {"mean": i.estimate, "half": i.high - i.estimate} for name, i in intervals.items()}
    seen = {"several": playing.several, "clipped": playing.clipped}
    return weak_mode.judged(playing), {"played": played, "mode": seen}


def _routes(run: RunFolder, policy: Policy, against: Path | None) -> tuple[list[Verdict], dict[str, Any], Decision]:
    """Which routes the policy takes compared with the reference, and whether it averages at the choice."""
    settings = run.settings()
    env_id, seed = settings["env"], settings["seed"]
    env = make_env(env_id, unimodality.EPISODES, seed)
    assert env.task is not None
    taken = run.manifest().get("routes")
    if against is not None:
        reference = load(against)
        whose, theirs = f"{reference.head.name} in {against.name}", unimodality.routes_taken(env, reference, seed)
    elif taken:
        numbers = np.repeat(np.arange(len(env.task.routes)), [taken.get(name, 0) for name in env.task.routes])
        whose, theirs = "its data", unimodality.occupancy(numbers, env.task.routes)
    else:
        whose, theirs = "the demonstrator", unimodality.routes_taken(env, None, seed)
    ours = unimodality.routes_taken(env, policy, seed)
    decision = unimodality.decide(policy, env_id, seed)
    env.close()
    intervals = {name: mean_interval(value) for name, value in decision.value.items()}
    facts = {
        "routes": ours._asdict(),
        "reference": {"of": whose} | theirs._asdict(),
        "values": {name: {"mean": i.estimate, "half": i.high - i.estimate} for name, i in intervals.items()},
        "blocked": decision.blocked,
    }
    lost = "mode loss" if run.cloned or against is not None else FEWER_ROUTES
    verdicts = [unimodality.success(ours, theirs, whose), unimodality.mode_loss(ours, theirs, whose, lost)]
    return [*verdicts, unimodality.averaging(decision)], facts, decision


def _midway(policy: Policy, env: VecEnv, seed: int) -> tuple[torch.Tensor, np.ndarray | None]:
    """A state in the middle of an episode (or after 100 steps) in which it chooses: observation [1, O], positions."""
    playing, choices = Episodes(env, policy_agent(policy, True, seed), env.reset()), []
    qpos = env.qpos(0)
    for played in itertools.islice(playing, 200):
        if played.part == 0:
            choices.append((played.obs, qpos))
        qpos = env.qpos(0)
    return choices[len(choices) // 2]
