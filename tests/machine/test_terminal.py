"""The content of files is shown on the terminal but cannot control it."""

import io

import pytest
from rich.table import Table

from pgcontrol import cli
from pgcontrol.machine.terminal import Terminal
from pgcontrol.text import visible

HOSTILE = "a\x1b]0;title\x07b\x1b[31mc\x9b2Jd\re\u202ef"
SHOWN = r"a\x1b]0;title\x07b\x1b[31mc\x9b2Jd\re\u202ef"


@pytest.mark.parametrize(
    "character", [*map(chr, range(0x20)), *map(chr, range(0x7F, 0xA0)), "\u202e", "\u2066", "\udc80"]
)
def test_control_characters_are_shown(character):
    assert (visible(f"a{character}b") == f"a{character}b") == (character in "\t\n")
    assert visible("σ ✓ 中 é") == "σ ✓ 中 é"


def test_a_terminal_shows_them_wherever_words_stand():
    out = io.StringIO()
    terminal = Terminal(file=out, force_terminal=False, width=200)
    table = Table(HOSTILE, title=HOSTILE)
    table.add_row(HOSTILE)
    terminal.print(table)
    terminal.print(HOSTILE, markup=False, soft_wrap=True)
    assert out.getvalue().count(SHOWN) == 4
    assert visible(out.getvalue()) == out.getvalue()


def test_square_brackets_are_letters():
    """A run's name may contain them; for rich, `[b]` is bold text and `[/b]` an error."""
    out = io.StringIO()
    terminal = Terminal(file=out, force_terminal=False, width=200)
    table = Table("a[b]c", title="runs/[/b]x")
    table.add_row("[red]d")
    terminal.print(table)
    terminal.print("[/b]")
    assert all(word in out.getvalue() for word in ("a[b]c", "runs/[/b]x", "[red]d", "[/b]\n"))


def test_an_error_shows_them(tmp_path, capsys):
    """Of the command line, and of a file that is read."""
    file = tmp_path / "sweep.yaml"
    file.write_text('budget: 1\narms: {"a\\e[31m": {head: binned, "\\e[2J": 1}}\ngrid: [{env: Fork-v0, seed: 1}]\n')
    for words in ([HOSTILE], ["train", f"--{HOSTILE}"], ["eval", HOSTILE], ["compare", str(file)]):
        with pytest.raises(SystemExit):
            cli.main(words)
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert visible(error) == error
        assert r"\x1b" in error
