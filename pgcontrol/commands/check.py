"""Hold the parts of a plug-in to the laws that ours keep."""

from collections import Counter
from dataclasses import dataclass

from pgcontrol.options import REQUIRED, option


@dataclass(frozen=True)
class Options:
    """The plug-in."""

    source: str = option(REQUIRED, "file or module with parts of your own", metavar="FILE.py|MODULE", positional=True)


def run(options: Options) -> int:
    """A line for every law and part as it goes; exit code 1 if one is broken."""
    from pgcontrol.laws.check import judge, subjects
    from pgcontrol.machine.terminal import Terminal
    from pgcontrol.parts import use
    from pgcontrol.text import count

    console = Terminal(highlight=False)
    plugin, found = use(options.source), Counter[str]()
    for subject in subjects(plugin):
        console.print(subject.title, style="bold", markup=False)
        for ruling in judge(subject, plugin):
            found[ruling.verdict] += 1
            why = f": {ruling.why}" * bool(ruling.why)
            style = "red" if ruling.broken else None
            console.print(f"  {ruling.law:66} {ruling.verdict}{why}", style=style, markup=False, soft_wrap=True)
    broken = found["FAILED"]
    said = f"{count(sum(found.values()), 'law')} asked: {found['ok']} kept, {found['skipped']} skipped, {broken} broken"
    console.print(said, style="bold")
    return int(bool(broken))
