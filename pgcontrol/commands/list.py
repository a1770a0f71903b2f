"""List tasks, heads, algorithms, critics, trunks, tokenizers and loggers."""

import inspect
from dataclasses import dataclass

from pgcontrol.options import option, pick


@dataclass(frozen=True)
class Options:
    """What to list."""

    kind: str | None = option(None, "only these: tasks, heads, algorithms, ... [all kinds]", positional=True)


def run(options: Options) -> int:
    """Print every part with the first line of its documentation, and the plug-in that defines it."""
    from pgcontrol_envs.plugins import loaded

    from pgcontrol.machine.terminal import Terminal
    from pgcontrol.runs.catalog import KINDS

    console = Terminal(highlight=False)
    kinds = {f"{kind}s": table for kind, table in KINDS.items()}
    if options.kind is not None:
        kinds = {options.kind: pick("KIND", options.kind, kinds)}
    for kind, table in kinds.items():
        found = dict(table())
        groups = {kind: found}
        if kind == "tasks":
            suite = {name: found.pop(name) for name in list(found) if name.startswith("dm:")}
            groups |= {"tasks of the dm_control suite": suite}
            found["gym:ID"] = "Any Gymnasium environment with Box spaces."
        for title, parts in groups.items():
            console.print(title, style="bold")
            for name, part in parts.items():
                source = next((f"  [{plugin.source}]" for plugin in loaded().values() if plugin.owns(part)), "")
                console.print(f"  {name:26} {_first_line(part)}{source}", soft_wrap=True)
    return 0


def _first_line(part: object) -> str:
    summary = part if isinstance(part, str) else getattr(part, "summary", None)
    return summary if isinstance(summary, str) else (inspect.getdoc(part) or "").split("\n")[0]
