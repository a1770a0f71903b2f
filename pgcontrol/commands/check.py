"""Check the parts of a plug-in against the laws that built-in parts keep."""

from collections import Counter
from dataclasses import dataclass

from pgcontrol.options import REQUIRED, option


@dataclass(frozen=True)
class Options:
    """The plug-in."""

    source: str = option(REQUIRED, "file or module with your own parts", metavar="FILE.py|MODULE", positional=True)


def run(options: Options) -> int:
    """Print a line for every law and part; exit code 1 if a law is broken."""
    from pgcontrol.laws.check import judge, subjects
    from pgcontrol.machine.terminal import Terminal
    from pgcontrol.parts import use
    from pgcontrol.text import count

    console = Terminal(highlight=False)
    plugin, found = use(options.source), Counter[str]()
    for subject in subjects(plugin):
        console.print(subject.title, style="bold")
        for ruling in judge(subject, plugin):
            found[ruling.verdict] += 1
            why = f": {ruling.why}" * bool(ruling.why)
            style = "red" if ruling.broken else None
            console.print(f"  {ruling.law:66} {ruling.verdict}{why}", style=style, soft_wrap=True)
    broken = found["FAILED"]
    said = f"{count(sum(found.values()), 'law')} checked: {found['ok']} ok, {found['skipped']} skipped, {broken} broken"
    console.print(said, style="bold")
    return int(bool(broken))
