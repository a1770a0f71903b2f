"""Measure speed beside its limit and the peers."""

from dataclasses import dataclass
from pathlib import Path

from pgcontrol.options import REQUIRED, option, pick

WHAT = (
    "env: worlds beside the bare batch and EnvPool; train: learning beside SB3; heads: every head beside the first;"
    " scale: 8 to 512 environments; sb3: SB3 on our worlds beside its own"
)
KINDS = ("env", "train", "heads", "scale", "sb3")


@dataclass(frozen=True)
class Options:
    """What to measure."""

    what: str = option(
        REQUIRED, WHAT, choices=("env", "train", "heads", "scale", "sb3"), metavar="WHAT", positional=True
    )
    envs: tuple[str, ...] = option((), "tasks [env: five of them; else HalfCheetah-v5]", metavar="ID", several=True)
    heads: tuple[str, ...] = option(
        (), "heads of train [gaussian binned], of heads [all]", metavar="HEAD", several=True
    )
    num_envs: int | None = option(None, "environments [env: 64; sb3: 128]", least=1, most=65_536)
    ranks: tuple[int, ...] = option(
        (), "of train: numbers of processes that make one run, beside as many runs at once", metavar="N", several=True
    )
    threads: int = option(2, "physics threads of env and sb3", least=1, most=1024)
    seconds: float = option(3.0, "time for each measurement", above=0, below=1e6, metavar="S")
    out: Path | None = option(None, "also write the numbers here", metavar="FILE.json")


def run(options: Options) -> int:
    """Measure, print, and write."""
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
