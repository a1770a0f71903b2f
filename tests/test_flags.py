"""Flags are fields of a dataclass of options: parsing, and the text of the help."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from pgcontrol.flags import Section, flags_of, help_text, read_flags, split, switched, table
from pgcontrol.options import REQUIRED, InputError, option


@dataclass(frozen=True)
class Options:
    place: Path = option(REQUIRED, "a place", metavar="PLACE", positional=True)
    steps: int = option(3, "a number", least=1)
    mode: str = option("fast", "a choice", choices=("fast", "slow"))
    quiet: bool = option(False, "a switch")
    open_page: bool | None = option(None, "a switch that has no default")
    plugin: tuple[Path, ...] = option((), "one word each time", metavar="FILE")
    heads: tuple[str, ...] = option((), "words up to the next flag", several=True)


@dataclass(frozen=True)
class Places:
    first: str = option(REQUIRED, "one word", positional=True)
    others: tuple[str, ...] = option((), "what is left", positional=True)


def read(*words: str, options: type = Options):
    return read_flags(options, split(words, flags_of(options)), "command")


def test_defaults_and_values():
    assert read("here") == Options(Path("here"))
    assert read("--steps=5", "here", "--mode", "slow", "--quiet") == Options(Path("here"), 5, "slow", True)
    assert read("here", "--steps", "1", "--steps", "2").steps == 2
    assert read("--place", "here").place == Path("here")  # a place by its name


def test_switches_take_no_word():
    assert read("--quiet", "here").place == Path("here")
    assert [read("x", *w).open_page for w in ([], ["--open-page"], ["--no-open-page"])] == [None, True, False]
    assert not read("x", "--quiet=false").quiet


def test_what_collects():
    assert read("--plugin", "a b.py", "here", "--plugin=c,d.py").plugin == (Path("a b.py"), Path("c,d.py"))
    assert read("here", "--heads", "x", "y", "--quiet", "--heads", "z").heads == ("x", "y", "z")
    assert read("a", "b", "c", options=Places) == Places("a", ("b", "c"))
    assert read("a", options=Places) == Places("a")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("", "command needs PLACE; see `pgcontrol command --help`"),
        ("here there", "unexpected argument 'there'"),
        ("here --stps 3", "unknown argument '--stps'; did you mean '--steps'?"),
        ("here -quiet", "unknown argument '-quiet'; did you mean '--quiet'?"),
        ("here --steps", "--steps needs a value"),
        ("here --steps --quiet", "--steps needs a value"),
        ("here --steps -1", "--steps = -1: must be at least 1"),
        ("here --steps=many", "--steps = 'many': must be a whole number"),
        ("here --mode slwo", "--mode = 'slwo': must be one of fast, slow; did you mean 'slow'?"),
        ("here --quiet=perhaps", "--quiet = 'perhaps': must be true or false"),
        ("here --no-steps", "unknown argument '--no-steps'; did you mean '--steps'?"),
    ],
)
def test_what_is_wrong_is_one_line(words, line):
    with pytest.raises(InputError) as error:
        read(*words.split())
    assert str(error.value) == line


def test_other_settings_come_by_name():
    said = split(["--head.bins", "4", "here", "--num-envs=2", "--quiet"], flags_of(Options), settings="")
    assert said == {"head.bins": "4", "place": "here", "num_envs": "2", "quiet": True}


def test_a_setting_without_a_value_is_true_or_false_or_needs_one():
    flags = flags_of(Options)
    assert split(["here", "--quit", "--head.steps"], flags, settings="")["quit"] is None
    for words in (["--no-head.quiet", "here"], ["here", "--no-head.quiet"]):
        assert split(words, flags, settings="head.") == {"no_head.quiet": None, "place": "here"}
    with pytest.raises(InputError, match=r"--no-head.quiet=1: --no-head.quiet takes no value"):
        split(["here", "--no-head.quiet=1"], flags, settings="head.")
    sections = [Section("settings:", Options(Path("here")), "head.")]
    assert switched("head.quiet", flags.values(), sections) == ("head.quiet", "true")
    assert switched("no_head.quiet", flags.values(), sections) == ("head.quiet", "false")
    for name, line in {
        "head.steps": "--head.steps needs a value",
        "head.step": "unknown argument '--head.step'; did you mean '--head.steps'?",
        "no_head.steps": "unknown argument '--no-head.steps'; did you mean '--head.steps'?",
        "quit": "unknown argument '--quit'; did you mean '--quiet'?",
    }.items():
        with pytest.raises(InputError) as error:
            switched(name, flags.values(), sections)
        assert str(error.value) == line


def test_help_has_every_flag_with_its_default(monkeypatch):
    monkeypatch.setenv("COLUMNS", "70")
    section = Section("settings:", Options(Path("here"), steps=9), "head.")
    lines = help_text("command", "Do it.", flags_of(Options).values(), [section]).splitlines()
    assert all(len(line) <= 70 for line in lines)
    assert lines[0] == "usage: pgcontrol command PLACE [--steps N] [--mode {fast,slow}]"
    assert {
        "  PLACE                         a place",
        "  --steps N                     a number [3]",
        "  --mode {fast,slow}            a choice [fast]",
        "  --open-page | --no-open-page  a switch that has no default",
        "  --head.steps      a number [9]",
        "  --head.open-page  a switch that has no default [none]",
    } < set(lines)


def test_a_long_name_does_not_narrow_the_descriptions_of_the_others():
    shown = table({"--a X": "short", f"--{'long' * 20}": "its description"})
    assert shown == "  --a X  short\n  --" + "long" * 20 + "\n         its description"


def test_help_names_the_choices_of_a_setting():
    @dataclass(frozen=True)
    class Settings:
        decay: str = option("linear", "decay of the step size", choices=("linear", "none"))

    shown = help_text("train", "Train.", flags_of(Options).values(), [Section("settings:", Settings())])
    assert "decay of the step size (linear | none) [linear]" in shown
    twice = help_text("train", "Train.", flags_of(Settings).values(), [Section("settings:", Settings())])
    assert twice.count("decay of the step size") == 1
