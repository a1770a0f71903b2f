"""Measure speed beside its limit and the peers."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from pgcontrol.arguments import seconds, whole
from pgcontrol.options import pick


def arguments(parser: ArgumentParser) -> None:
    """What to measure."""
    parser.add_argument(
        "what",
        choices=("env", "train", "heads", "scale"),
        help="env: worlds beside the bare batch and EnvPool; train: learning beside SB3; heads: every head beside the"
        " first; scale: 8 to 512 environments",
    )
    parser.add_argument("--envs", nargs="+", metavar="ID", help="tasks [env: five of them; else HalfCheetah-v5]")
    parser.add_argument("--heads", nargs="+", help="heads of train [gaussian binned], of heads [all]")
    parser.add_argument("--num-envs", type=whole, default=64, metavar="N", help="environments of env [64]")
    parser.add_argument("--threads", type=whole, default=2, metavar="N", help="physics threads of env [2]")
    parser.add_argument("--seconds", type=seconds, default=3.0, metavar="S", help="time for each measurement [3]")
    parser.add_argument("--out", type=Path, metavar="FILE.json", help="also write the numbers here")


def run(given: Namespace) -> int:
    """Measure, print, and write."""
    from pgcontrol_envs import catalog as tasks

    from pgcontrol.runs import catalog

    for env_id in given.envs or ():
        pick("task", env_id, tasks())
    for head in given.heads or ():
        pick("head", head, catalog.heads())
    if given.what == "env":
        from pgcontrol.bench import env

        ids = given.envs or ["HalfCheetah-v5", "Hopper-v5", "Walker2d-v5", "Ant-v5", "Humanoid-v5"]
        env.run(ids, given.num_envs, given.threads, given.seconds, given.out)
        return 0
    for env_id in given.envs or ["HalfCheetah-v5"]:
        if given.what == "train":
            from pgcontrol.bench import training

            training.run(env_id, given.heads or ["gaussian", "binned"], {}, given.seconds, given.out)
        elif given.what == "heads":
            from pgcontrol.bench import heads

            every = sorted(catalog.heads(), key=lambda head: head != "gaussian")
            heads.run(env_id, given.heads or every, {}, given.seconds, given.out)
        else:
            from pgcontrol.bench import scale

            scale.run(env_id, given.seconds, given.out)
    return 0
