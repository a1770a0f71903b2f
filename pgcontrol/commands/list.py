"""Tasks, heads, algorithms and critics there are."""

import inspect

from pgcontrol.options import NoOptions


def run(options: NoOptions) -> int:
    """Print every task, head, algorithm, critic, trunk and tokenizer with its first line of documentation."""
    import pgcontrol_envs
    from rich.console import Console

    from pgcontrol.runs import catalog
    from pgcontrol.tokenizers.files import kinds

    console = Console(highlight=False)
    for title, table in (
        ("tasks", pgcontrol_envs.catalog()),
        ("heads", catalog.heads()),
        ("algorithms", catalog.algorithms()),
        ("critics", catalog.critics()),
        ("trunks", catalog.trunks()),
        ("tokenizers", kinds()),
    ):
        console.print(title, style="bold")
        for name, item in table.items():
            console.print(f"  {name:26} {_first_line(item)}", markup=False, soft_wrap=True)
        if title == "tasks":
            console.print(f"  {'gym:ID':26} Any Gymnasium environment with Box spaces.", markup=False, soft_wrap=True)
    return 0


def _first_line(item: object) -> str:
    summary = getattr(item, "summary", None)
    return summary if isinstance(summary, str) else (inspect.getdoc(item) or "").split("\n")[0]
