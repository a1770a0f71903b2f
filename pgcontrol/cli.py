"""The command line. Every flag of `train` comes from the dataclasses that hold the settings."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from pgcontrol.options import InputError, suggest


class Parser(argparse.ArgumentParser):
    """argparse whose errors are one line, with exit code 2."""

    def error(self, message: str) -> NoReturn:
        """Print `pgcontrol: message` and exit."""
        fail(message)


def fail(message: str, code: int = 2) -> NoReturn:
    """One line on stderr, and out."""
    print(f"pgcontrol: {' '.join(message.split())}", file=sys.stderr)
    raise SystemExit(code)


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point of `pgcontrol`."""
    words = list(sys.argv[1:] if argv is None else argv)
    parser = _parser()
    known = [a for a in words if a in COMMANDS]
    if words and not words[0].startswith("-") and words[0] not in COMMANDS:
        parser.error(f"unknown command {words[0]!r}{suggest(words[0], COMMANDS)}")
    if known and words[0] == "train":
        _add_settings(parser.commands["train"], words)  # pyright: ignore[reportAttributeAccessIssue]
    arguments, rest = parser.parse_known_args(words)
    if rest:
        flags = [o for a in parser.commands[arguments.command]._actions for o in a.option_strings]  # pyright: ignore
        unknown = rest[0].split("=")[0]
        parser.error(f"unknown argument {unknown!r}" + (suggest(unknown, flags) if unknown.startswith("-") else ""))
    try:
        raise SystemExit(COMMANDS[arguments.command][1](arguments))
    except InputError as error:
        fail(str(error))
    except (FloatingPointError, RuntimeError) as error:
        # Diverged and RenderError among them: the message says what happened and what is left
        if type(error) is RuntimeError:
            raise
        fail(str(error), code=1)
    except KeyboardInterrupt:
        fail("interrupted", code=130)
    except BrokenPipeError:
        raise SystemExit(0) from None


def _parser() -> Parser:
    parser = Parser(prog="pgcontrol", description="Policy gradients on MuJoCo, with the action head as the experiment.")
    parser.add_argument("--version", action="version", version=_version())
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=Parser)
    table = {}
    for name, (summary, _, add) in COMMANDS.items():
        table[name] = commands.add_parser(name, help=summary, description=summary, allow_abbrev=False)
        add(table[name])
    parser.commands = table  # pyright: ignore[reportAttributeAccessIssue]
    return parser


def _version() -> str:
    from importlib import metadata

    return metadata.version("pgcontrol")


# --- train ---------------------------------------------------------------------------------------------------------


def _train_arguments(parser: Parser) -> None:
    parser.add_argument("env", nargs="?", help="task id, or gym:ID (see `pgcontrol list`)")
    parser.add_argument("--config", type=Path, metavar="FILE", help="YAML file of settings; flags win over it")
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")


def _add_settings(parser: Parser, words: list[str]) -> None:
    """A flag for every setting, and for those of the head, algorithm and critic that the words choose."""
    from pgcontrol.runs.config import PARTS, Settings, read_yaml

    chosen = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    chosen.add_argument("--config", type=Path)
    for part in PARTS:
        chosen.add_argument(f"--{part}")
    try:
        names = vars(chosen.parse_known_args(words)[0])
    except argparse.ArgumentError:
        return  # the real parser will say it
    config = read_yaml(names["config"]) if names["config"] else {}
    _flags(parser.add_argument_group("settings"), Settings, "", skip={"env"})
    for part, (table, default) in PARTS.items():
        name = names[part] or config.get(part, default)
        group = parser.add_argument_group(f"{part}: {name}")
        group.add_argument(f"--{part}", metavar="NAME", default=argparse.SUPPRESS, help=" | ".join(table()))
        if name in table():  # a wrong name is told by `configure`, with what there is
            _flags(group, table()[name].Options, f"{part}.")


def _flags(group: argparse._ArgumentGroup, options: type, prefix: str, skip: set[str] = frozenset()) -> None:  # pyright: ignore[reportArgumentType]
    for field in dataclasses.fields(options):
        if field.name not in skip:
            flag = f"--{prefix}{field.name}"
            names = dict.fromkeys([flag.replace("_", "-"), flag])
            group.add_argument(
                *names,
                dest=prefix + field.name,
                default=argparse.SUPPRESS,
                metavar="X",
                help=f"{field.metadata['help']} [{field.default}]".replace("%", "%%"),
            )


def _train(arguments: argparse.Namespace) -> int:
    from pgcontrol.runs.config import configure, read_yaml

    given = {k: v for k, v in vars(arguments).items() if k not in ("command", "config", "quiet") and v is not None}
    config = configure((read_yaml(arguments.config) if arguments.config else {}) | given)
    from pgcontrol.learning.train import train

    return _ended(train(config, quiet=arguments.quiet))


def _resume_arguments(parser: Parser) -> None:
    parser.add_argument("run", type=Path, help="run folder")
    parser.add_argument("--total-steps", type=_whole, metavar="N", help="a new budget in environment steps")
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")


def _resume(arguments: argparse.Namespace) -> int:
    from pgcontrol.learning.train import resume

    return _ended(resume(arguments.run, arguments.total_steps, quiet=arguments.quiet))


def _ended(run: Any) -> int:
    """Exit code of a training: 0, or 130 as shells have it for one that a signal stopped."""
    return 0 if run.status == "finished" else 130


def _whole(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} must be at least 1")
    return number


# --- looking -------------------------------------------------------------------------------------------------------


def _eval_arguments(parser: Parser) -> None:
    parser.add_argument("run", type=Path, help="run folder or checkpoint")
    parser.add_argument("--episodes", type=_whole, default=20, metavar="N", help="episodes [20]")
    parser.add_argument("--agent", choices=("policy", "random", "zero"), default="policy", help="who plays [policy]")
    parser.add_argument("--seed", type=int, default=0, help="of the start states [0]")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")


def _eval(arguments: argparse.Namespace) -> int:
    from pgcontrol.view.report import evaluate_run

    return evaluate_run(arguments.run, arguments.episodes, arguments.agent, arguments.seed, arguments.json)


def _video_arguments(parser: Parser) -> None:
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="run folders or checkpoints, side by side")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.mp4", help="where the clip goes")
    parser.add_argument("--seconds", type=float, metavar="S", help="at most this long; whole episodes otherwise")
    parser.add_argument("--sampled", action="store_true", help="play samples of the policy instead of its mode")
    parser.add_argument("--seed", type=int, default=0, help="of the start state, the same for all runs [0]")
    parser.add_argument("--size", default="640x480", metavar="WxH", help="of one scene [640x480]")
    parser.add_argument("--force", action="store_true", help="replace FILE.mp4 if it exists")


def _video(arguments: argparse.Namespace) -> int:
    from pgcontrol.view.clips import video_of_runs

    if arguments.out.exists() and not arguments.force:
        raise InputError(f"{arguments.out} exists already; name another file, or say --force")
    if arguments.seconds is not None and arguments.seconds <= 0:
        raise InputError(f"--seconds {arguments.seconds:g}: must be greater than 0")
    try:
        width, height = (int(n) for n in arguments.size.lower().split("x"))
    except ValueError:
        raise InputError(f"--size {arguments.size}: must look like 640x480") from None
    video_of_runs(
        arguments.runs, arguments.out, arguments.seconds, (width, height), arguments.seed, not arguments.sampled
    )
    return 0


def _no_arguments(parser: Parser) -> None:
    pass


def _list(arguments: argparse.Namespace) -> int:
    from pgcontrol.view.report import print_catalog

    return print_catalog()


def _doctor(arguments: argparse.Namespace) -> int:
    from pgcontrol.view.doctor import main as doctor

    return doctor()


def _bench_arguments(parser: Parser) -> None:
    parser.add_argument("what", choices=("env",), help="env: environment steps/s beside the bare batch and the peers")
    parser.add_argument("--envs", nargs="+", metavar="ID", help="tasks [HalfCheetah Hopper Walker2d Ant Humanoid, v5]")
    parser.add_argument("--num-envs", type=_whole, default=64, metavar="N", help="environments [64]")
    parser.add_argument("--threads", type=_whole, default=2, metavar="N", help="physics threads [2]")
    parser.add_argument("--seconds", type=float, default=3.0, metavar="S", help="time for each measurement [3]")
    parser.add_argument("--out", type=Path, metavar="FILE.json", help="also write the numbers here")


def _bench(arguments: argparse.Namespace) -> int:
    from pgcontrol.bench import env

    ids = arguments.envs or ["HalfCheetah-v5", "Hopper-v5", "Walker2d-v5", "Ant-v5", "Humanoid-v5"]
    env.run(ids, arguments.num_envs, arguments.threads, arguments.seconds, arguments.out)
    return 0


def _demo_arguments(parser: Parser) -> None:
    parser.add_argument("--total-steps", default="300_000", metavar="N", help="environment steps for each head [300_000]")
    parser.add_argument("--run-dir", type=Path, metavar="DIR", help="where the runs go [a new folder under runs/]")


def _demo(arguments: argparse.Namespace) -> int:
    from pgcontrol.demo import demo

    return demo(arguments.total_steps, arguments.run_dir)


COMMANDS = {
    "train": ("train a policy", _train, _train_arguments),
    "resume": ("go on with a run from its newest checkpoint", _resume, _resume_arguments),
    "eval": ("returns of a trained policy, by mode and by samples", _eval, _eval_arguments),
    "video": ("render policies, several side by side", _video, _video_arguments),
    "list": ("tasks, heads, algorithms and critics there are", _list, _no_arguments),
    "doctor": ("versions, threads and graphics, and how to mend what is missing", _doctor, _no_arguments),
    "bench": ("measure speed beside its limit and the peers", _bench, _bench_arguments),
    "demo": ("train two heads on HalfCheetah-v5 and render them side by side", _demo, _demo_arguments),
}
"""Name -> one line of help, what it does (returns the exit code), and its arguments."""
