"""The command line. Every flag of `train` comes from the dataclasses that hold the settings."""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from pgcontrol.options import InputError, pick, suggest
from pgcontrol.view import gl


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
    gl.step_aside()
    try:
        raise SystemExit(_run(words))
    except InputError as error:
        fail(str(error))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nobody reads any more: end quietly
        raise SystemExit(0) from None
    except (FloatingPointError, RuntimeError) as error:
        # Diverged and RenderError among them: the message says what happened and what is left
        if type(error) is RuntimeError:
            raise
        fail(str(error), code=1)
    except OSError as error:
        fail(f"{error.filename or 'I/O'}: {error.strerror or error}", code=1)
    except KeyboardInterrupt:
        fail("interrupted", code=130)


def _run(words: list[str]) -> int:
    if words and not words[0].startswith("-") and words[0] not in COMMANDS:
        raise InputError(f"unknown command {words[0]!r}{suggest(words[0], COMMANDS)}")
    parser, commands = _parser()
    if words[:1] == ["train"]:
        if not {"-h", "--help"} & set(words):
            return _train(words[1:])
        commands["train"].epilog = _settings_help(words[1:])
    arguments, rest = parser.parse_known_args(words)
    if rest:
        flags = [flag for action in commands[arguments.command]._actions for flag in action.option_strings]
        raise InputError(f"unknown argument {rest[0]!r}" + (suggest(rest[0], flags) if rest[0].startswith("-") else ""))
    return COMMANDS[arguments.command][1](arguments)


def _parser() -> tuple[Parser, dict[str, Parser]]:
    parser = Parser(prog="pgcontrol", description="Policy gradients on MuJoCo, with the action head as the experiment.")
    parser.add_argument("--version", action="version", version=_version())
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=Parser)
    table = {}
    for name, (summary, _, add) in COMMANDS.items():
        table[name] = commands.add_parser(
            name,
            help=summary,
            description=summary,
            allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        add(table[name])
    return parser, table


def _version() -> str:
    from importlib import metadata

    return metadata.version("pgcontrol")


# --- train ---------------------------------------------------------------------------------------------------------


def _train_arguments(parser: Parser) -> None:
    """For `--help` alone: `_read_settings` does the reading, and `configure` judges names and values."""
    parser.usage = "pgcontrol train ENV [--head NAME] [--algorithm NAME] [--SETTING VALUE ...]"
    parser.add_argument("env", nargs="?", help="task id, or gym:ID (see `pgcontrol list`)")
    parser.add_argument("--config", metavar="FILE", help="YAML file of settings; flags win over it")
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")


def _read_settings(words: Sequence[str]) -> dict[str, str]:
    """`ENV --head.bins 41 --seed=1` as dotted settings."""
    settings, rest = {}, list(words)
    while rest:
        word = rest.pop(0)
        if not word.startswith("--"):
            if "env" in settings:
                raise InputError(f"unexpected argument {word!r}: settings look like --head.bins 41")
            word, rest = "--env", [word, *rest]
        key, equals, value = word[2:].partition("=")
        if not equals:
            if not rest or rest[0].startswith("--"):
                raise InputError(f"{word} needs a value")
            value = rest.pop(0)
        settings[key.replace("-", "_")] = value
    return settings


def _settings_help(words: Sequence[str]) -> str:
    """Every setting with its default, for the head, algorithm and critic that the words choose."""
    from pgcontrol.runs.config import PARTS, Settings, configure, typed

    def lines(options: type, values: Any, prefix: str) -> list[str]:
        return [
            f"  {f'--{prefix}{f.name}'.replace('_', '-'):33} {f.metadata['help']} [{typed(getattr(values, f.name))}]"
            for f in dataclasses.fields(options)
        ]

    given = _read_settings([w for w in words if w not in ("-h", "--help", "--quiet")])
    given.pop("config", None)
    config = configure(given)
    text = [f"settings, in brackets what {config.env} recommends for this head, or the default:"]
    text += lines(Settings, config, "")
    for part, (table, _) in PARTS.items():
        chosen = getattr(config, part)
        text += ["", f"--{part} NAME: {' | '.join(table())} [{chosen.name}]"]
        text += lines(type(chosen.options), chosen.options, f"{part}.")
    return "\n".join(text)


def _train(words: Sequence[str]) -> int:
    from pgcontrol.learning.train import train
    from pgcontrol.runs.config import configure, read_yaml

    settings = _read_settings([w for w in words if w != "--quiet"])
    file = settings.pop("config", None)
    config = configure((read_yaml(Path(file)) if file else {}) | settings)
    return _ended(train(config, quiet="--quiet" in words))


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


def _whole(text: str, least: int = 1) -> int:
    try:
        number = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None
    if number < least:
        raise argparse.ArgumentTypeError(f"{number} must be at least {least}")
    return number


def _seed(text: str) -> int:
    return _whole(text, least=0)


def _seconds(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
    if not 0 < number < 1e6:
        raise argparse.ArgumentTypeError(f"{text} must be greater than 0")
    return number


# --- looking -------------------------------------------------------------------------------------------------------


def _eval_arguments(parser: Parser) -> None:
    parser.add_argument("run", type=Path, help="run folder or checkpoint")
    parser.add_argument("--episodes", type=_whole, default=20, metavar="N", help="episodes [20]")
    parser.add_argument("--agent", choices=("policy", "random", "zero"), default="policy", help="who plays [policy]")
    parser.add_argument("--seed", type=_seed, default=0, help="of the start states [0]")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")


def _eval(arguments: argparse.Namespace) -> int:
    from pgcontrol.view.report import evaluate_run

    return evaluate_run(arguments.run, arguments.episodes, arguments.agent, arguments.seed, arguments.json)


def _video_arguments(parser: Parser) -> None:
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="run folders or checkpoints, side by side")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.mp4", help="where the clip goes")
    parser.add_argument("--seconds", type=_seconds, metavar="S", help="at most this long; whole episodes otherwise")
    parser.add_argument("--sampled", action="store_true", help="play samples of the policy instead of its mode")
    parser.add_argument("--seed", type=_seed, default=0, help="of the start state, the same for all runs [0]")
    parser.add_argument("--size", default="640x480", metavar="WxH", help="of one scene [640x480]")
    parser.add_argument("--force", action="store_true", help="replace FILE.mp4 if it exists")


def _video(arguments: argparse.Namespace) -> int:
    from pgcontrol.view.clips import video_of_runs

    if arguments.out.exists() and not arguments.force:
        raise InputError(f"{arguments.out} exists already; name another file, or say --force")
    if arguments.out.suffix != ".mp4":
        raise InputError(f"--out {arguments.out}: must end in .mp4")
    try:
        width, height = (int(n) for n in arguments.size.lower().split("x"))
    except ValueError:
        raise InputError(f"--size {arguments.size}: must look like 640x480") from None
    clip = video_of_runs(
        arguments.runs, arguments.out, arguments.seconds, (width, height), arguments.seed, not arguments.sampled
    )
    print(f"{clip.path}: {clip.frames / clip.fps:.1f} s, rendered with {clip.backend} in {clip.seconds:.0f} s")
    return 0


def _tokenize_arguments(parser: Parser) -> None:
    parser.add_argument("source", type=Path, metavar="RUN|DATASET", help="run folder or checkpoint, or an .npz file")
    parser.add_argument("--kind", default="kmeans", help="bins, kmeans, vq, rvq or fast [kmeans]")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="the folder to write")
    parser.add_argument("--horizon", type=_whole, default=1, metavar="H", help="actions a chunk [1]")
    for name, what in TOKENIZER_SETTINGS.items():
        parser.add_argument(f"--{name}", metavar=name[0].upper(), help=f"{what} [the kind's own]")
    parser.add_argument("--steps", type=_whole, default=32_000, metavar="N", help="steps to play of a run [32_000]")
    parser.add_argument("--seed", type=_seed, default=0, help="of start states, samples and the fit [0]")


TOKENIZER_SETTINGS = {
    "codes": "values of a code",
    "levels": "codebooks of rvq",
    "length": "tokens a chunk of fast",
    "scale": "fineness of fast",
}


def _tokenize(arguments: argparse.Namespace) -> int:
    from pgcontrol.tokenize import tokenize

    given = {name: getattr(arguments, name) for name in TOKENIZER_SETTINGS if getattr(arguments, name) is not None}
    tokenize(arguments.source, arguments.kind, arguments.out, arguments.horizon, given, arguments.steps, arguments.seed)
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
    parser.add_argument(
        "what",
        choices=("env", "train", "scale"),
        help="env: worlds beside the bare batch and EnvPool; train: learning beside SB3; scale: 8 to 512 environments",
    )
    parser.add_argument("--envs", nargs="+", metavar="ID", help="tasks [env: five of them; else HalfCheetah-v5]")
    parser.add_argument("--heads", nargs="+", default=["gaussian", "binned"], help="heads of train [gaussian binned]")
    parser.add_argument("--num-envs", type=_whole, default=64, metavar="N", help="environments of env [64]")
    parser.add_argument("--threads", type=_whole, default=2, metavar="N", help="physics threads of env [2]")
    parser.add_argument("--seconds", type=_seconds, default=3.0, metavar="S", help="time for each measurement [3]")
    parser.add_argument("--out", type=Path, metavar="FILE.json", help="also write the numbers here")


def _bench(arguments: argparse.Namespace) -> int:
    from pgcontrol_envs import catalog as tasks

    from pgcontrol import catalog

    for env_id in arguments.envs or ():
        pick("task", env_id, tasks())
    for head in arguments.heads:
        pick("head", head, catalog.heads())
    if arguments.what == "env":
        from pgcontrol.bench import env

        ids = arguments.envs or ["HalfCheetah-v5", "Hopper-v5", "Walker2d-v5", "Ant-v5", "Humanoid-v5"]
        env.run(ids, arguments.num_envs, arguments.threads, arguments.seconds, arguments.out)
        return 0
    for env_id in arguments.envs or ["HalfCheetah-v5"]:
        if arguments.what == "train":
            from pgcontrol.bench import training

            training.run(env_id, arguments.heads, {}, arguments.seconds, arguments.out)
        else:
            from pgcontrol.bench import scale

            scale.run(env_id, arguments.seconds, arguments.out)
    return 0


def _theory_arguments(parser: Parser) -> None:
    parser.add_argument("--out", type=Path, metavar="DIR", help="where the plots go [none are drawn]")


def _theory(arguments: argparse.Namespace) -> int:
    from pgcontrol.theory.show import show

    return show(arguments.out)


def _compare_arguments(parser: Parser) -> None:
    parser.add_argument("sweep", type=Path, metavar="FILE.yaml", help="question, arms and grid")
    parser.add_argument("--jobs", type=_whole, metavar="N", help="runs at a time [one a core]")
    parser.add_argument("--runs", type=Path, metavar="DIR", help="folder of the run folders [runs/FILE]")


def _compare(arguments: argparse.Namespace) -> int:
    from rich.console import Console

    from pgcontrol.experiment.compare import compare
    from pgcontrol.experiment.executor import Local
    from pgcontrol.experiment.sweep import read_sweep
    from pgcontrol.view.doctor import usable_cpus

    sweep, jobs = read_sweep(arguments.sweep), arguments.jobs or usable_cpus()
    where = arguments.runs or Path("runs") / arguments.sweep.stem
    try:
        return compare(sweep, Local(jobs), jobs, where, Console(highlight=False))
    except KeyboardInterrupt:
        print(f"stopped; to go on: pgcontrol compare {arguments.sweep}")
        return 130


def _report_arguments(parser: Parser) -> None:
    parser.add_argument("sweep", type=Path, metavar="FILE.yaml", help="question, arms and grid")


def _report(arguments: argparse.Namespace) -> int:
    from pgcontrol.experiment import results, tables
    from pgcontrol.experiment.sweep import read_sweep

    sweep = read_sweep(arguments.sweep)
    tables.write(sweep, done := results.read(sweep))
    print(f"{len(done)} of {len(sweep.cells)} runs: {arguments.sweep.with_suffix('.md')}")
    return 0


def _demo_arguments(parser: Parser) -> None:
    parser.add_argument(
        "--total-steps", default="400_000", metavar="N", help="environment steps for each head [400_000]"
    )
    parser.add_argument("--run-dir", type=Path, metavar="DIR", help="where the runs go [a new folder under runs/]")


def _demo(arguments: argparse.Namespace) -> int:
    from pgcontrol.demo import demo

    return demo(arguments.total_steps, arguments.run_dir)


COMMANDS = {
    "train": ("train a policy", _train, _train_arguments),
    "resume": ("go on with a run from its newest checkpoint", _resume, _resume_arguments),
    "eval": ("returns of a trained policy, by mode and by samples", _eval, _eval_arguments),
    "video": ("render policies, several side by side", _video, _video_arguments),
    "tokenize": ("learn tokens from a run's actions or a dataset, for --head token", _tokenize, _tokenize_arguments),
    "list": ("tasks, heads, algorithms and critics there are", _list, _no_arguments),
    "doctor": ("versions, threads and graphics, and how to mend what is missing", _doctor, _no_arguments),
    "compare": ("run what a YAML of arms and seeds still misses, and write its tables", _compare, _compare_arguments),
    "report": ("write a YAML's tables from the runs there are", _report, _report_arguments),
    "bench": ("measure speed beside its limit and the peers", _bench, _bench_arguments),
    "theory": ("check the theory's claims by numbers, and plot them", _theory, _theory_arguments),
    "demo": ("train two heads on HalfCheetah-v5 and render them side by side", _demo, _demo_arguments),
}
"""Name -> one line of help, what it does (returns the exit code), and its arguments."""
