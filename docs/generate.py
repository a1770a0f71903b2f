"""A hook of MkDocs: pages that the code writes, and pages that lie outside `docs/`.

Settings, metrics, commands and public names are read from the package, so the site cannot contradict it. README.md is
the home page. Whatever a page links to in this repository comes along, and links are adapted, so that they work on the
site as in the repository.
"""

import contextlib
import dataclasses
import inspect
import io
import math
import os
import pkgutil
import posixpath
import re
import types
import typing
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pgcontrol_envs
from mkdocs.structure.files import File

import pgcontrol
from pgcontrol import arguments, cli, commands
from pgcontrol.learning.algorithms import Discounted
from pgcontrol.measures.verdicts import Limits
from pgcontrol.options import REQUIRED
from pgcontrol.runs import catalog, metrics, recommended
from pgcontrol.runs.cloning import CloneConfig
from pgcontrol.runs.config import Config
from pgcontrol.sweep.on import On
from pgcontrol.sweep.search import SearchOptions
from pgcontrol.text import typed

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
OUTSIDE = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")
LINK = re.compile(r'(\]\(|(?:src|href)=")([^)"\s#]+)')
TYPES = {int: "whole number", float: "number", bool: "true or false", str: "text", Path: "path"}
SIGNS = {"least": "≥", "most": "≤", "above": ">", "below": "<"}
WIDTH = "92"  # columns of a command's help


# --- pages outside docs/, and links


def uri(path: Path) -> str:
    """Where a file of the repository is on the site."""
    return path.relative_to(DOCS if path.is_relative_to(DOCS) else ROOT).as_posix()


def home(file: File) -> Path:
    """Where a page of the site is in the repository."""
    return Path(file.abs_src_path or DOCS / file.src_uri)


def linked(text: str, page: Path) -> Iterator[Path]:
    """The files of the repository that a page links to."""
    for _, target in LINK.findall(text):
        path = Path(os.path.normpath(page.parent / target))
        if "://" not in target and path.is_file() and path.is_relative_to(ROOT):
            yield path


def on_files(files: Any, config: Any) -> Any:
    """Add the pages that the code writes, those outside `docs/`, and what any of them links to."""
    for name, write in PAGES.items():
        files.append(File.generated(config, f"reference/{name}.md", content=write()))
    there = {home(file) for file in files}
    wanted = [*(ROOT / name for name in OUTSIDE), *(path for path in there if path.suffix == ".md" and path.exists())]
    while wanted:
        path = wanted.pop()
        if path not in there:
            there.add(path)
            files.append(File.generated(config, uri(path), abs_src_path=str(path)))
        if path.suffix == ".md":
            wanted += [other for other in linked(path.read_text("utf-8"), path) if other not in there]
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Links to files of the repository, as links to where they are on the site; and lists as MkDocs has them."""
    where = home(page.file)

    def adapted(found: re.Match[str]) -> str:
        before, target = found.groups()
        path = Path(os.path.normpath(where.parent / target))
        if "://" in target or not path.is_relative_to(ROOT):
            return found[0]
        return before + posixpath.relpath(uri(path), posixpath.dirname(page.file.src_uri) or ".")

    return LINK.sub(adapted, indented(markdown))


def indented(markdown: str) -> str:
    """Lists as MkDocs reads them: an empty line before, and four spaces before what belongs to an item.

    GitHub needs no empty line, and is content with as many spaces as the item's own text has before it.
    """
    lines, width, fenced, apart = [""], 0, False, False
    for line in markdown.split("\n"):
        if item := None if fenced else re.match(r"(-|\d+\.) +", line):
            if lines[-1] and (apart or not width):
                lines.append("")
            width, apart = item.end(), False
        elif line and not line.startswith(" " * width):
            width = 0
        elif line and width:
            line = " " * (4 - width) + line
        else:
            apart = True
        fenced ^= line.startswith("```")
        lines.append(line)
    return "\n".join(lines)


# --- tables


def table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table in Markdown."""
    lines = [[*heads], ["---" for _ in heads], *([cell.replace("|", r"\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def plain(text: str) -> str:
    """Text of the code, such that Markdown shows it as it is."""
    return re.sub(r"([*_<\[\]`])", r"\\\1", " ".join(text.split()))


def code(text: object) -> str:
    """Between backticks."""
    return f"`{text}`"


def kind(hint: Any) -> str:
    """A type in words."""
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        return " or ".join("none" if one is type(None) else kind(one) for one in typing.get_args(hint))
    if typing.get_origin(hint) is tuple:
        return f"list of {kind(typing.get_args(hint)[0])}s"
    return TYPES.get(hint, getattr(hint, "__name__", str(hint)))


def number(bound: float) -> str:
    """A limit: short, and exact where it is read as a number."""
    return f"{bound:,}" if isinstance(bound, int) and abs(bound) < 10**7 else f"{bound:.3g}"


def options(cls: type, prefix: str = "") -> str:
    """The fields of a dataclass of options as a table, or a line where there are none."""
    hints, rows = typing.get_type_hints(cls), []
    for field in (field for field in dataclasses.fields(cls) if "help" in field.metadata):
        facts = field.metadata
        bounds = {name: bound for name, bound in facts["limits"].items() if bound is not None and math.isfinite(bound)}
        limits = [f"{SIGNS[name]} {number(bound)}" for name, bound in bounds.items()]
        words = facts["choices"] or (facts["part"]() if facts["part"] else ())
        allowed = ", ".join([*map(code, words), *limits])
        default = "required" if field.default is REQUIRED else code(typed(field.default) or "none")
        rows.append([code(prefix + field.name), kind(hints[field.name]), default, allowed, plain(facts["help"])])
    return table(("setting", "type", "default", "limits", "meaning"), rows) if rows else "Nothing can be set."


def about(thing: Any) -> str:
    """The first line of its docstring."""
    return plain((inspect.getdoc(thing) or "").split("\n")[0])


# --- the pages


def settings() -> str:
    """Every setting."""
    parts = [SETTINGS, "## Of every training", options(Config), "## Heads"]
    parts += list(_parts(catalog.heads(), "head."))
    rows = catalog.algorithms().values()
    parts += ["## Algorithms", "Every algorithm has", options(Discounted, "algorithm.")]
    parts += ["and the options of its estimator, its rule and its sampling scheme."]
    heads = ("algorithm", "what it is", "estimator, rule, sampling", "critic", "recommends")
    parts.append(table(heads, (_row(row) for row in rows)))
    for name in ("estimator", "rule", "sampling"):
        classes = {cls.__name__: cls for cls in (getattr(row, name) for row in rows)}
        parts += list(_parts({n: c for n, c in classes.items() if dataclasses.fields(c.Options)}, "algorithm."))
    parts += ["## Critics", *_parts(catalog.critics(), "critic.")]
    parts += ["## Trunks", *_parts(catalog.trunks(), "trunk.")]
    parts += ["## Tokenizers", *_parts(catalog.tokenizers(), "head.")]
    parts += ["## Tasks", TASKS]
    for name, task in pgcontrol_envs.catalog().items():
        if not name.startswith("dm:"):
            found = catalog.settings_of(name).items()
            cells = ([code(f"env.{key}"), code(typed(value)), plain(text)] for key, (value, text) in found)
            parts += [f"### {name}", about(task), table(("setting", "default", "meaning"), cells)]
    columns = ("tasks", "heads", "algorithms", "settings")
    parts += ["## Recommended", RECOMMENDED, table(columns, map(_advice, recommended.TABLE))]
    parts += ["## Clones", "Of `pgcontrol clone`.", options(CloneConfig)]
    parts += ["## Verdicts", "Limits of `pgcontrol diagnose`.", options(Limits)]
    parts += ["## Searches", "Keys of `search:` in [a sweep's YAML](../sweep.md).", options(SearchOptions)]
    parts += ["## Clusters", "Keys of `on:` in [a sweep's YAML](../sweep.md).", options(On)]
    return "\n\n".join(parts)


def _parts(classes: dict[str, Any], prefix: str) -> Iterator[str]:
    for name, cls in classes.items():
        yield f"### {name}"
        yield about(cls)
        yield options(cls.Options, prefix)


def _row(row: Any) -> list[str]:
    parts = ", ".join(part.__name__ for part in (row.estimator, row.rule, row.sampling))
    return [code(row.name), plain(row.summary), parts, row.critic, _typed(row.recommended)]


def _advice(row: Any) -> list[str]:
    return [*map(_named, (row.tasks, row.heads, row.algorithms)), _typed(row.settings)]


def _named(side: Any) -> str:
    if callable(side):  # a function of a name
        return about(side).replace("Whether", "if")
    return "all" if side == recommended.ANY else ", ".join(side)


def _typed(chosen: Any) -> str:
    return ", ".join(code(f"{key}: {typed(value)}") for key, value in chosen.items())


def measured() -> str:
    """Every metric."""
    parts, groups = [METRICS], dict[str, list[list[str]]]()
    for name, metric in metrics.table().items():
        groups.setdefault(name.split("/")[0], []).append([code(name), metric.unit, plain(metric.meaning)])
    for group, rows in groups.items():
        parts += [f"## {group}", plain(metrics.GROUPS[group]), table(("name", "unit", "meaning"), rows)]
    return "\n\n".join(parts)


def typed_commands() -> str:
    """The help of every command."""
    os.environ["COLUMNS"] = WIDTH
    parts = [COMMANDS]
    for name in (module.name for module in pkgutil.iter_modules(commands.__path__)):
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.suppress(SystemExit):
            cli.main([name, "--help"])
        parts.append(f"## {name}\n\n```text\n{said.getvalue().rstrip()}\n```")
    return "\n\n".join(parts)


def names(package: Any, title: str, intro: str) -> str:
    """The public names of a package, functions first."""
    parts = [f"# {title}", intro]
    found = {name: getattr(package, name) for name in package.__all__}
    for name, thing in sorted(found.items(), key=lambda item: (isinstance(item[1], type), item[0].lower())):
        taken = getattr(arguments, f"{name.title()}Options", None)
        parts.append(f"::: {thing.__module__}.{thing.__qualname__}")
        if taken:  # a function of settings: its signature is that of the table
            parts[-1] += "\n    options:\n      show_signature: false"
            parts.append(options(taken))
    return "\n\n".join(parts)


SETTINGS = """# Settings

On the command line a setting is `--NAME VALUE`, in YAML `NAME: VALUE`, in Python a key of the mapping. A value comes
from you, else from the prior, else from the algorithm's row, else from the [recommendations](#recommended) for task
and head, else it is the default. `pgcontrol train TASK --head HEAD --help` shows the values that a run would use."""
TASKS = """`--env.NAME VALUE` sets them, and they become part of the task's name, such as `Go1-v0?kp=25`. Those of
Gymnasium's tasks are Gymnasium's own keyword arguments. An environment `gym:ID` takes those of its own class."""
RECOMMENDED = "From the general to the special: of two values for a setting, the later one counts."
METRICS = """# Metrics

Each update writes a row to `metrics.jsonl`, and the same numbers to TensorBoard and other loggers. The names are
those of Stable-Baselines3 where it has the metric. Four numbers differ from its own: here `train/n_updates` counts
gradient steps instead of epochs, `train/std` is in half-ranges instead of action units, `train/loss` is a mean over
the update instead of the last minibatch, and `train/approx_kl` a mean over all epochs instead of the last one. `*` is
the number of a joint. A task may log more, as `rollout/NAME` and `eval/NAME` ([a quadruped](../legged.md) does), and
so may a head of yours, as `head/NAME`. Why health is measured in this way: [verdicts](../diagnosis.md)."""
COMMANDS = """# Commands

What `pgcontrol COMMAND --help` prints. In the commands that take settings, the values depend on the task, head and
algorithm that you name. Functions of the same names: [from Python](pgcontrol.md)."""
PYTHON = """The functions have the commands' names and settings. They print nothing, return objects, and raise
`InputError` with the line that the command would print. Settings of a function are keyword arguments.
Only `train`, `clone` and `configure` take them as one mapping, `train({"env": "Hopper-v5"})`, and
`resume` takes its changes as `settings={...}`. `Trainer("Hopper-v5", head="binned")` takes keyword arguments."""
WORLDS = """The worlds stand on their own: no learning code is imported. In Gymnasium they have the names `pgcontrol/ID`
([how](../gymnasium-environments.md))."""
PAGES: dict[str, Callable[[], str]] = {
    "settings": settings,
    "metrics": measured,
    "commands": typed_commands,
    "pgcontrol": lambda: names(pgcontrol, "pgcontrol", PYTHON),
    "pgcontrol_envs": lambda: names(pgcontrol_envs, "pgcontrol_envs", WORLDS),
}
