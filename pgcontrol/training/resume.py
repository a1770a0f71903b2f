"""Resume a stopped run or clone from a checkpoint; the result is the same bit for bit as without the stop."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pgcontrol.machine import instructions, revisions
from pgcontrol.machine.ranks import meet
from pgcontrol.options import InputError
from pgcontrol.runs import catalog, checkpoint
from pgcontrol.runs.config import PARTS, Config, configure, flat, nested, with_arguments
from pgcontrol.runs.folder import RunFolder
from pgcontrol.text import typed
from pgcontrol.training.clone import resume_clone
from pgcontrol.training.learner import Learner
from pgcontrol.training.session import OnUpdate, Run
from pgcontrol.training.train import followed, loop

# settings that a resumed run keeps, because they determine the tensors or the identity of the run
FOR_GOOD = (
    "env",
    "seed",
    "num_envs",
    "hidden",
    "critic_hidden",
    "symmetric",
    "scale_reward",
    "noise_beta",
    "prior",
    "prior_std",
    "run_dir",
)


def resume(
    run_dir: str | Path,
    total_steps: int | None = None,
    *,
    quiet: bool = True,
    settings: Mapping[str, Any] | None = None,
    on_update: OnUpdate | None = None,
) -> Run:
    """Resume a run or a clone from its newest checkpoint. The result is the same as without the interruption.

    Args:
        run_dir: the run folder, or one of its checkpoints. In the latter case, later checkpoints are set aside.
        total_steps: a new budget in environment steps; schedules use it from now on.
        quiet: show no progress.
        settings: changed settings, such as `{"algorithm.learning_rate": 1e-4}`. They may change neither the task nor
            the policy. The manifest lists them.
        on_update: see `train`.

    Raises:
        InputError: there is no run, its checkpoint is damaged, it has finished, or another process is training it.
        Diverged, FloatingPointError: numbers became infinite or NaN; the last good checkpoint remains.
        RankLost: another process of torchrun has ended.
    """
    origin, ranks = Path(run_dir), meet()
    if ranks.rank:
        values, compiled, latest = ranks.first(None)
        learner = Learner(configure(values), compiled, fresh=False, ranks=ranks)
        learner.load(latest)
        return followed(learner)
    run = RunFolder.of(origin)
    if run.cloned:
        if total_steps is not None or settings:
            raise InputError(f"{run_dir} is a clone; its settings cannot be changed")
        return resume_clone(origin, quiet=quiet)
    with run.alone() as folder:
        config = folder.config()
        if config.peer != "none":
            raise InputError(f"{run_dir}: peer = {config.peer!r}: a peer's run cannot be resumed; train it again")
        changed = flat(settings or {}) | ({} if total_steps is None else {"total_steps": total_steps})
        config = _changed(config, changed) if changed else config
        latest = checkpoint.latest(origin)
        done = checkpoint.steps_of(latest)
        # a run that was killed after its last checkpoint still needs its ending
        if done >= config.total_steps and (total_steps is not None or folder.manifest().get("status") == "finished"):
            more = folder.command("resume", "--total-steps", 2 * done)
            raise InputError(
                f"{run_dir} has finished: {done:,} steps of {config.total_steps:,}; to train longer: {more}"
            )
        catalog.require_loggers(config.logger)
        manifest = folder.manifest()
        compiled = manifest.get("compiled")  # as before, for the same results bit for bit
        _warn_of_other_instructions(manifest.get("instructions"))
        ranks.first((nested(config), compiled, latest))
        learner = Learner(config, compiled, fresh=False, ranks=ranks)
        try:
            learner.load(latest)
        except InputError as error:
            raise InputError(f"{error}; changed settings: {', '.join(changed)}" if changed else str(error)) from None
        checkpoint.set_aside([later for later in checkpoint.find(folder.path) if checkpoint.steps_of(later) > done])
        folder.write_config(config)
        folder.write_manifest(git=revisions.joined(manifest.get("git"), revisions.revision()))
        if changed:
            folder.write_manifest(resumed=[*folder.manifest().get("resumed", []), {"steps": done, "settings": changed}])
        folder.forget("diagnosis", "outcome")
        return loop(learner, folder, quiet, on_update)


def _changed(config: Config, settings: dict[str, Any]) -> Config:
    """A run's config with changed settings. Raises InputError for a setting that cannot change."""
    old = flat(nested(config))
    settings = with_arguments({"env": old["env"]} | settings)
    stored = catalog.algorithms()[config.method].rule.stored(config.algorithm.options)
    kept_for_good = {*FOR_GOOD, *(f"algorithm.{name}" for name in stored)}
    for key, value in settings.items():
        kept = key in kept_for_good or (key.split(".")[0] in PARTS and not key.startswith("algorithm."))
        if kept and key in old and typed(value) != typed(old[key]):
            raise InputError(f"{key} = {value!r}: a resumed run keeps its {key}, {old[key]!r}")
    return configure(old | settings)


def _warn_of_other_instructions(before: str | None) -> None:
    now = instructions.used()
    if before not in (None, now):
        advice = "the result is not bit for bit that of an uninterrupted run"
        warnings.warn(f"the run began with the instructions {before}, and continues with {now}: {advice}", stacklevel=3)
