"""YAML by users: numbers of YAML 1.2, and one-line errors with file and line number."""

import os
import time

import pytest

from pgcontrol.machine.yaml_file import read
from pgcontrol.options import InputError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0100", 100),
        ("0x10", 16),
        ("0o17", 15),
        ("+7", 7),
        ("1:30", "1:30"),
        ("1_000_000", 1_000_000),
        ("1__0", "1__0"),
        ("_1", "_1"),
        ("1e3", 1000.0),
        ("1e-4", 1e-4),
        (".5", 0.5),
        ("-3.", -3.0),
        ("2026-02-30", "2026-02-30"),
        ("2026-11-28", "2026-11-28"),
        ("true", True),
        ("~", None),
        ("'1'", "1"),
        ("v1.2", "v1.2"),
    ],
)
def test_values(text, value, tmp_path):
    (tmp_path / "f.yaml").write_text(f"x: {text}\n")
    found = read(tmp_path / "f.yaml", "settings")["x"]
    assert found == value
    assert type(found) is type(value)


def test_aliases_are_followed_while_they_are_small(tmp_path):
    (tmp_path / "f.yaml").write_text("a: &a {x: 1}\nb: *a\nc: {<<: *a, y: 2}\n")
    assert read(tmp_path / "f.yaml", "settings") == {"a": {"x": 1}, "b": {"x": 1}, "c": {"x": 1, "y": 2}}


BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (BOMB, "more than 100,000 values, with aliases expanded"),
        ("x: &x [1, *x]", "line 1: an alias refers to a value that contains it"),
        ("a: 1\nx: &x {y: *x}", "line 2: an alias refers to a value that contains it"),
        ("x: !!python/object:os.system {}", "line 1: not YAML: could not determine a constructor"),
        ("a: 1\nx: !!int abc", "not YAML: invalid literal"),
        ("x: " + "[" * 5000, "nested too deeply"),
        ("x: {a: 1, a: 2}", "line 1: 'a' is a duplicate key"),
        ("a: 1\nb: 2\n a: 3", "line 3: not YAML"),
        ("x: \x07", "not YAML"),
        ("[1, 2]", "must contain settings"),
        ("", "must contain settings"),
        ("x: " + "y" * 2**21, "bytes; must have at most 1,048,576"),
        ("? [a, b]\n: 1", "line 1: not YAML: found unhashable key"),
    ],
)
def test_what_cannot_be_is_one_line_at_once(text, line, tmp_path):
    (tmp_path / "f.yaml").write_text(text)
    began = time.process_time()
    with pytest.raises(InputError) as caught:
        read(tmp_path / "f.yaml", "settings")
    assert str(caught.value).startswith(f"{tmp_path / 'f.yaml'}: ")
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)
    assert time.process_time() - began < 5


def test_what_is_no_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for name, line in (("pipe", "is not a file"), ("nothing", "No such file"), (".", "is not a file")):
        with pytest.raises(InputError, match=line):
            read(tmp_path / name, "settings")
    (tmp_path / "f.yaml").write_bytes(b"x: \xff")
    with pytest.raises(InputError, match="not YAML"):
        read(tmp_path / "f.yaml", "settings")
