"""docs/plugins.md from top to bottom: its files are written and its commands are run."""

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^( *)```(\w+)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
NAMED = re.compile(r"(?:#|<!--) (\S+\.\w+)")  # the first line of a file has its name


def blocks() -> list[tuple[str, str]]:
    """Language and text of every block."""
    page = (ROOT / "docs" / "plugins.md").read_text()
    return [(language, textwrap.dedent(text)) for _, language, text in BLOCK.findall(page)]


def test_every_block_is_a_file_with_a_name_or_commands():
    found = blocks()
    assert {language for language, _ in found} == {"xml", "python", "yaml", "sh"}
    assert all(language == "sh" or NAMED.match(text) for language, text in found)


@pytest.mark.slow
def test_the_page_works(tmp_path):
    bin = tmp_path / "bin"
    bin.mkdir()
    for name, words in {"pgcontrol": "-P -m pgcontrol", "python": ""}.items():
        (bin / name).write_text(f'#!/bin/sh\nexec {sys.executable} {words} "$@"\n')
        (bin / name).chmod(0o755)
    here = {"PATH": f"{bin}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'envs'}"}
    env = os.environ | here | {"PYTHONSAFEPATH": "", "OMP_NUM_THREADS": "1"}
    for language, text in blocks():
        if language != "sh":
            (named,) = NAMED.match(text).groups()  # pyright: ignore[reportOptionalMemberAccess]
            (tmp_path / named).write_text(text)
            continue
        for line in text.splitlines():
            done = subprocess.run(
                line, shell=True, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=300, check=False
            )
            assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
            assert "Traceback" not in done.stderr
            assert "FAILED" not in done.stdout
    assert (tmp_path / "cart.mp4").exists()
