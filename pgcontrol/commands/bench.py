"""Measure speed, compared with its limit and with other packages."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pgcontrol.options import REQUIRED, InputError, option, pick

WHAT = (
    "env: environments, compared with the bare batch and EnvPool; train: learning, compared with SB3; heads: every"
    " head, compared with the first; scale: 8 to 512 environments; sb3: SB3 on our environments and on its own"
)
KINDS = ("env", "train", "heads", "scale", "sb3")


@dataclass(frozen=True)
class Options:
    """The measurement."""

    what: str = option(REQUIRED, WHAT, choices=KINDS, metavar="WHAT", positional=True)
    envs: tuple[str, ...] = option((), "tasks [env: five tasks; else HalfCheetah-v5]", metavar="ID", several=True)
    heads: tuple[str, ...] = option(
        (), "heads [for train: gaussian binned; for heads: all]", metavar="HEAD", several=True
    )
    num_envs: int | None = option(None, "number of environments [env: 64; sb3: 128]", least=1, most=65_536)
    ranks: tuple[int, ...] = option(
        (),
        "for train: numbers of processes for one run, compared with as many runs",
        least=1,
        most=1024,
        metavar="N",
        several=True,
    )
    threads: int | None = option(None, "physics threads for env and sb3 [2]", least=1, most=1024)
    seconds: float = option(3.0, "time for each measurement", above=0, below=1e6, metavar="S")
    out: Path | None = option(None, "also write the numbers to this file", metavar="FILE.json")
    force: bool = option(False, "replace FILE.json if it exists")


# the options that only some measurements use
USED = {
    "env": ("num_envs", "threads"),
    "train": ("heads", "ranks"),
    "heads": ("heads",),
    "sb3": ("num_envs", "threads"),
}


def run(options: Options) -> int:
    """Measure, print and write the results."""
    from pgcontrol.machine import files
    from pgcontrol.runs import catalog

    _require(options)
    for env_id in options.envs:
        pick("task", env_id, catalog.tasks())
    for chosen in options.heads:
        pick("head", chosen, catalog.heads())
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)  # now, not after minutes of measurements
    found = _measured(options)
    if options.out:
        files.replace({options.out: json.dumps(found, indent=1) + "\n"})
    return 0


def _require(options: Options) -> None:
    for name in ("num_envs", "threads", "heads", "ranks"):
        if getattr(options, name) and name not in USED.get(options.what, ()):
            raise InputError(f"--{name.replace('_', '-')}: bench {options.what} does not use it; leave it out")
    if options.ranks and options.heads:
        raise InputError("--heads: bench train --ranks trains one run with the recommended head; leave it out")
    if options.what == "sb3":
        from pgcontrol.training import peer

        for env_id in options.envs:
            if not peer.has(env_id):
                raise InputError(f"--envs {env_id}: bench sb3 compares with Gymnasium's own task, and it has none")
    if options.out and options.out.exists() and not options.force:
        raise InputError(f"{options.out} exists already; choose another file, or pass --force")


def _measured(options: Options) -> dict[str, Any]:
    """The numbers, for several tasks by task; those of `env` are in one piece."""
    from pgcontrol.bench import env

    if options.what == "env":
        ids = options.envs or ("HalfCheetah-v5", "Hopper-v5", "Walker2d-v5", "Ant-v5", "Humanoid-v5")
        return env.run(ids, options.num_envs or 64, options.threads or 2, options.seconds)
    found = {env_id: _of_task(options, env_id) for env_id in options.envs or ("HalfCheetah-v5",)}
    return found if len(found) > 1 else next(iter(found.values()))


def _of_task(options: Options, env_id: str) -> dict[str, Any]:
    from pgcontrol.bench import heads, ranks, sb3, scale, training
    from pgcontrol.runs import catalog

    if options.what == "train" and options.ranks:
        return ranks.run(env_id, options.ranks, {}, options.seconds)
    if options.what == "train":
        return training.run(env_id, list(options.heads) or ["gaussian", "binned"], {}, options.seconds)
    if options.what == "heads":
        every = sorted(catalog.heads(), key=lambda head: head != "gaussian")
        return heads.run(env_id, list(options.heads) or every, {}, options.seconds)
    if options.what == "sb3":
        return sb3.run(env_id, options.num_envs or 128, options.threads or 2, options.seconds)
    return scale.run(env_id, options.seconds)
