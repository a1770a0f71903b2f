"""Tasks, heads, algorithms, critics, trunks, tokenizers and loggers there are."""

import inspect

from pgcontrol.options import NoOptions


def run(options: NoOptions) -> int:
    """Print every part with its first line of documentation, and the plug-in that it comes from."""
    from pgcontrol_envs.plugins import loaded

    from pgcontrol.machine.terminal import Terminal
    from pgcontrol.runs.catalog import KINDS

    console = Terminal(highlight=False)
    for kind, table in KINDS.items():
        console.print(f"{kind}s", style="bold")
        for name, part in table().items():
            source = next((f"  [{plugin.source}]" for plugin in loaded().values() if plugin.owns(part)), "")
            console.print(f"  {name:26} {_first_line(part)}{source}", markup=False, soft_wrap=True)
        if kind == "task":
            console.print(f"  {'gym:ID':26} Any Gymnasium environment with Box spaces.", markup=False, soft_wrap=True)
    return 0


def _first_line(part: object) -> str:
    summary = getattr(part, "summary", None)
    return summary if isinstance(summary, str) else (inspect.getdoc(part) or "").split("\n")[0]
