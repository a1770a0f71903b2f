"""`pgcontrol diagnose`: all verdicts on a finished run, with their evidence, into its folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console

from pgcontrol.diagnosis import evidence, modes, spread, unimodality
from pgcontrol.diagnosis.counterfactual import Counterfactual, counterfactual
from pgcontrol.diagnosis.verdicts import Limits, Verdict, judge, onset, spreads, summary, words
from pgcontrol.experiment.executor import Executor
from pgcontrol.options import InputError
from pgcontrol.policy import Policy
from pgcontrol.runs import checkpoint
from pgcontrol.runs.folder import RunFolder
from pgcontrol.runs.load import load, make_env
from pgcontrol.runs.log import read_rows
from pgcontrol.view.evaluate import LONGEST
from pgcontrol.view.process import RenderError
from pgcontrol.view.still import still

CURVES, SCENE = "diagnosis.png", "diagnosis-scene.png"


def diagnose(
    path: Path,
    console: Console,
    executor: Executor,
    branches: int = 0,
    steps: int | None = None,
    against: Path | None = None,
    limits: Limits | None = None,
) -> list[Verdict]:
    """Judge a run, and leave diagnosis.json, diagnosis.md and their pictures in its folder.

    Args:
        path: the run folder, of a training or a clone.
        console: for progress.
        executor: what runs branches.
        branches: of each arm, widened and left alone, where there is an onset; 0: none.
        steps: environment steps of a branch; None: see `counterfactual`.
        against: another run of the same task, whose routes are the reference; None: the demonstrator's.
        limits: what counts as what.

    Raises:
        InputError: no run there, one without a log, or a reference of another task.
    """
    run = RunFolder.open(path)
    if run.cloned:
        if branches:
            raise InputError(f"--branches {branches}: {path} is a clone, and has no training to branch from")
        proof, verdicts = None, [Verdict("healthy", "σ not judged: a clone's is that of its data")]
    else:
        proof, verdicts = _training(run, console, executor, branches, steps, limits or Limits())
    facts: dict[str, Any] = {"counterfactual": proof._asdict() | {"gain": proof.gain._asdict()} if proof else None}
    pictured = None
    if checkpoint.find(run.path):
        settings, policy = run.settings(), load(run.path)
        about, pictured = _behaviour(policy, settings["env"], settings["seed"], against, run.path / SCENE)
        verdicts += about.pop("verdicts")
        facts |= about
    _write(run, verdicts, facts, pictured)
    run.write_manifest(verdict=words(verdicts))
    return verdicts


def _training(
    run: RunFolder, console: Console, executor: Executor, branches: int, steps: int | None, limits: Limits
) -> tuple[Counterfactual | None, list[Verdict]]:
    """What the log shows, and branches from its onset prove; draws the curves."""
    if not run.metrics_file.exists() or not (rows := read_rows(run.metrics_file)):
        raise InputError(f"{run.path} has no metrics.jsonl to judge: it stopped before its first update")
    config, status = run.config(), str(run.manifest().get("status"))
    found = onset(*spreads(rows), config.total_steps, limits)
    proof: Counterfactual | None = None
    if branches and found is None:
        console.print("no onset of a σ collapse: no branches to run", markup=False)
    elif branches and found:
        proof = counterfactual(run, found, branches, steps, executor, console)
    verdicts = judge(rows, config.total_steps, status, limits, proof.gain if proof else None)
    evidence.curves(rows, verdicts, limits, run.path / CURVES)
    return proof, verdicts


def _behaviour(
    policy: Policy, env_id: str, seed: int, against: Path | None, out: Path
) -> tuple[dict[str, Any], str | None]:
    """What playing shows: facts and verdicts, and why there is no picture (None: there is one)."""
    env = make_env(env_id, unimodality.EPISODES, seed)
    facts: dict[str, Any] = {"verdicts": []}
    decision = None
    if env.task is not None and env.task.routes:
        reference, whose = None, "demonstrations"
        if against is not None:
            other = RunFolder.open(against).settings()
            if other.get("env") != env_id:
                raise InputError(f"--against {against}: is of {other.get('env')}, not of {env_id}")
            reference = load(against)
            whose = f"{reference.head.name} in {against.name}"
        ours, theirs = (unimodality.routes_taken(env, p, seed) for p in (policy, reference))
        decision = unimodality.decide(policy, env_id, seed)
        facts |= {"routes": ours._asdict(), "reference": {"of": whose} | theirs._asdict()}
        facts["verdicts"].append(unimodality.mode_loss(ours, theirs, whose))
        if decision is None:
            facts["verdicts"].append(
                Verdict("healthy", "averaging not judged: it never comes to where the route is chosen")
            )
        else:
            facts["verdicts"].append(unimodality.averaging(decision))
            facts["values"] = {name: float(value.mean()) for name, value in decision.value.items()}
            facts["blocked"] = decision.blocked
    if decision is not None:
        draws, marks, qpos = decision.draws[:, 0], evidence.marked(decision, 0), decision.qpos[0]
    else:
        obs, qpos = _midway(policy, env_id, seed)
        draws = _draws(policy, obs, seed)
        marks = {"mean of draws": draws.mean(0)}
    of_draws = modes.modes(draws, modes.width_for(policy.head.resolution))
    facts["modes"] = [
        {"mass": float(m), "centre": c.tolist()} for m, c in zip(of_draws.mass, of_draws.centre, strict=True)
    ]
    title = f"{env_id}, {policy.head.name}: what the policy might do here, {len(of_draws)} mode(s)"
    picture, missing = None, None
    try:
        picture = still(env_id, qpos, env.control_dt) if qpos is not None else None
    except RenderError as error:
        missing = str(error)
    evidence.scene(picture, draws, marks, title, out)
    return facts, missing


@torch.no_grad()
def _midway(policy: Policy, env_id: str, seed: int) -> tuple[torch.Tensor, np.ndarray | None]:
    """A state in the middle of an episode, or after 100 steps: observation [1, O] and positions."""
    env = make_env(env_id, 1, seed)
    obs, seen = env.reset(), []
    for _ in range(min(env.time_limit or LONGEST, 200)):
        seen.append((obs, env.qpos(0)))
        action, _ = policy.act(obs, None)
        step = env.step(action if action.ndim == 2 else action[:, 0])
        obs = step.obs
        if bool(step.terminated | step.truncated):
            break
    return seen[len(seen) // 2]


def _draws(policy: Policy, obs: torch.Tensor, seed: int) -> np.ndarray:
    drawn = policy.draws(obs, unimodality.DRAWS, torch.Generator().manual_seed(seed))[:, 0]
    return spread.unit(drawn, policy.head.low, policy.head.high).double().numpy()


def _write(run: RunFolder, verdicts: list[Verdict], facts: dict[str, Any], no_picture: str | None) -> None:
    """diagnosis.json and diagnosis.md, each beside and renamed into place."""
    told = {"verdict": words(verdicts), "verdicts": [v._asdict() for v in verdicts]} | facts
    text = [
        f"# {words(verdicts)}",
        "",
        summary(verdicts),
        "",
        "| verdict | since step | joints | why |",
        "|---|---:|---|---|",
        *(
            f"| {v.word} | {'' if v.step is None else f'{v.step:,}'} | {', '.join(map(str, v.joints))} | {v.why} |"
            for v in verdicts
        ),
        "",
    ]
    if proof := facts["counterfactual"]:
        text += [
            f"Branches of {proof['steps']:,} steps from step {proof['start']:,}, widened to {proof['width']:.2f}:",
            "",
        ]
        text += [f"- {arm}: {', '.join(f'{s:,.4g}' for s in scores)}" for arm, scores in proof["scores"].items()] + [""]
    text += [] if run.cloned else [f"![curves]({CURVES})", ""]
    text += [f"![scene]({SCENE})", ""]
    text += [f"No picture of the scene: {no_picture}", ""] if no_picture else []
    for name, content in (
        ("diagnosis.json", json.dumps(told, indent=1, default=float)),
        ("diagnosis.md", "\n".join(text)),
    ):
        beside = run.path / f".{name}.tmp"
        beside.write_text(content)
        beside.replace(run.path / name)
