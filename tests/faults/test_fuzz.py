"""Command lines, configs, sweeps and Python dicts that nobody thought of: one line or an answer, never a traceback.

`make fuzz` tries 20,000, others each time; the tests 1,500, the same ones each time.
"""

import contextlib
import importlib
import io
import os
import pkgutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pgcontrol import cli, commands, configure
from pgcontrol.flags import flags_of
from pgcontrol.options import InputError, NoOptions
from pgcontrol.runs import catalog
from pgcontrol.runs.config import nested, read_yaml
from pgcontrol.sweep.sweep import KEYS, read_sweep
from pgcontrol.training import clone, train
from pgcontrol.viewer import play

pytestmark = pytest.mark.slow
COUNT = int(os.environ.get("PGCONTROL_FUZZ", "1500")) // 4
fuzzed = settings(
    max_examples=COUNT,
    deadline=None,
    database=None,
    derandomize="PGCONTROL_FUZZ" not in os.environ,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.function_scoped_fixture],
)
COMMANDS = sorted(module.name for module in pkgutil.iter_modules(commands.__path__))
MODULES = {name: importlib.import_module(f"pgcontrol.commands.{name}") for name in COMMANDS}
# they measure, record or write for as long as they are asked to; what is fuzzed here is how their words are read
LASTING = ("bench", "check", "doctor", "new", "record", "theory", "tokenize")
CONFIG = nested(configure({"env": "Hopper-v5", "head": "binned"}))
HEADS = sorted(catalog.heads())
NAMES = [
    *CONFIG,
    "head.bins",
    "algorithm.clip",
    "algorithm.minibatch",
    "critic.name",
    "env.g",
    "env.frame_skip",
    "head.name",
]
FLAGS = sorted({n for m in MODULES.values() for n in flags_of(getattr(m, "Options", NoOptions), cli.CommonOptions)})
ODD = [
    "",
    "-1",
    "0",
    "1",
    "1e999",
    "-1e-999",
    "nan",
    "inf",
    "9" * 400,
    "1_0",
    "１",
    "0x10",
    "none",
    "true",
    "a,b",
    "\0",
]
ODD += ["..", "/", "~", "x" * 300, "\0", "gym:", "gym:Hopper-v5", "Hopper-v5", "gym:a:b?c=1", "\udc80", "\x1b[2J", "%s"]
words = st.one_of(st.sampled_from(ODD), st.sampled_from(HEADS), st.text(max_size=8), st.integers().map(str))
values = st.recursive(
    st.one_of(
        words,
        st.none(),
        st.booleans(),
        st.integers(),
        st.just(10**400),
        st.floats(),
        st.binary(max_size=3),
        st.sampled_from([np.float32(1), np.int64(3), np.zeros(2), np.array("x"), {1, 2}, object, 1j, range(3)]),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(words, inner, max_size=3)),
    max_leaves=6,
)
plain = st.recursive(  # what YAML may hold
    st.one_of(words.filter(str.isprintable), st.none(), st.booleans(), st.integers(), st.floats(), st.dates()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(NAMES), inner, max_size=3)),
    max_leaves=8,
)
named = st.one_of(st.sampled_from(NAMES), words)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A working folder; nothing may be made in it, next to it, or in the home folder."""
    for name in ("work", "home"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "home"))
    yield tmp_path / "work"
    assert {file.relative_to(tmp_path).as_posix() for file in tmp_path.rglob("*")} <= {"work", "home", "work/file.yaml"}


def is_one_line(error: Exception) -> None:
    """With control characters made visible, as on the command line."""
    assert "\n" not in str(error).strip(), error
    assert str(error)


@st.composite
def lines(draw) -> list[str]:
    """A command, mostly an existing one, and flags, settings and values in any order."""
    said = [draw(st.one_of(st.sampled_from(COMMANDS), words))]
    for _ in range(draw(st.integers(0, 5))):
        flag = "--" + draw(st.one_of(st.sampled_from(FLAGS), named)).replace("_", "-")
        value = draw(words)
        said += draw(st.sampled_from([[flag], [value], [flag, value], [f"{flag}={value}"], ["--help"]]))
    return said


def typed(words: list[str]) -> tuple[int | str | None, str]:
    """Runs a command line; returns its exit code and stderr."""
    out, error = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    with pytest.raises(SystemExit) as ended, contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
        cli.main(words)
    return ended.value.code, error.buffer.getvalue().decode()


def test_command_lines(here, monkeypatch):
    for name in LASTING:
        monkeypatch.setattr(MODULES[name], "run", lambda *_: 0)
    done = SimpleNamespace(exit_code=0)
    monkeypatch.setattr(train, "train", lambda *_, **__: done)
    monkeypatch.setattr(clone, "clone", lambda *_, **__: done)
    monkeypatch.setattr(play, "play", lambda *_: 0)

    @fuzzed
    @given(lines())
    def law(said):
        code, words = typed(said)
        assert code in (0, 2), words
        assert words.count("\n") == (code == 2), words

    law()


@fuzzed
@given(st.one_of(st.dictionaries(named, values, max_size=4), values))
def test_dicts(here, said):
    with contextlib.suppress(InputError) if isinstance(said, dict) else pytest.raises(InputError):
        try:
            configure({"env": "Hopper-v5"} | said if isinstance(said, dict) else said)
        except InputError as error:
            is_one_line(error)
            raise


def test_configs(here):
    known = st.dictionaries(st.sampled_from(NAMES), plain, max_size=4).map(lambda said: yaml.safe_dump(CONFIG | said))
    text = yaml.safe_dump(CONFIG)
    cut = st.tuples(st.integers(0, len(text)), st.text(max_size=5)).map(
        lambda at: text[: at[0]] + at[1] + text[at[0] + 1 :]
    )

    @fuzzed
    @given(st.one_of(known, cut, st.text(max_size=30)))
    def law(said):
        Path("file.yaml").write_bytes(said.encode(errors="replace"))
        try:
            configure(read_yaml(Path("file.yaml")))
        except InputError as error:
            is_one_line(error)

    law()


def test_sweeps(here):
    whole = {
        "question": "which?",
        "budget": 1000,
        "arms": {"a": {"head": "gaussian"}, "b": {"head": "binned"}},
        "baseline": "a",
        "grid": [{"env": "Hopper-v5", "seed": 2, "arm": ["a", "b"]}],
    }
    parts = st.dictionaries(st.sampled_from([*KEYS]), plain, max_size=3).map(lambda said: whole | said)
    grids = st.dictionaries(st.sampled_from([*NAMES, "arm", "seed"]), plain, max_size=3)
    grids = grids.map(lambda said: whole | {"grid": [whole["grid"][0] | said]})
    arms = st.dictionaries(words.filter(str.isprintable), plain, max_size=3).map(lambda said: whole | {"arms": said})

    search = {"trials": 2, "budget": 1000, "tasks": ["Hopper-v5"], "seeds": [100], "reference": {"Hopper-v5": 3000}}
    search |= {"space": {"algorithm.learning_rate": {"low": 1e-4, "high": 1e-2, "log": True}}}
    searches = st.dictionaries(
        st.sampled_from([*search, "sampler", "pruner", "score", "evaluations"]), plain, max_size=2
    )
    ends = st.dictionaries(st.sampled_from(["low", "high", "log", "step", "choices", "arms"]), plain, max_size=3)
    spaces = st.dictionaries(st.sampled_from(NAMES), st.one_of(ends, plain), max_size=2).map(
        lambda said: {"space": said}
    )
    searches = st.one_of(searches, spaces).map(lambda said: whole | {"search": search | said})

    @fuzzed
    @given(st.one_of(parts, grids, arms, searches, plain))
    def law(said):
        Path("file.yaml").write_bytes(yaml.safe_dump(said).encode(errors="replace"))
        try:
            read_sweep(Path("file.yaml"))
        except InputError as error:
            is_one_line(error)

    law()
