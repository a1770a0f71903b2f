"""Measure speed, compared with its limit and with other packages."""

from dataclasses import dataclass
from pathlib import Path

from pgcontrol.options import REQUIRED, option, pick

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
    threads: int = option(2, "physics threads for env and sb3", least=1, most=1024)
    seconds: float = option(3.0, "time for each measurement", above=0, below=1e6, metavar="S")
    out: Path | None = option(None, "also write the numbers to this file", metavar="FILE.json")


def run(options: Options) -> int:
    """Measure, print and write the results."""
    from pgcontrol_envs import catalog as tasks

    from pgcontrol.bench import env, heads, ranks, sb3, scale, training
    from pgcontrol.runs import catalog

    for env_id in options.envs:
        pick("task", env_id, tasks())
    for chosen in options.heads:
        pick("head", chosen, catalog.heads())
    if options.what == "env":
        ids = options.envs or ("HalfCheetah-v5", "Hopper-v5", "Walker2d-v5", "Ant-v5", "Humanoid-v5")
        env.run(ids, options.num_envs or 64, options.threads, options.seconds, options.out)
        return 0
    for env_id in options.envs or ("HalfCheetah-v5",):
        if options.what == "train" and options.ranks:
            ranks.run(env_id, options.ranks, {}, options.seconds, options.out)
        elif options.what == "train":
            training.run(env_id, list(options.heads) or ["gaussian", "binned"], {}, options.seconds, options.out)
        elif options.what == "heads":
            every = sorted(catalog.heads(), key=lambda head: head != "gaussian")
            heads.run(env_id, list(options.heads) or every, {}, options.seconds, options.out)
        elif options.what == "sb3":
            sb3.run(env_id, options.num_envs or 128, options.threads, options.seconds, options.out)
        else:
            scale.run(env_id, options.seconds, options.out)
    return 0
