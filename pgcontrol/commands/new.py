"""Write a short file with a task or a head, as a starting point for your own."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from pgcontrol.options import REQUIRED, InputError, option


@dataclass(frozen=True)
class Options:
    """Kind and name of the part."""

    part: str = option(REQUIRED, "what to write", choices=("task", "head"), positional=True)
    name: str = option(REQUIRED, "the part's name, such as Crane-v0 or my-head", metavar="NAME", positional=True)


def run(options: Options) -> int:
    """Write the files to the current folder, and print the next commands."""
    from pgcontrol.machine.terminal import Terminal

    files = write(options.part, options.name, Path())
    code = files[0].name
    console = Terminal(highlight=False)
    train = [options.name] if options.part == "task" else ["Hopper-v5", "--head", options.name]
    console.print(f"wrote {' and '.join(file.name for file in files)}; next:")
    for words in (["check", code], ["train", *train, "--plugin", code]):
        console.print(f"  pgcontrol {shlex.join(words)}", soft_wrap=True)
    return 0


def write(part: str, name: str, folder: Path) -> list[Path]:
    """Write a template's files under a new name: the code first, then files that belong to it.

    Raises:
        InputError: the name is invalid or taken, or a file exists already.
    """
    from pgcontrol.runs import catalog

    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", name):
        raise InputError(f"NAME = {name!r}: must be letters, digits, - and _, and begin with a letter")
    if name in catalog.KINDS[part]():
        raise InputError(f"NAME = {name!r}: a {part} with this name exists already; see `pgcontrol list`")
    words = re.findall(r"[A-Za-z0-9]+", re.sub(r"-v\d+$", "", name))  # Gymnasium's names end in a version
    stem, cls = "_".join(words).lower(), "".join(word[0].upper() + word[1:] for word in words)
    templates = Path(__file__).parent.parent / "templates"
    written = {folder / f"{stem}{one.suffix}": one.read_text("utf-8") for one in sorted(templates.glob(f"{part}.*"))}
    for file in written:
        if file.exists():
            raise InputError(f"{file} exists already; choose another name, or move the file")
    for file, text in written.items():
        text = re.sub(rf"^class \w+\({part.title()}\)", f"class {cls}({part.title()})", text, flags=re.MULTILINE)
        file.write_text(text.replace('"template"', f'"{name}"').replace(f'"{part}.xml"', f'"{stem}.xml"'), "utf-8")
    return list(written)
